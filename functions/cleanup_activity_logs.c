#include "functions/fn.h"

static const char SETTINGS_SQL[] =
    "select coalesce(bool_or(auto_cleanup_enabled), true), coalesce(nullif(max(log_retention_days), 0), 30)"
    "  from public.activity_settings";

static const char COUNT_SQL[] =
    "select json_build_object('success', true, 'preview', true, 'count', count(*), 'retentionDays', $1::int,"
    "           'cutoffDate', to_char((now() - make_interval(days => $1::int)) at time zone 'utc',"
    "                                 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))"
    "  from public.idrac_commands where timestamp < now() - make_interval(days => $1::int)";

static const char DELETE_SQL[] =
    "with gone as ("
    "    delete from public.idrac_commands where timestamp < now() - make_interval(days => $1::int) "
    "returning 1"
    "), marked as ("
    "    update public.activity_settings set last_cleanup_at = now()"
    "), audited as ("
    "    insert into public.audit_logs (user_id, action, details, ip_address)"
    "    select $2::uuid, 'activity_logs_cleaned', jsonb_build_object('deleted', count(*), 'retention_days', "
    "$1::int),"
    "           $3"
    "      from gone"
    ")"
    " select json_build_object('success', true, 'preview', false, 'deleted', count(*), 'retentionDays', "
    "$1::int,"
    "            'cutoffDate', to_char((now() - make_interval(days => $1::int)) at time zone 'utc',"
    "                                  'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))"
    "   from gone";

/* Sets *days: the override, else the setting. False when cleaning is off and nobody overrides it. */
static err_t *read_retention(api_task_t *task, const json_t *body, str_t *days, bool *is_enabled)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    const json_t *wanted = json_object_get(body, "retentionDays");
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(SETTINGS_SQL), NULL, 0, &rows);
    db_session_rollback(session);
    if (err != NULL)
        return err;
    bool has_override =
        json_is_number(wanted) && json_number_value(wanted) >= 1 && json_number_value(wanted) < 1e5;
    *days =
        has_override ? pool_printf(task->pool, "%d", (int)json_number_value(wanted)) : db_value(&rows, 0, 1);
    *is_enabled = has_override || str_eq(db_value(&rows, 0, 0), STR("t"));
    return NULL;
}

void fn_cleanup_activity_logs(api_task_t *task)
{
    json_t *body = NULL;
    str_t days = STR_NULL;
    bool is_enabled = false;
    if (task->body.len > 0 && !fn_body(task, &body, fn_fail_success))
        return;
    bool is_preview = read_json_bool(body, "preview", false);
    err_t *err = read_retention(task, body, &days, &is_enabled);
    str_t user = task->identity.sub.len > 0 ? task->identity.sub : STR_NULL;
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else if (is_preview)
        fn_reply_query(task, FN_SQL(COUNT_SQL), DB_PARAMS(days), fn_fail_success);
    else if (!is_enabled)
        fn_reply(task, 200,
                 STR("{\"success\":true,\"message\":\"Auto-cleanup is "
                     "disabled\",\"deleted\":0,\"preview\":false}"));
    else
        fn_reply_query(task, FN_SQL(DELETE_SQL), DB_PARAMS(days, user, task->client_addr), fn_fail_success);
}
