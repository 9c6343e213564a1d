#include "functions/fn.h"

/* Types that the system queues for itself. */
#define BACKGROUND_TYPES                                                                                     \
    "'{scheduled_vcenter_sync,scheduled_replication_check,rpo_monitoring,vcenter_sync,partial_vcenter_sync," \
    "cluster_health_check}'::text[]"

#define CUTOFF_JSON                                                                                          \
    "to_char((now() - make_interval(days => $1::int)) at time zone 'utc', "                                  \
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

/* $1 retention in days, $2 background types too */
#define OLD_JOBS                                                                                             \
    "select id, job_type::text as job_type, job_type::text = any (" BACKGROUND_TYPES ") as is_background"    \
    "  from public.jobs"                                                                                     \
    " where status in ('completed', 'failed', 'cancelled') and created_at < now() - make_interval(days => "  \
    "$1::int)"                                                                                               \
    "   and ($2::boolean or job_type::text <> all (" BACKGROUND_TYPES "))"

static const char SETTINGS_SQL[] = "select coalesce(bool_and(job_auto_cleanup_enabled), true), "
                                   "coalesce(nullif(max(job_retention_days), 0), 90),"
                                   "       coalesce(bool_and(auto_cancel_stale_jobs), true), "
                                   "coalesce(nullif(max(stale_pending_hours), 0), 24),"
                                   "       coalesce(nullif(max(stale_running_hours), 0), 48)"
                                   "  from public.activity_settings";

static const char PREVIEW_SQL[] =
    "with old as (" OLD_JOBS "), types as (select job_type, count(*) as count from old group by job_type)"
    " select json_build_object('success', true, 'preview', true, 'retentionDays', $1::int,"
    "    'cutoffDate', " CUTOFF_JSON ","
    "    'counts', json_build_object("
    "        'total', (select count(*) from old),"
    "        'background', (select count(*) from old where is_background),"
    "        'user', (select count(*) from old where not is_background),"
    "        'tasks', (select count(*) from public.job_tasks t join old on old.id = t.job_id),"
    "        'byType', coalesce((select json_agg(json_build_object('jobType', job_type, 'count', count)"
    "                                            order by count desc, job_type) from types), '[]'),"
    "        'stale', json_build_object("
    "            'pending', (select count(*) from public.jobs where status = 'pending'"
    "                and coalesce(schedule_at, created_at) < now() - make_interval(hours => $3::int)),"
    "            'running', (select count(*) from public.jobs where status = 'running'"
    "                and started_at < now() - make_interval(hours => $4::int)))))";

static const char CANCEL_SQL[] =
    "with stale as ("
    "    update public.jobs set status = 'cancelled', completed_at = now(),"
    "           notes = format('Auto-cancelled: exceeded stale %s threshold', status)"
    "     where (status = 'pending' and coalesce(schedule_at, created_at) < now() - make_interval(hours => "
    "$1::int))"
    "        or (status = 'running' and started_at < now() - make_interval(hours => $2::int))"
    "    returning id, notes"
    "), orphaned as ("
    "    update public.jobs j set status = 'cancelled', completed_at = now(),"
    "           notes = 'Auto-cancelled: parent job no longer active'"
    "      from public.jobs parent"
    "     where parent.id = j.parent_job_id and parent.status not in ('pending', 'running')"
    "       and j.status in ('pending', 'running') and j.id not in (select id from stale)"
    "    returning j.id"
    ")"
    " select (select count(*) from stale where notes like '%pending%'),"
    "        (select count(*) from stale where notes like '%running%'), (select count(*) from orphaned)";

/* One batch; array_agg gives null when there is none. */
static const char BATCH_SQL[] = "select array_agg(id), count(*) from (" OLD_JOBS
                                " order by created_at limit 500 for update skip locked) old";

/* References to jobs without an action of their own are let go of, wherever they are. */
static const char REFERENCES_SQL[] =
    "select format('update %s set %I = null where %I = any ($1::uuid[])', c.conrelid::regclass, a.attname, "
    "a.attname)"
    "  from pg_catalog.pg_constraint c"
    "  join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]"
    " where c.contype = 'f' and c.confrelid = 'public.jobs'::regclass and c.confdeltype in ('a', 'r')"
    "   and cardinality(c.conkey) = 1 and not a.attnotnull";

typedef struct {
    str_t days, with_background, pending_hours, running_hours;
    bool is_enabled, cancels_stale;
} cleanup_t;

typedef struct {
    int64_t jobs, tasks;
    str_t pending, running, orphaned;
} outcome_t;

static err_t *read_settings(api_task_t *task, db_session_t *session, const json_t *body, cleanup_t *cleanup)
{
    db_rows_t rows = {0};
    const json_t *wanted = json_object_get(body, "retentionDays");
    bool has_override =
        json_is_number(wanted) && json_number_value(wanted) >= 1 && json_number_value(wanted) < 1e5;
    err_t *err = db_session_query(session, FN_SQL(SETTINGS_SQL), NULL, 0, &rows);
    if (err != NULL)
        return err;
    cleanup->is_enabled = has_override || str_eq(db_value(&rows, 0, 0), STR("t"));
    cleanup->days =
        has_override ? pool_printf(task->pool, "%d", (int)json_number_value(wanted)) : db_value(&rows, 0, 1);
    cleanup->cancels_stale = str_eq(db_value(&rows, 0, 2), STR("t"));
    cleanup->pending_hours = db_value(&rows, 0, 3);
    cleanup->running_hours = db_value(&rows, 0, 4);
    cleanup->with_background =
        read_json_bool(body, "includeBackgroundJobs", true) ? STR("true") : STR("false");
    return NULL;
}

static err_t *cancel_stale(db_session_t *session, const cleanup_t *cleanup, outcome_t *outcome)
{
    db_rows_t rows = {0};
    outcome->pending = outcome->running = outcome->orphaned = STR("0");
    if (!cleanup->cancels_stale)
        return NULL;
    err_t *err = db_session_query(session, FN_SQL(CANCEL_SQL),
                                  DB_PARAMS(cleanup->pending_hours, cleanup->running_hours), &rows);
    if (err != NULL)
        return err;
    outcome->pending = db_value(&rows, 0, 0);
    outcome->running = db_value(&rows, 0, 1);
    outcome->orphaned = db_value(&rows, 0, 2);
    return NULL;
}

static err_t *delete_batch(db_session_t *session, const db_rows_t *references, str_t ids, outcome_t *outcome)
{
    db_rows_t rows = {0};
    err_t *err = NULL;
    for (size_t i = 0; err == NULL && i < references->row_count; i++)
        err = db_session_query(session, db_value(references, i, 0), DB_PARAMS(ids), NULL);
    if (err == NULL)
        err = db_session_query(session, STR("delete from public.job_tasks where job_id = any ($1::uuid[])"),
                               DB_PARAMS(ids), &rows);
    if (err != NULL)
        return err;
    outcome->tasks += rows.affected;
    err = db_session_query(session, STR("delete from public.jobs where id = any ($1::uuid[])"),
                           DB_PARAMS(ids), &rows);
    outcome->jobs += err == NULL ? rows.affected : 0;
    return err;
}

static err_t *delete_old(db_session_t *session, const cleanup_t *cleanup, outcome_t *outcome)
{
    db_rows_t references = {0}, batch = {0};
    err_t *err = db_session_query(session, FN_SQL(REFERENCES_SQL), NULL, 0, &references);
    while (err == NULL) {
        err = db_session_query(session, FN_SQL(BATCH_SQL), DB_PARAMS(cleanup->days, cleanup->with_background),
                               &batch);
        if (err != NULL || str_is_null(db_value(&batch, 0, 0)))
            break;
        int64_t before = outcome->jobs;
        err = delete_batch(session, &references, db_value(&batch, 0, 0), outcome);
        if (outcome->jobs == before) /* nothing moved: do not turn in circles */
            break;
    }
    return err;
}

/* Counts and times in one reply, written by the database so that the cutoff is its own. */
static const char REPLY_SQL[] =
    "with marked as (update public.activity_settings set job_last_cleanup_at = now()), audited as ("
    "    insert into public.audit_logs (user_id, action, details, ip_address)"
    "    values ($7::uuid, 'old_jobs_cleaned', jsonb_build_object('jobs', $2::bigint, 'retention_days', "
    "$1::int), $8))"
    " select json_build_object('success', true, 'preview', false, 'retentionDays', $1::int, "
    "'cutoffDate', " CUTOFF_JSON ", 'deleted', json_build_object('jobs', $2::bigint, 'tasks', $3::bigint),"
    "  'cancelled', json_build_object('pending', $4::bigint, 'running', $5::bigint, 'orphaned', $6::bigint))";

static err_t *execute(api_task_t *task, db_session_t *session, const cleanup_t *cleanup, str_t *reply)
{
    outcome_t outcome = {0};
    db_rows_t rows = {0};
    str_t user = task->identity.sub.len > 0 ? task->identity.sub : STR_NULL;
    err_t *err = cancel_stale(session, cleanup, &outcome);
    if (err == NULL)
        err = delete_old(session, cleanup, &outcome);
    if (err == NULL)
        err = db_session_query(
            session, FN_SQL(REPLY_SQL),
            DB_PARAMS(cleanup->days, pool_printf(task->pool, "%lld", (long long)outcome.jobs),
                      pool_printf(task->pool, "%lld", (long long)outcome.tasks), outcome.pending,
                      outcome.running, outcome.orphaned, user, task->client_addr),
            &rows);
    if (err == NULL)
        *reply = db_value(&rows, 0, 0);
    return err;
}

static err_t *preview(db_session_t *session, const cleanup_t *cleanup, str_t *reply)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(
        session, FN_SQL(PREVIEW_SQL),
        DB_PARAMS(cleanup->days, cleanup->with_background, cleanup->pending_hours, cleanup->running_hours),
        &rows);
    if (err == NULL)
        *reply = db_value(&rows, 0, 0);
    return err;
}

static err_t *clean(api_task_t *task, db_session_t *session, const json_t *body, str_t *reply)
{
    cleanup_t cleanup = {0};
    err_t *err = read_settings(task, session, body, &cleanup);
    if (err != NULL)
        return err;
    if (read_json_bool(body, "preview", false))
        return preview(session, &cleanup, reply);
    if (cleanup.is_enabled)
        return execute(task, session, &cleanup, reply);
    *reply = STR(
        "{\"success\":true,\"message\":\"Auto-cleanup is disabled\",\"preview\":false,"
        "\"deleted\":{\"jobs\":0,\"tasks\":0},\"cancelled\":{\"pending\":0,\"running\":0,\"orphaned\":0}}");
    return NULL;
}

void fn_cleanup_old_jobs(api_task_t *task)
{
    json_t *body = NULL;
    db_session_t *session = NULL;
    str_t reply = STR_NULL;
    if (task->body.len > 0 && !fn_body(task, &body, fn_fail_success))
        return;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL) {
        err = clean(task, session, body, &reply);
        err = fn_end(session, err);
    }
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        fn_reply(task, 200, reply);
}
