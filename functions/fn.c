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

static db_session_who_t service_who(int64_t deadline_us)
{
    return (db_session_who_t){.role = STR("service_role"),
                              .claims_json = STR("{\"role\":\"service_role\"}"),
                              .deadline_us = deadline_us};
}

db_session_who_t fn_service_who(const api_task_t *task)
{
    return service_who(task->deadline_us);
}

err_t *fn_begin_service(api_task_t *task, db_session_t **session)
{
    db_session_who_t who = service_who(task->deadline_us);
    return db_session_begin(task->gateway->request_sessions, task->pool, &who, session);
}

err_t *fn_read_service(api_task_t *task, str_t sql, const str_t *params, size_t count, db_rows_t *rows)
{
    db_session_who_t who = service_who(task->deadline_us);
    return db_session_read(task->gateway->request_sessions, task->pool, &who, sql, params, count, rows);
}

err_t *fn_write_service(api_task_t *task, str_t sql, const str_t *params, size_t count, db_rows_t *rows)
{
    db_session_who_t who = service_who(task->deadline_us);
    return db_session_write(task->gateway->request_sessions, task->pool, &who, sql, params, count, rows);
}

err_t *fn_begin_service_for(gateway_t *gateway, pool_t *pool, db_session_t **session)
{
    db_session_who_t who = service_who(0);
    return db_session_begin(gateway->request_sessions, pool, &who, session);
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
    db_rows_t rows = {0};
    err_t *err = fn_write_service(task, sql, params, param_count, &rows);
    if (err != NULL)
        fail(task, 500, fn_error_text(task, err));
    else
        fn_reply(task, 200, db_value(&rows, 0, 0));
}

err_t *fn_caller_check(api_task_t *task, const char *roles, fn_caller_t *out)
{
    db_rows_t rows = {0};
    const identity_t *who = &task->identity;
    *out = FN_CALLER_GONE;
    if (!str_is_uuid(who->sub) || task->gateway->internal_sessions == NULL)
        return NULL;
    str_t session_id = str_is_uuid(who->session_id) ? who->session_id : STR_NULL;
    err_t *err = db_session_read(
        task->gateway->internal_sessions, task->pool, &(db_session_who_t){.deadline_us = task->deadline_us},
        STR("select basalt.caller_state($1::uuid, $2::uuid, string_to_array($3, ' '))"),
        DB_PARAMS(who->sub, session_id, roles != NULL ? str_from_c(roles) : STR_NULL), &rows);
    if (err != NULL)
        return err;
    str_t state = db_value(&rows, 0, 0);
    *out = str_eq(state, STR("fine"))           ? FN_CALLER_FINE
           : str_eq(state, STR("without_role")) ? FN_CALLER_LACKS_ROLE
                                                : FN_CALLER_GONE;
    return NULL;
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
