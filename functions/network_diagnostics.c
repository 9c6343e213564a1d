#include "functions/fn.h"

/* Read with the caller's rights: row security decides what counts. */
static const char SQL[] =
    "with day as ("
    "    select created_at, endpoint, success, error_message, response_time_ms"
    "      from public.idrac_commands where created_at >= now() - interval '24 hours'"
    "), newest as ("
    "    select json_build_object('timestamp', created_at, 'endpoint', endpoint, 'error', error_message) as "
    "failure"
    "      from day where not success order by created_at desc limit 10"
    ")"
    " select json_build_object("
    "    'activeConnections', (select count(*) from public.jobs where status in ('pending', 'running')),"
    "    'recentErrors', coalesce((select json_agg(failure) from newest), '[]'),"
    "    'avgLatency', coalesce((select round(avg(response_time_ms)) from day), 0),"
    "    'successRate', coalesce((select round(100.0 * count(*) filter (where success) / nullif(count(*), 0))"
    "                               from day), 0),"
    "    'timestamp', to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))";

void fn_network_diagnostics(api_task_t *task)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = fn_begin_caller(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(SQL), NULL, 0, &rows);
    db_session_rollback(session);
    if (err != NULL)
        fn_fail(task, 500, fn_error_text(task, err));
    else
        fn_reply(task, 200, db_value(&rows, 0, 0));
}
