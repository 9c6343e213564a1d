#include "executor/jobs/vcenter.h"

#include "base/read_json.h"

static void on_record(void *arg, const vsphere_record_t *record)
{
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
    service_record(arg, &same);
}

err_t *vcenter_client(service_t *vcenter, const json_t *row, str_t password, int timeout_ms, int deadline_ms,
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
    err_t *err = service_url(vcenter->pool, read_json_str(row, "host"), read_json_int(row, "port", 443),
                             &options.base_url);
    if (err != NULL)
        return err;
    vcenter->about =
        (activity_about_t){.operation_type = "vcenter_api", .task_id = vcenter->task_id, .secret = password};
    *out = vsphere_create(&options);
    return NULL;
}
