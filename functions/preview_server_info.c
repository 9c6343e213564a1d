#include "functions/device_credentials.h"

static void fail(api_task_t *task, int status, const char *message, str_t details)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", false);
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

static void reply(api_task_t *task, const device_where_t *where, const device_info_t *info)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 1024);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_key(&emit, STR("serverInfo"));
    emit_object_begin(&emit);
    emit_kv_string(&emit, "ip_address", where->address);
    device_info_emit_system(&emit, info);
    emit_kv_raw(&emit, "supported_endpoints", info->endpoints);
    emit_object_end(&emit);
    device_info_emit_times(&emit, info);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

/* The body's own, else the named set, else the stored ones for that address. No factory password is tried
 * unless somebody has stored it. */
static bool choose_credentials(api_task_t *task, const json_t *body, device_where_t *where)
{
    str_t set_id = read_json_str(body, "credential_set_id");
    where->username = read_json_str(body, "username");
    where->password = read_json_str(body, "password");
    if (where->username.len > 0 && where->password.len > 0)
        return true;
    if (where->username.len > 0 || where->password.len > 0) {
        fail(task, 400, "Invalid credential set", STR("User name and password belong together"));
        return false;
    }
    if (set_id.len > 0 && !str_is_uuid(set_id)) {
        fail(task, 400, "Invalid credential set", STR("credential_set_id is no id"));
        return false;
    }
    err_t *err = set_id.len > 0 ? device_credentials_of_set(task, set_id, where)
                                : device_credentials_of_address(task, where);
    if (err == NULL)
        return true;
    if (err->family == ERR_FAMILY_UPSTREAM)
        fail(task, 400, "Invalid credential set", err->message);
    else
        fail(task, 500, "Internal server error", fn_error_text(task, err));
    return false;
}

void fn_preview_server_info(api_task_t *task)
{
    json_t *body = NULL;
    device_where_t where = {0};
    device_info_t info;
    const char *stage = NULL;
    if (!fn_body(task, &body, fail_body))
        return;
    where.address = str_trim(read_json_str(body, "ip_address"));
    if (where.address.len == 0) {
        fail(task, 400, "Missing ip_address", STR_NULL);
        return;
    }
    if (!choose_credentials(task, body, &where))
        return;
    err_t *err = device_info_read(task, &where, &info, &stage);
    if (err != NULL)
        fail(task, 500, stage, device_info_failure(task, stage, err));
    else
        reply(task, &where, &info);
}
