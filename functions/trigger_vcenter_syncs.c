#include "functions/fn.h"

/* The due vCenters are locked while their jobs are made, so that two schedulers never queue one twice. */
static const char SQL[] =
    "with due as ("
    "    select id, name, sync_interval_minutes from public.vcenters"
    "     where sync_enabled and next_sync_at <= now()"
    "       for update skip locked"
    "), open as ("
    "    select due.*, exists (select 1 from public.jobs j"
    "                           where j.job_type = 'vcenter_sync' and j.status in ('pending', 'running')"
    "                             and j.details ->> 'vcenter_id' = due.id::text) as is_running"
    "      from due"
    "), queued as ("
    "    insert into public.jobs (job_type, status, target_scope, details)"
    "    select 'vcenter_sync', 'pending', jsonb_build_object('vcenter_ids', jsonb_build_array(id)),"
    "           jsonb_build_object('vcenter_id', id, 'vcenter_name', name, 'triggered_by', 'scheduled',"
    "                              'silent', true)"
    "      from open where not is_running"
    "    returning id"
    "), moved as ("
    "    update public.vcenters v"
    "       set next_sync_at = now() + make_interval(mins => coalesce(nullif(open.sync_interval_minutes, 0), "
    "15))"
    "      from open where v.id = open.id and not open.is_running"
    "), counts as ("
    "    select count(*) filter (where not is_running) as triggered, count(*) filter (where is_running) as "
    "skipped,"
    "           coalesce(json_agg(name) filter (where is_running), '[]') as names, count(*) as total"
    "      from open"
    ")"
    " select case when total = 0"
    "             then json_build_object('triggered', 0, 'message', 'No vCenters due for sync')"
    "             else json_build_object('triggered', triggered, 'skipped', skipped, 'skippedNames', names,"
    "                      'message', format('Triggered %s sync(s), skipped %s (already running)', triggered,"
    "                                        skipped)) end"
    "   from counts";

void fn_trigger_vcenter_syncs(api_task_t *task)
{
    fn_reply_query(task, FN_SQL(SQL), NULL, 0, fn_fail);
}
