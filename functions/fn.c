#include "functions/fn.h"

#include "base/clock.h"

void fn_reply(api_task_t *task, int status, str_t json)
{
    task->status = status;
    task->reply = json;
}

static void reply_failure(api_task_t *task, int status, str_t message, bool has_success)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 64 + message.len);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    if (has_success)
        emit_kv_bool(&emit, "success", false);
    emit_kv_string(&emit, "error", message);
    emit_object_end(&emit);
    fn_reply(task, status, buf_str(&out));
}

void fn_fail(api_task_t *task, int status, str_t message)
{
    reply_failure(task, status, message, false);
}

void fn_fail_success(api_task_t *task, int status, str_t message)
{
    reply_failure(task, status, message, true);
}

bool fn_body(api_task_t *task, json_t **body, void (*reply)(api_task_t *task, int status, str_t message))
{
    err_t *err = read_json(task->pool, task->body, &(read_json_limits_t){0}, body);
    if (err == NULL && json_is_object(*body))
        return true;
    reply(task, 500, err != NULL ? err->message : STR("The request body must be a JSON object"));
    return false;
}

err_t *fn_begin_service(api_task_t *task, db_session_t **session)
{
    return db_session_begin(task->gateway->request_sessions, task->pool,
                            &(db_session_who_t){.role = STR("service_role"),
                                                .claims_json = STR("{\"role\":\"service_role\"}"),
                                                .deadline_us = task->deadline_us},
                            session);
}

err_t *fn_begin_service_for(gateway_t *gateway, pool_t *pool, db_session_t **session)
{
    return db_session_begin(
        gateway->request_sessions, pool,
        &(db_session_who_t){.role = STR("service_role"), .claims_json = STR("{\"role\":\"service_role\"}")},
        session);
}

err_t *fn_begin_caller(api_task_t *task, db_session_t **session)
{
    return db_session_begin(task->gateway->request_sessions, task->pool,
                            &(db_session_who_t){.role = task->identity.role,
                                                .claims_json = task->identity.claims_json,
                                                .deadline_us = task->deadline_us},
                            session);
}

err_t *fn_end(db_session_t *session, err_t *err)
{
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

void fn_reply_query(api_task_t *task, str_t sql, const str_t *params, size_t param_count,
                    void (*fail)(api_task_t *task, int status, str_t message))
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, sql, params, param_count, &rows);
    err = fn_end(session, err);
    if (err != NULL)
        fail(task, 500, fn_error_text(task, err));
    else
        fn_reply(task, 200, db_value(&rows, 0, 0));
}

/* The user must still exist, not be banned, and the session of the token must not have ended. */
static const char ALIVE_SQL[] =
    "select exists (select 1 from auth.users u"
    "                where u.id = $1::uuid and u.deleted_at is null"
    "                  and (u.banned_until is null or u.banned_until <= now()))"
    "   and ($2::uuid is null or exists (select 1 from auth.sessions s"
    "                                     where s.id = $2::uuid and s.user_id = $1::uuid))";

static const char ROLE_SQL[] = "select exists (select 1 from public.user_roles r"
                               "                where r.user_id = $1::uuid"
                               "                  and r.role::text = any (string_to_array($2, ' ')))";

static err_t *query_bool(db_session_t *session, str_t sql, const str_t *params, size_t count, bool *out)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(session, sql, params, count, &rows);
    *out = err == NULL && rows.row_count == 1 && str_eq(db_value(&rows, 0, 0), STR("t"));
    return err;
}

/* auth.* belongs to the internal login, the product's tables to the service role: one transaction sees both.
 */
static err_t *check_caller(db_session_t *session, const identity_t *who, const char *roles, fn_caller_t *out)
{
    bool is_alive = false, has_role = roles == NULL;
    str_t session_id = str_is_uuid(who->session_id) ? who->session_id : STR_NULL;
    err_t *err = query_bool(session, FN_SQL(ALIVE_SQL), DB_PARAMS(who->sub, session_id), &is_alive);
    if (err == NULL && is_alive && !has_role) {
        err =
            db_session_query(session, STR("select set_config('role', 'service_role', true)"), NULL, 0, NULL);
        if (err == NULL)
            err = query_bool(session, FN_SQL(ROLE_SQL), DB_PARAMS(who->sub, str_from_c(roles)), &has_role);
    }
    *out = !is_alive ? FN_CALLER_GONE : has_role ? FN_CALLER_FINE : FN_CALLER_LACKS_ROLE;
    return err;
}

err_t *fn_caller_check(api_task_t *task, const char *roles, fn_caller_t *out)
{
    db_session_t *session = NULL;
    *out = FN_CALLER_GONE;
    if (!str_is_uuid(task->identity.sub) || task->gateway->internal_sessions == NULL)
        return NULL;
    err_t *err = db_session_begin(task->gateway->internal_sessions, task->pool,
                                  &(db_session_who_t){.deadline_us = task->deadline_us}, &session);
    if (err == NULL)
        err = check_caller(session, &task->identity, roles, out);
    db_session_rollback(session);
    return err;
}

bool fn_caller_has_role(api_task_t *task, const char *roles)
{
    fn_caller_t caller = FN_CALLER_GONE;
    return fn_caller_check(task, roles, &caller) == NULL && caller == FN_CALLER_FINE;
}

int fn_time_left_ms(const api_task_t *task, int most)
{
    if (task->deadline_us == 0)
        return most;
    int64_t left_ms = (task->deadline_us - clock_mono_us()) / 1000;
    return left_ms < 1 ? 1 : left_ms < most ? (int)left_ms : most;
}

str_t fn_error_text(api_task_t *task, const err_t *err)
{
    if (err->code.len == 0)
        return err->message;
    return pool_printf(task->pool, "%.*s (%.*s)", STR_ARG(err->message), STR_ARG(err->code));
}

err_t *fn_audit(db_session_t *session, str_t user_id, const char *action, str_t details_json,
                str_t client_addr)
{
    return db_session_query(session,
                            STR("insert into public.audit_logs (user_id, action, details, ip_address)"
                                " values ($1, $2, $3::jsonb, $4)"),
                            DB_PARAMS(user_id, str_from_c(action), details_json, client_addr), NULL);
}

str_t fn_first_bad_uuid(const json_t *array)
{
    size_t i;
    json_t *member;
    json_array_foreach(array, i, member)
    {
        str_t text = str_make(json_string_value(member), json_string_length(member));
        if (!json_is_string(member))
            return STR("(not a string)");
        if (!str_is_uuid(text))
            return text.len > 0 ? text : STR("(empty)");
    }
    return STR_NULL;
}

str_t fn_pg_array(pool_t *pool, const json_t *array)
{
    if (!json_is_array(array))
        return STR_NULL;
    buf_t out;
    size_t i;
    json_t *member;
    buf_init(&out, pool, 64);
    buf_append_char(&out, '{');
    json_array_foreach(array, i, member)
    {
        if (i > 0)
            buf_append_char(&out, ',');
        buf_append_char(&out, '"');
        const char *text = json_string_value(member);
        for (size_t k = 0; k < json_string_length(member); k++) {
            if (text[k] == '"' || text[k] == '\\')
                buf_append_char(&out, '\\');
            buf_append_char(&out, text[k]);
        }
        buf_append_char(&out, '"');
    }
    buf_append_char(&out, '}');
    return buf_str(&out);
}

size_t fn_utf16_units(str_t text)
{
    size_t units = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        units += (c & 0xC0) != 0x80 ? (c >= 0xF0 ? 2 : 1) : 0;
    }
    return units;
}
