#include "functions/vcenter_ask.h"
#include "functions/vcenter_where.h"

static const char TOUCH_SQL[] =
    "update public.vcenter_settings set last_sync = now() where lower(host) = lower($1)";

/* What the body leaves out is taken from the settings only for the very host and port that they name: a
 * stored password goes nowhere else. */
static err_t *read_where(api_task_t *task, const json_t *body, peer_where_t *where)
{
    peer_where_t *stored = NULL;
    size_t count = 0;
    err_t *err = vcenter_where(task, VCENTER_SETTINGS, &stored, &count);
    str_t host = str_trim(read_json_str(body, "host"));
    if (err != NULL)
        return err;
    if (host.len == 0 && count == 0)
        return err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "vCenter settings not configured");
    if (host.len == 0) {
        *where = stored[0];
        return NULL;
    }
    *where = (peer_where_t){.name = host,
                            .host = host,
                            .port = read_json_int(body, "port", 443),
                            .username = read_json_str(body, "username"),
                            .password = read_json_str(body, "password"),
                            .is_verified = read_json_bool(body, "verify_ssl", true)};
    if (count == 0 || !str_eq_nocase(host, stored[0].host) || where->port != stored[0].port)
        return NULL;
    if (where->username.len == 0)
        where->username = stored[0].username;
    bool is_same_user = str_eq(where->username, stored[0].username);
    if (is_same_user && (where->password.len == 0 || str_starts_with(where->password, STR("enc:v1:"))))
        where->password = stored[0].password;
    return NULL;
}

static void note_success(api_task_t *task, str_t host)
{
    db_session_t *session = NULL;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(TOUCH_SQL), DB_PARAMS(host), NULL);
    err = fn_end(session, err);
    (void)err; /* a date beside the settings: not worth failing the test of a connection */
}

static void reply(api_task_t *task, int64_t elapsed_us, str_t version, const err_t *err)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", err == NULL);
    emit_kv_int(&emit, "response_time_ms", elapsed_us / 1000);
    if (version.len > 0)
        emit_kv_string(&emit, "version", version);
    if (err != NULL && str_eq(err->code, STR("refused")))
        emit_kv_string(&emit, "error", pool_concat(task->pool, 2, STR("Connection failed: "), err->message));
    else if (err != NULL)
        emit_kv_string(&emit, "error", peer_failure(err));
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

void fn_test_vcenter_connection(api_task_t *task)
{
    json_t *body = NULL;
    str_t version = STR_NULL;
    if (!fn_caller_has_role(task, "admin")) {
        fn_fail_success(task, 403, STR("Unauthorized: Admin role required"));
        return;
    }
    task->body = task->body.len > 0 ? task->body : STR("{}");
    if (!fn_body(task, &body, fn_fail_success))
        return;
    peer_t peer = {.task = task, .operation_type = "vcenter_api", .source = "test_vcenter_connection"};
    err_t *err = read_where(task, body, &peer.where);
    if (err == NULL)
        err = peer_init(&peer);
    if (err != NULL) {
        fn_fail_success(task, 500, fn_error_text(task, err));
        return;
    }
    err = vcenter_sign_in(&peer, "VCENTER_CONNECTION_TEST", &version);
    if (err == NULL)
        note_success(task, peer.where.host);
    reply(task, peer.elapsed_us, version, err);
    peer_close(&peer);
}
