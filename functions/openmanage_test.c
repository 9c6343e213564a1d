#include "functions/peer.h"

/* The form sends back what it read, that is the stored ciphertext. It is opened only when it is the very one
 * of these settings and goes to the very host that they name: anything else would make this a way to open
 * ciphertexts. */
static const char SECRET_SQL[] =
    "select coalesce(public.decrypt_password(o.password, k.encryption_key), o.password)"
    "  from public.openmanage_settings o"
    "  left join (select encryption_key from public.activity_settings limit 1) k on true"
    " where (coalesce($1, '') = '' or o.password = $1) and lower(o.host) = lower($2) and o.port = $3::int"
    "   and o.username = $4"
    " order by o.created_at limit 1";

static bool is_sealed(str_t text)
{
    return text.len == 0 || str_starts_with(text, STR("enc:v1:"));
}

static err_t *read_stored(api_task_t *task, peer_where_t *where)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(SECRET_SQL),
                               DB_PARAMS(where->password, where->host,
                                         pool_printf(task->pool, "%lld", (long long)where->port),
                                         where->username),
                               &rows);
    if (err == NULL && rows.row_count == 1)
        where->password = pool_str(task->pool, db_value(&rows, 0, 0));
    else if (err == NULL)
        where->password = STR_NULL;
    db_session_rollback(session);
    return err;
}

static void reply(api_task_t *task, const peer_t *peer, const err_t *err)
{
    buf_t out;
    emit_t emit;
    str_t why = err == NULL ? STR("Connected to OpenManage Enterprise")
                : str_eq(err->code, STR("refused"))
                    ? pool_concat(task->pool, 2, STR("Connection failed: "), err->message)
                    : peer_failure(err);
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", err == NULL);
    emit_kv_string(&emit, "message", why);
    if (err != NULL)
        emit_kv_string(&emit, "error", why);
    emit_kv_int(&emit, "response_time_ms", peer->elapsed_us / 1000);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

void fn_openmanage_test(api_task_t *task)
{
    json_t *body = NULL;
    if (!fn_body(task, &body, fn_fail_success))
        return;
    peer_t peer = {.task = task, .operation_type = "openmanage_api", .source = "openmanage_test"};
    peer.where = (peer_where_t){.host = str_trim(read_json_str(body, "host")),
                                .port = read_json_int(body, "port", 443),
                                .username = read_json_str(body, "username"),
                                .password = read_json_str(body, "password"),
                                .is_verified = read_json_bool(body, "verify_ssl", true)};
    err_t *err = peer_init(&peer);
    if (err == NULL && is_sealed(peer.where.password))
        err = read_stored(task, &peer.where);
    if (err == NULL && (peer.where.username.len == 0 || peer.where.password.len == 0))
        err = err_make(task->pool, 400, ERR_FAMILY_REQUEST, "invalid", "User name and password are needed");
    if (err != NULL && err->status == 400)
        fn_fail_success(task, 400, err->message);
    else if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else {
        err = peer_open_openmanage(&peer, "OPENMANAGE_CONNECTION_TEST");
        reply(task, &peer, err);
    }
    peer_close(&peer);
}
