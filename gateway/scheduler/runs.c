/* Commands of cron.job under way: each on a connection of its own, as its owner, without a worker. Their
 * final rows are written by workers, on connections that no command has touched. */
#include "base/clock.h"
#include "base/observe.h"
#include "db/ident.h"
#include "db/script.h"
#include "scheduler/inside.h"

enum { WRITE_RETRY_MS = 1000, WRITE_TRIES_MAX = 60 };

struct run {
    run_t *next;
    sched_t *sched;
    pool_t *pool;
    int64_t jobid, runid, started_us;
    db_script_t *script; /* NULL once it has ended */
    /* The final row, while it is being written: */
    str_t status, message;
    int tries;
    bool is_written;
    loop_timer_t retry;
};

/* --- the final row --- */

static const char END_SQL[] =
    "update cron.job_run_details set status = $2, return_message = $3, end_time = clock_timestamp()"
    " where runid = $1::bigint and status in ('starting', 'running')";

static void write_row(void *arg)
{
    run_t *run = arg;
    pool_t *pool = pool_create();
    db_session_t *session = NULL;
    err_t *err =
        db_session_begin(run->sched->gateway->internal_sessions, pool, &(db_session_who_t){0}, &session);
    if (err == NULL)
        err = db_session_query(
            session, str_from_c(END_SQL),
            DB_PARAMS(pool_printf(pool, "%lld", (long long)run->runid), run->status, run->message), NULL);
    if (err == NULL)
        err = db_session_commit(session);
    else
        db_session_rollback(session);
    run->is_written = err == NULL;
    pool_destroy(pool);
}

static void submit_write(void *arg);

static void forget(run_t *run)
{
    sched_t *sched = run->sched;
    run_t **at = &sched->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    sched->run_count--;
    loop_timer_stop(&run->retry);
    pool_destroy(run->pool);
}

/* A row that cannot be written is ended by the sweep of a later pass. */
static void on_written(void *arg)
{
    run_t *run = arg;
    sched_t *sched = run->sched;
    if (!run->is_written && ++run->tries < WRITE_TRIES_MAX && !sched->is_stopping) {
        loop_timer_start(sched->gateway->loop, &run->retry, WRITE_RETRY_MS, submit_write, run);
        return;
    }
    if (!run->is_written)
        observe(LOG_ERROR, "cron_run_not_recorded", F_INT("runid", run->runid));
    forget(run);
    pass_want(sched);
}

static void submit_write(void *arg)
{
    run_t *run = arg;
    if (!worker_submit(run->sched->gateway->workers, run->sched->gateway->loop, write_row, on_written, run))
        on_written(run);
}

static void on_done(void *arg, const db_script_result_t *result)
{
    run_t *run = arg;
    sched_t *sched = run->sched;
    run->script = NULL;
    run->status = result->is_good ? STR("succeeded") : STR("failed");
    run->message = pool_str(run->pool, result->message);
    metric_add(result->is_good ? sched->metrics.succeeded : sched->metrics.failed, 1);
    observe(result->is_good ? LOG_DEBUG : LOG_WARN, result->is_good ? "cron_succeeded" : "cron_failed",
            F_INT("jobid", run->jobid), F_INT("runid", run->runid), F_INT("ms", result->elapsed_us / 1000),
            F_STR("sqlstate", result->sqlstate));
    submit_write(run);
}

/* --- starting --- */

/* What the owner's login would have set is set for him: settings of the database and of the role. A command
 * ends soon after its gateway (client_connection_check_interval), and while it runs its lock says so. */
static str_t build_prologue(pool_t *pool, const start_t *start, int64_t timeout_ms)
{
    buf_t sql;
    buf_init(&sql, pool, 1024);
    buf_printf(&sql, "select pg_advisory_lock(" SCHED_RUN_KEY ", %lld);",
               (long long)(start->runid % 2147483648));
    buf_printf(&sql,
               "update cron.job_run_details set status = 'running', job_pid = pg_backend_pid(),"
               " start_time = clock_timestamp() where runid = %lld;",
               (long long)start->runid);
    buf_printf(&sql,
               "set client_connection_check_interval = 2000; set application_name = 'basalt cron';"
               "set idle_in_transaction_session_timeout = 0; set statement_timeout = %lld;",
               (long long)timeout_ms);
    buf_append_lit(&sql, "select set_config(s.name, s.value, false)"
                         "  from pg_db_role_setting d, unnest(d.setconfig) with ordinality as u (pair, n),"
                         "       lateral (select split_part(u.pair, '=', 1) as name,"
                         "                       substr(u.pair, strpos(u.pair, '=') + 1) as value) s"
                         "  left join pg_settings p on p.name = s.name"
                         " where d.setdatabase in (0, (select oid from pg_database where datname = "
                         "current_database()))"
                         "   and d.setrole = (select oid from pg_roles where rolname = ");
    ident_append_literal(&sql, start->username);
    buf_append_lit(&sql, ") and coalesce(p.context, 'user') = 'user' order by d.setdatabase, u.n; set role ");
    ident_append(&sql, start->username);
    return buf_str(&sql);
}

static run_t *create(sched_t *sched, const start_t *start)
{
    pool_t *pool = pool_create();
    run_t *run = POOL_NEW(pool, run_t);
    *run = (run_t){.next = sched->runs,
                   .sched = sched,
                   .pool = pool,
                   .jobid = start->jobid,
                   .runid = start->runid,
                   .started_us = clock_mono_us()};
    sched->runs = run;
    sched->run_count++;
    return run;
}

void run_start(sched_t *sched, const start_t *start)
{
    const config_t *config = sched->gateway->config;
    run_t *run = create(sched, start);
    int64_t timeout_ms = config_int(config, "BASALT_CRON_TIMEOUT");
    timeout_ms = timeout_ms > INT32_MAX - 2000 ? INT32_MAX - 2000 : timeout_ms;
    db_script_spec_t spec = {.conninfo = leader_conninfo(config),
                             .prologue = build_prologue(run->pool, start, timeout_ms),
                             .sql = start->command,
                             .timeout_ms = (int)timeout_ms};
    run->script = db_script_start(sched->gateway->loop, &spec, on_done, run);
}

static void end_stopped(run_t *run)
{
    run->status = STR("failed");
    run->message = STR("ERROR:  the gateway was stopped; what the command had not committed is undone");
    submit_write(run);
}

void run_refuse(sched_t *sched, const start_t *start)
{
    end_stopped(create(sched, start));
}

void runs_abort(sched_t *sched)
{
    run_t *next;
    for (run_t *run = sched->runs; run != NULL; run = next) {
        next = run->next;
        loop_timer_stop(&run->retry);
        if (run->script == NULL)
            continue;
        db_script_abort(run->script);
        run->script = NULL;
        end_stopped(run);
    }
}

/* --- what is shown --- */

str_t runs_open_ids(const sched_t *sched, pool_t *pool)
{
    buf_t out;
    buf_init(&out, pool, 64);
    buf_append_char(&out, '{');
    for (const run_t *run = sched->runs; run != NULL; run = run->next) {
        buf_append_int(&out, run->runid);
        if (run->next != NULL)
            buf_append_char(&out, ',');
    }
    buf_append_char(&out, '}');
    return buf_str(&out);
}

void runs_inspect(const sched_t *sched, emit_t *emit)
{
    int64_t now = clock_mono_us();
    emit_array_begin(emit);
    for (const run_t *run = sched->runs; run != NULL; run = run->next) {
        emit_object_begin(emit);
        emit_kv_int(emit, "jobid", run->jobid);
        emit_kv_int(emit, "runid", run->runid);
        emit_kv_int(emit, "ms", (now - run->started_us) / 1000);
        emit_kv_bool(emit, "has_ended", run->script == NULL);
        emit_object_end(emit);
    }
    emit_array_end(emit);
}
