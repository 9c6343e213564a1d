#include "base/observe.h"
#include "scheduler/inside.h"

/* A run whose gateway has gone: nobody of this process knows it and its connection holds no lock any more. */
static const char SWEEP_SQL[] =
    "update cron.job_run_details d"
    "   set status = 'failed', end_time = clock_timestamp(),"
    "       return_message = 'ERROR:  the gateway that ran it has gone; what it had not committed is undone'"
    " where d.status in ('starting', 'running') and d.runid <> all ($1::bigint[])"
    "   and (d.status = 'running' or d.start_time < clock_timestamp() - interval '10 seconds')"
    "   and not exists ("
    "       select from pg_locks l"
    "        where l.locktype = 'advisory' and l.classid = " SCHED_RUN_KEY " and l.objsubid = 2"
    "          and l.objid = (d.runid % 2147483648)::oid"
    "          and l.database = (select oid from pg_database where datname = current_database()))";

static const char JOBS_SQL[] =
    "select j.jobid, j.schedule, floor(extract(epoch from s.last_due))::bigint,"
    "       exists (select from cron.job_run_details d"
    "                where d.jobid = j.jobid and d.status in ('starting', 'running'))"
    "  from cron.job j left join basalt.schedule_state s on s.kind = 'cron' and s.name = j.jobid::text"
    " where j.active order by s.last_due";

static const char START_SQL[] =
    "with moved as ("
    "    update basalt.schedule_state set last_due = to_timestamp($2::bigint), overrun_runid = null"
    "     where kind = 'cron' and name = $1::text returning name::bigint as jobid"
    "), run as ("
    "    insert into cron.job_run_details"
    "           (jobid, database, username, command, status, return_message, start_time, end_time)"
    "    select j.jobid, j.database, j.username, j.command,"
    "           case when here then 'starting' else 'failed' end,"
    "           case when not here then format('ERROR:  commands run in database %s only', "
    "current_database()) "
    "end,"
    "           clock_timestamp(), case when not here then clock_timestamp() end"
    "      from cron.job j join moved using (jobid), lateral (select j.database = current_database() as "
    "here) "
    "h"
    "    returning runid, username, command, status"
    ")"
    " select runid, username, command from run where status = 'starting'";

static const char MISSED_SQL[] =
    "select basalt.cron_missed($1::bigint, $2::bigint, to_timestamp($3::bigint), to_timestamp($4::bigint), "
    "$5::boolean)";

typedef struct {
    str_t jobid, schedule;
    bool is_running;
} job_t;

static str_t number(pass_t *pass, int64_t value)
{
    return pool_printf(pass->pool, "%lld", (long long)value);
}

static err_t *tell_missed(pass_t *pass, const job_t *job, const due_t *due)
{
    observe(LOG_WARN, "cron_missed", F_STR("jobid", job->jobid), F_INT("count", due->missed_count),
            F_CSTR("reason", job->is_running ? "overrun" : "not_started"));
    metric_add(pass->sched->metrics.missed, due->missed_count);
    return db_session_query(pass->session, str_from_c(MISSED_SQL),
                            DB_PARAMS(job->jobid, number(pass, due->missed_count),
                                      number(pass, due->missed_first), number(pass, due->missed_last),
                                      job->is_running ? STR("t") : STR("f")),
                            NULL);
}

static err_t *start(pass_t *pass, const job_t *job, const due_t *due)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(pass->session, str_from_c(START_SQL),
                                  DB_PARAMS(job->jobid, number(pass, due->due_at)), &rows);
    if (err != NULL || rows.row_count == 0)
        return err;
    start_t *to = &pass->starts[pass->start_count++];
    str_to_int64(job->jobid, &to->jobid);
    str_to_int64(db_value(&rows, 0, 0), &to->runid);
    to->username = db_value(&rows, 0, 1);
    to->command = db_value(&rows, 0, 2);
    pass->places--;
    return NULL;
}

/* What became due since `last`. A command that finds no place stays due: the end of a run looks again. */
static err_t *judge(pass_t *pass, const job_t *job, const cron_t *cron, int64_t last)
{
    due_moment_t moment = {
        .last = last, .now = pass->now_ms / 1000, .grace_s = SCHED_GRACE_S, .is_running = job->is_running};
    due_t due = due_judge(cron, &moment);
    err_t *err = NULL;
    if (due.is_due && pass->places == 0) {
        pass->next = moment.now + 1 < pass->next ? moment.now + 1 : pass->next;
        return NULL;
    }
    pass->next = due.next < pass->next ? due.next : pass->next;
    if (due.missed_count > 0)
        err = tell_missed(pass, job, &due);
    if (err == NULL && due.is_due)
        return start(pass, job, &due);
    return err == NULL && due.handled != last ? pass_move(pass, STR("cron"), job->jobid, due.handled) : err;
}

static err_t *look_at(pass_t *pass, const db_rows_t *rows, size_t row)
{
    job_t job = {.jobid = db_value(rows, row, 0),
                 .schedule = db_value(rows, row, 1),
                 .is_running = str_eq(db_value(rows, row, 3), STR("t"))};
    cron_t cron;
    int64_t last = 0;
    if (!cron_parse(job.schedule, &cron)) {
        observe(LOG_ERROR, "cron_schedule_invalid", F_STR("jobid", job.jobid));
        return NULL;
    }
    if (!str_to_int64(db_value(rows, row, 2), &last)) { /* older than the trigger that follows jobs */
        int64_t now = pass->now_ms / 1000, next = cron_next(&cron, now);
        pass->next = next < pass->next ? next : pass->next;
        return pass_move(pass, STR("cron"), job.jobid, now);
    }
    return judge(pass, &job, &cron, last);
}

err_t *pass_cron(pass_t *pass)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(pass->session, str_from_c(SWEEP_SQL), DB_PARAMS(pass->own_runids), &rows);
    if (err == NULL && rows.affected > 0)
        observe(LOG_WARN, "cron_runs_lost", F_INT("count", rows.affected));
    if (err == NULL)
        err = db_session_query(pass->session, str_from_c(JOBS_SQL), NULL, 0, &rows);
    pass->starts = err == NULL ? POOL_ARRAY(pass->pool, start_t, pass->places) : NULL;
    for (size_t row = 0; err == NULL && row < rows.row_count; row++)
        err = look_at(pass, &rows, row);
    return err;
}
