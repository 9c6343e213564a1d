#include "functions/fn.h"

/* One conditional statement: a job that changes meanwhile, or that an executor holds, stays as it is. */
static const char SQL[] =
    "with limits as ("
    "    select coalesce(nullif(stale_pending_hours, 0), 24) as pending_hours,"
    "           coalesce(nullif(stale_running_hours, 0), 48) as running_hours"
    "      from public.activity_settings where auto_cancel_stale_jobs limit 1"
    "), stale as ("
    "    select j.id, j.job_type, j.status, format('Auto-cancelled: stuck in %s state for >%s hours', "
    "j.status,"
    "               case j.status when 'pending' then pending_hours else running_hours end) as reason"
    "      from public.jobs j, limits"
    "     where (j.status = 'pending'"
    "            and coalesce(j.schedule_at, j.created_at) < now() - make_interval(hours => pending_hours))"
    "        or (j.status = 'running' and j.started_at < now() - make_interval(hours => running_hours))"
    "       for update of j skip locked"
    "), cancelled as ("
    "    update public.jobs j"
    "       set status = 'cancelled', completed_at = now(),"
    "           details = coalesce(j.details, '{}') || jsonb_build_object('cancellation_reason', "
    "stale.reason,"
    "               'cancelled_by', 'system', 'cancelled_at', now())"
    "      from stale where j.id = stale.id"
    "    returning j.id, stale.job_type, stale.status, stale.reason"
    "), tasks as ("
    "    update public.job_tasks t set status = 'cancelled', completed_at = now()"
    "      from cancelled where t.job_id = cancelled.id and t.status in ('pending', 'running')"
    "), audited as ("
    "    insert into public.audit_logs (action, details)"
    "    select 'stale_jobs_cancelled', jsonb_build_object('job_ids', jsonb_agg(id))"
    "      from cancelled having count(*) > 0"
    ")"
    " select json_strip_nulls(json_build_object("
    "    'message', case when not exists (select 1 from limits) then 'Auto-cancel stale jobs is disabled' "
    "end,"
    "    'cancelled_jobs', coalesce((select json_agg(json_build_object('id', id, 'job_type', job_type,"
    "                                     'status', status, 'reason', reason)) from cancelled), '[]'),"
    "    'total_cancelled', (select count(*) from cancelled),"
    "    'executed_at', to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')))";

void fn_cancel_stale_jobs(api_task_t *task)
{
    fn_reply_query(task, FN_SQL(SQL), NULL, 0, fn_fail);
}
