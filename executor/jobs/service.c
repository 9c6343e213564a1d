#include "executor/jobs/service.h"

#include "base/read_json.h"
#include "drivers/credentials/secret.h"

enum { STORE_MS = 120000 };

void service_record(service_t *service, const redfish_record_t *record)
{
    json_t *row = activity_row(service->pool, &service->job->settings, &service->about, record);
    if (row != NULL)
        job_add_command(service->job, row);
}

err_t *service_begin(service_t *service, job_t *job)
{
    json_t *row = NULL;
    str_t env_key = config_str(job->executor->config, "ENCRYPTION_KEY");
    *service = (service_t){.job = job, .pool = pool_create(), .task_id = job_task_id(job, STR_NULL)};
    err_t *err = NULL;
    if (env_key.len == 0)
        err = gateway_select_one(job_client(job), service->pool,
                                 STR("activity_settings?select=encryption_key&limit=1"), &row);
    service->key = env_key.len > 0 ? env_key : row != NULL ? read_json_str(row, "encryption_key") : STR_NULL;
    return err;
}

void service_end(service_t *service)
{
    pool_destroy(service->pool);
}

err_t *service_password(const service_t *service, const json_t *row, str_t *password)
{
    if (secret_decrypt(service->pool, service->key, read_json_str(row, "password_encrypted"), password))
        return NULL;
    return err_make(service->pool, 0, ERR_FAMILY_UPSTREAM, "undecipherable",
                    "the stored password cannot be decrypted");
}

err_t *service_url(pool_t *pool, str_t host, int64_t port, str_t *out)
{
    bool is_host = host.len > 0 && host.len <= 255;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.base[i];
        is_host = is_host && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c != '\0' && strchr(".-_:[]", c) != NULL));
    }
    if (!is_host || port < 1 || port > UINT16_MAX)
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid",
                        "It needs the name or address of a host, and a port");
    bool is_bare_v6 = host.base[0] != '[' && str_find_char(host, ':', 0) != SIZE_MAX;
    *out = pool_printf(pool, is_bare_v6 ? "https://[%.*s]:%d" : "https://%.*s:%d", STR_ARG(host), (int)port);
    return NULL;
}

static void count(const service_t *service, const json_t *answer, str_t subject, service_stored_t *stored)
{
    size_t i;
    const json_t *text, *summary = read_json_object(answer, "summary");
    stored->total += read_json_int(summary, "total", 0);
    stored->added += read_json_int(summary, "new", 0);
    stored->updated += read_json_int(summary, "updated", 0);
    stored->linked += read_json_int(summary, "auto_linked", 0);
    stored->failed += read_json_int(summary, "errors", 0);
    json_array_foreach(read_json_array(answer, "errors"), i, text)
    {
        if (json_is_string(text))
            job_log(service->job, "WARN", "%.*s%s%s", STR_ARG(subject), subject.len > 0 ? ": " : "",
                    json_string_value(text));
    }
}

err_t *service_store(service_t *service, str_t function, const json_t *body, str_t subject,
                     service_stored_t *stored)
{
    json_t *answer = NULL;
    job_t *job = service->job;
    pool_t *pool = pool_create();
    err_t *err = job->is_halted
                     ? err_make(pool, 0, ERR_FAMILY_UPSTREAM, "cancelled", "the job has ended")
                     : gateway_function_post(job_client(job), pool, function, body, STORE_MS, &answer);
    if (err == NULL && !json_is_object(answer))
        err = err_make(pool, 502, ERR_FAMILY_UPSTREAM, "gateway", "the gateway answered no object");
    if (err == NULL)
        count(service, answer, subject, stored);
    err = err != NULL ? err_copy(service->pool, err) : NULL;
    pool_destroy(pool);
    return err;
}
