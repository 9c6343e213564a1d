#include "functions/device_info.h"

#include "base/clock.h"
#include "functions/activity.h"
#include "functions/peer.h"

#define TIMEOUT_MS 10000

typedef struct {
    api_task_t *task;
    const device_where_t *where;
} recorder_t;

static void on_record(void *arg, const redfish_record_t *record)
{
    const recorder_t *recorder = arg;
    activity_t activity = {.command_type = pool_cstr(recorder->task->pool, record->method),
                           .operation_type = redfish_operation_name(record->operation),
                           .source = "edge_function",
                           .endpoint = record->path,
                           .full_url = record->url,
                           .server_id = recorder->where->server_id,
                           .user_id = recorder->task->identity.sub,
                           .headers = record->headers,
                           .header_count = record->header_count,
                           .request_body = record->request_body,
                           .response_body = record->response_body,
                           .status = record->status,
                           .elapsed_us = record->elapsed_us,
                           .is_success = record->is_success,
                           .error = record->error,
                           .secrets = &recorder->where->password,
                           .secret_count = 1};
    activity_note(recorder->task->gateway, recorder->task->pool, &activity);
}

static str_t link_of(const json_t *root, const char *name)
{
    const json_t *link = read_json_object(root, name);
    return link != NULL ? read_json_str(link, "@odata.id") : STR_NULL;
}

static str_t endpoints_of(pool_t *pool, const json_t *root)
{
    static const char *const NAMES[][2] = {{"systems", "Systems"},    {"managers", "Managers"},
                                           {"chassis", "Chassis"},    {"update_service", "UpdateService"},
                                           {"task_service", "Tasks"}, {"session_service", "SessionService"}};
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        emit_key(&emit, str_from_c(NAMES[i][0]));
        emit_string(&emit, link_of(root, NAMES[i][1]));
    }
    emit_object_end(&emit);
    return buf_str(&out);
}

static err_t *read_root(redfish_t *redfish, pool_t *pool, device_info_t *out)
{
    json_t *root = NULL;
    err_t *err = redfish_probe(redfish, pool, &root);
    if (err != NULL && str_eq(err->code, STR("tls"))) {
        redfish_use_legacy_tls(redfish);
        err = redfish_probe(redfish, pool, &root);
    }
    if (err != NULL)
        return err;
    redfish_identify(root, &out->identity);
    out->endpoints = endpoints_of(pool, root);
    return NULL;
}

/* The controller is optional. */
static void read_manager(redfish_t *redfish, pool_t *pool, device_info_t *out)
{
    json_t *manager = NULL;
    err_t *err = redfish_get(redfish, pool, STR(REDFISH_MANAGER), &manager);
    if (err != NULL)
        return;
    out->system.firmware_version = read_json_str(manager, "FirmwareVersion");
    out->interfaces = link_of(manager, "EthernetInterfaces");
}

static err_t *read_all(redfish_t *redfish, pool_t *pool, device_info_t *out, const char **stage)
{
    int64_t start = clock_mono_us(), from = start;
    *stage = "Failed to connect to iDRAC";
    err_t *err = read_root(redfish, pool, out);
    out->root_us = clock_mono_us() - from;
    if (err != NULL)
        return err;
    *stage = "Failed to retrieve system information";
    err = redfish_open(redfish, pool);
    from = clock_mono_us();
    if (err == NULL)
        err = redfish_read_system(redfish, pool, &out->system);
    out->system_us = clock_mono_us() - from;
    if (err != NULL)
        return err;
    from = clock_mono_us();
    read_manager(redfish, pool, out);
    out->manager_us = clock_mono_us() - from;
    out->total_us = clock_mono_us() - start;
    out->has_session = !str_is_null(redfish_session_path(redfish));
    return NULL;
}

err_t *device_info_read(api_task_t *task, const device_where_t *where, device_info_t *out, const char **stage)
{
    recorder_t recorder = {task, where};
    *out = (device_info_t){0};
    *stage = "Failed to connect to iDRAC";
    if (!peer_is_host(where->address))
        return err_make(task->pool, 400, ERR_FAMILY_UPSTREAM, "address", "The address is not valid");
    redfish_t *redfish = redfish_create(&(redfish_options_t){.address = where->address,
                                                             .username = where->username,
                                                             .password = where->password,
                                                             .is_legacy_tls = where->is_legacy_tls,
                                                             .addr_policy = peer_policy(task->gateway),
                                                             .timeout_ms = TIMEOUT_MS,
                                                             .deadline_us = task->deadline_us,
                                                             .attempts_max = 1,
                                                             .on_record = on_record,
                                                             .arg = &recorder});
    err_t *err = read_all(redfish, task->pool, out, stage);
    redfish_destroy(redfish);
    return err;
}

str_t device_info_failure(api_task_t *task, const char *stage, const err_t *err)
{
    bool is_transport = str_eq(err->code, STR("connect")) || str_eq(err->code, STR("timeout")) ||
                        str_eq(err->code, STR("tls")) || str_eq(err->code, STR("address")) ||
                        str_eq(err->code, STR("protocol"));
    if (is_transport)
        return err->message;
    bool is_root = strcmp(stage, "Failed to connect to iDRAC") == 0;
    return pool_printf(
        task->pool, is_root ? "iDRAC responded with status %d" : "System info request failed with status %d",
        (int)err->status);
}

void device_info_emit_system(emit_t *emit, const device_info_t *info)
{
    const redfish_system_t *system = &info->system;
    emit_kv_string(emit, "hostname", system->hostname);
    emit_kv_string(emit, "manufacturer", system->manufacturer);
    emit_kv_string(emit, "model", system->model);
    emit_kv_string(emit, "service_tag", system->service_tag);
    emit_kv_string(emit, "bios_version", system->bios_version);
    emit_kv_string(emit, "power_state", system->power_state);
    emit_kv_string(emit, "idrac_firmware", system->firmware_version);
    emit_kv_string(emit, "redfish_version", info->identity.redfish_version);
}

void device_info_emit_times(emit_t *emit, const device_info_t *info)
{
    emit_key(emit, STR("response_times"));
    emit_object_begin(emit);
    emit_kv_int(emit, "root_ms", info->root_us / 1000);
    emit_kv_int(emit, "system_ms", info->system_us / 1000);
    emit_kv_int(emit, "manager_ms", info->manager_us / 1000);
    emit_kv_int(emit, "total_ms", info->total_us / 1000);
    emit_object_end(emit);
    emit_kv_string(emit, "auth_method", info->has_session ? STR("session_token") : STR("basic_auth"));
}
