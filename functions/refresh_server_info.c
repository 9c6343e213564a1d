#include "functions/device_credentials.h"

#include "base/clock.h"

/* With the caller's rights. Absent values leave what is stored. */
static const char UPDATE_SQL[] =
    "update public.servers"
    "   set hostname = coalesce(v.hostname, s.hostname), manufacturer = coalesce(v.manufacturer, "
    "s.manufacturer),"
    "       model = coalesce(v.model, s.model), service_tag = coalesce(v.service_tag, s.service_tag),"
    "       bios_version = coalesce(v.bios_version, s.bios_version),"
    "       power_state = coalesce(v.power_state, s.power_state),"
    "       idrac_firmware = coalesce(v.idrac_firmware, s.idrac_firmware),"
    "       redfish_version = coalesce(v.redfish_version, s.redfish_version),"
    "       cpu_count = coalesce(v.cpu_count, s.cpu_count), memory_gb = coalesce(v.memory_gb, s.memory_gb),"
    "       product_name = coalesce(v.product_name, s.product_name),"
    "       manager_mac_address = coalesce(v.manager_mac_address, s.manager_mac_address),"
    "       supported_endpoints = v.supported_endpoints, last_seen = v.last_seen,"
    "       connection_status = v.connection_status, connection_error = null"
    "  from jsonb_populate_record(null::public.servers, $2::jsonb) v, public.servers s"
    " where servers.id = $1::uuid and s.id = servers.id";

static void fail(api_task_t *task, int status, const char *message, str_t details)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "error", str_from_c(message));
    if (details.len > 0)
        emit_kv_string(&emit, "details", details);
    emit_object_end(&emit);
    fn_reply(task, status, buf_str(&out));
}

static void fail_body(api_task_t *task, int status, str_t message)
{
    fail(task, status, "Internal server error", message);
}

static void emit_count(emit_t *emit, const char *name, int64_t count)
{
    emit_key(emit, str_from_c(name));
    if (count > 0)
        emit_int(emit, count);
    else
        emit_null(emit);
}

static str_t server_json(api_task_t *task, const device_info_t *info)
{
    buf_t out;
    emit_t emit;
    const redfish_system_t *system = &info->system;
    buf_init(&out, task->pool, 1024);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    device_info_emit_system(&emit, info);
    emit_count(&emit, "cpu_count", system->cpu_count);
    emit_count(&emit, "memory_gb", system->memory_gb);
    emit_kv_string(&emit, "product_name", system->model);
    emit_kv_string(&emit, "manager_mac_address", info->identity.mac_address);
    emit_kv_raw(&emit, "supported_endpoints", info->endpoints);
    emit_kv_string(&emit, "last_seen", clock_iso8601(task->pool, clock_unix_ms()));
    emit_kv_string(&emit, "connection_status", STR("online"));
    emit_kv_null(&emit, "connection_error");
    emit_object_end(&emit);
    return buf_str(&out);
}

static err_t *write_server(api_task_t *task, str_t server_id, str_t server)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = fn_begin_caller(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(UPDATE_SQL), DB_PARAMS(server_id, server), &rows);
    if (err == NULL && rows.affected == 0)
        err = err_make(task->pool, 404, ERR_FAMILY_REQUEST, "", "There is no such server");
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static err_t *audit(api_task_t *task, const device_where_t *where, const device_info_t *info)
{
    buf_t out;
    emit_t emit;
    db_session_t *session = NULL;
    buf_init(&out, task->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "server_id", where->server_id);
    emit_kv_string(&emit, "ip_address", where->address);
    emit_kv_string(&emit, "hostname", info->system.hostname);
    device_info_emit_times(&emit, info);
    emit_object_end(&emit);
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = fn_audit(session, task->identity.sub, "server_refresh", buf_str(&out), task->client_addr);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static void store(api_task_t *task, const device_where_t *where, const device_info_t *info)
{
    buf_t out;
    emit_t emit;
    str_t server = server_json(task, info);
    err_t *err = write_server(task, where->server_id, server);
    if (err == NULL)
        err = audit(task, where, info);
    if (err != NULL) {
        fail(task, 500, "Failed to update server information", fn_error_text(task, err));
        return;
    }
    buf_init(&out, task->pool, server.len + 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_kv_raw(&emit, "server", server);
    device_info_emit_times(&emit, info);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

void fn_refresh_server_info(api_task_t *task)
{
    json_t *body = NULL;
    device_info_t info;
    const char *stage = NULL;
    err_t *err = NULL;
    if (!fn_body(task, &body, fail_body))
        return;
    device_where_t where = {.address = str_trim(read_json_str(body, "ip_address")),
                            .server_id = read_json_str(body, "server_id"),
                            .username = read_json_str(body, "idrac_username"),
                            .password = read_json_str(body, "idrac_password")};
    if (where.address.len == 0 || !str_is_uuid(where.server_id)) {
        fail(task, 400, "Missing required fields", STR_NULL);
        return;
    }
    if (where.username.len == 0 || where.password.len == 0)
        err = device_credentials_of_server(task, &where);
    if (err != NULL) {
        fail(task, 500, "Failed to connect to iDRAC",
             err->family == ERR_FAMILY_UPSTREAM ? err->message : fn_error_text(task, err));
        return;
    }
    err = device_info_read(task, &where, &info, &stage);
    if (err != NULL)
        fail(task, 500, stage, device_info_failure(task, stage, err));
    else
        store(task, &where, &info);
}
