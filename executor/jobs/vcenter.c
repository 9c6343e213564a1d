#include "executor/jobs/vcenter.h"

#include "base/read_json.h"
#include "drivers/credentials/secret.h"

static void on_record(void *arg, const vsphere_record_t *record)
{
    const vcenter_t *vcenter = arg;
    redfish_record_t same = {.method = str_from_c(record->operation),
                             .path = record->path,
                             .url = record->url,
                             .headers = record->headers,
                             .header_count = record->header_count,
                             .request_body = record->request_body,
                             .status = record->status,
                             .elapsed_us = record->elapsed_us,
                             .is_success = record->is_success,
                             .error = record->error};
    json_t *row = activity_row(vcenter->pool, &vcenter->job->settings, &vcenter->about, &same);
    if (row != NULL)
        job_add_command(vcenter->job, row);
}

err_t *vcenter_begin(vcenter_t *vcenter, job_t *job)
{
    json_t *row = NULL;
    str_t env_key = config_str(job->executor->config, "ENCRYPTION_KEY");
    *vcenter = (vcenter_t){.job = job, .pool = pool_create(), .task_id = job_task_id(job, STR_NULL)};
    err_t *err = NULL;
    if (env_key.len == 0)
        err = gateway_select_one(job_client(job), vcenter->pool,
                                 STR("activity_settings?select=encryption_key&limit=1"), &row);
    vcenter->key = env_key.len > 0 ? env_key : row != NULL ? read_json_str(row, "encryption_key") : STR_NULL;
    return err;
}

void vcenter_end(vcenter_t *vcenter)
{
    pool_destroy(vcenter->pool);
}

err_t *vcenter_password(const vcenter_t *vcenter, const json_t *row, str_t *password)
{
    if (secret_decrypt(vcenter->pool, vcenter->key, read_json_str(row, "password_encrypted"), password))
        return NULL;
    return err_make(vcenter->pool, 0, ERR_FAMILY_UPSTREAM, "undecipherable",
                    "the stored password cannot be decrypted");
}

err_t *vcenter_url(pool_t *pool, str_t host, int64_t port, str_t *out)
{
    bool is_host = host.len > 0 && host.len <= 255;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.base[i];
        is_host = is_host && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c != '\0' && strchr(".-_:[]", c) != NULL));
    }
    if (!is_host || port < 1 || port > UINT16_MAX)
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid",
                        "The vCenter needs the name or address of a host, and a port");
    bool is_bare_v6 = host.base[0] != '[' && str_find_char(host, ':', 0) != SIZE_MAX;
    *out = pool_printf(pool, is_bare_v6 ? "https://[%.*s]:%d" : "https://%.*s:%d", STR_ARG(host), (int)port);
    return NULL;
}

err_t *vcenter_client(vcenter_t *vcenter, const json_t *row, str_t password, int timeout_ms, int deadline_ms,
                      vsphere_t **out)
{
    const executor_t *executor = vcenter->job->executor;
    vsphere_options_t options = {.username = read_json_str(row, "username"),
                                 .password = password,
                                 .is_verified = read_json_bool(row, "verify_ssl", true),
                                 .ca_file = config_str(executor->config, "BASALT_CA_FILE"),
                                 .addr_policy = executor->device_addresses,
                                 .timeout_ms = timeout_ms,
                                 .deadline_ms = deadline_ms,
                                 .is_cancelled = &vcenter->job->is_halted,
                                 .on_record = on_record,
                                 .arg = vcenter};
    err_t *err = vcenter_url(vcenter->pool, read_json_str(row, "host"), read_json_int(row, "port", 443),
                             &options.base_url);
    if (err != NULL)
        return err;
    vcenter->about =
        (activity_about_t){.operation_type = "vcenter_api", .task_id = vcenter->task_id, .secret = password};
    *out = vsphere_create(&options);
    return NULL;
}
