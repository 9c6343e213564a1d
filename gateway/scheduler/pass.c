#include "base/observe.h"
#include "scheduler/inside.h"

#include <stdlib.h>

enum { PASS_TIMEOUT_MS = 10000, IDLE_MS = 30000, RETRY_FIRST_MS = 1000 };

/* The stand-ins have a row of version "basalt" in pg_extension, or none where we are no superuser. */
static const char LOOK_SQL[] =
    "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint,"
    "       to_regclass('cron.job') is not null and not exists ("
    "           select from pg_extension where extname = 'pg_cron' and extversion <> 'basalt'),"
    "       to_regclass('net.http_request_queue') is not null and not exists ("
    "           select from pg_extension where extname = 'pg_net' and extversion <> 'basalt')";

static const char MOVE_SQL[] =
    "insert into basalt.schedule_state (kind, name, last_due) values ($1, $2, to_timestamp($3::bigint))"
    " on conflict (kind, name) do update set last_due = excluded.last_due";

err_t *pass_move(pass_t *pass, str_t kind, str_t name, int64_t to)
{
    return db_session_query(pass->session, str_from_c(MOVE_SQL),
                            DB_PARAMS(kind, name, pool_printf(pass->pool, "%lld", (long long)to)), NULL);
}

/* --- on the worker --- */

/* The lock is waited for in a statement of its own: what is read afterwards is newer than the pass before. */
static err_t *decide(pass_t *pass)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(pass->session, STR("select pg_advisory_xact_lock(" SCHED_PASS_LOCK ")"),
                                  NULL, 0, NULL);
    if (err == NULL)
        err = db_session_query(pass->session, str_from_c(LOOK_SQL), NULL, 0, &rows);
    if (err != NULL)
        return err;
    str_to_int64(db_value(&rows, 0, 0), &pass->now_ms);
    pass->has_cron = str_eq(db_value(&rows, 0, 1), STR("t"));
    pass->has_net = str_eq(db_value(&rows, 0, 2), STR("t"));
    pass->next = CRON_NEVER;
    if (pass->has_cron)
        err = pass_cron(pass);
    return err == NULL ? pass_own(pass) : err;
}

static void run(void *arg)
{
    pass_t *pass = arg;
    db_session_who_t who = {.timeout_ms = PASS_TIMEOUT_MS};
    err_t *err = db_session_begin(pass->sched->gateway->internal_sessions, pass->pool, &who, &pass->session);
    if (err == NULL) {
        err = decide(pass);
        if (err == NULL)
            err = db_session_commit(pass->session);
        else
            db_session_rollback(pass->session);
    }
    pass->error = err;
}

/* --- on the loop --- */

static void submit(sched_t *sched);

static void on_wake(void *arg)
{
    pass_want(arg);
    net_want(arg); /* the slow poll: a doorbell may have been lost */
}

static void wake_in(sched_t *sched, int64_t delay_ms)
{
    if (!sched->is_stopping)
        loop_timer_start(sched->gateway->loop, &sched->wake, delay_ms, on_wake, sched);
}

static void on_failed(sched_t *sched, const err_t *error)
{
    if (sched->retry_ms == 0)
        observe(LOG_WARN, "scheduler_pass_failed", F_STR("code", error->code),
                F_STR("message", error->message));
    sched->retry_ms = sched->retry_ms == 0 ? RETRY_FIRST_MS : sched->retry_ms * 2;
    if (sched->retry_ms > SCHED_RETRY_MAX_MS)
        sched->retry_ms = SCHED_RETRY_MAX_MS;
    wake_in(sched, sched->retry_ms);
}

static void apply(sched_t *sched, const pass_t *pass)
{
    sched->retry_ms = 0;
    sched->has_cron = pass->has_cron;
    sched->has_net = pass->has_net;
    for (size_t i = 0; i < pass->start_count; i++)
        run_start(sched, &pass->starts[i]);
    for (size_t i = 0; SCHEDULES[i].name != NULL; i++) {
        sched->own[i].is_scheduled = pass->is_own_scheduled[i];
        if (pass->is_own_due[i])
            schedule_start(sched, i);
    }
    int64_t delay_ms = pass->next == CRON_NEVER ? IDLE_MS : pass->next * 1000 - pass->now_ms + 1;
    wake_in(sched, delay_ms < 1 ? 1 : delay_ms > IDLE_MS ? IDLE_MS : delay_ms);
    net_want(sched);
}

/* What was claimed is started even when the lead has gone meanwhile: nobody else will. */
static void done(void *arg)
{
    pass_t *pass = arg;
    sched_t *sched = pass->sched;
    sched->is_passing = false;
    for (size_t i = 0; sched->is_stopping && pass->error == NULL && i < pass->start_count; i++)
        run_refuse(sched, &pass->starts[i]);
    if (pass->error != NULL)
        on_failed(sched, pass->error);
    else if (!sched->is_stopping)
        apply(sched, pass);
    pool_destroy(pass->pool);
    if (sched->wants_pass && sched->retry_ms == 0)
        pass_want(sched);
}

static void submit(sched_t *sched)
{
    pool_t *pool = pool_create();
    pass_t *pass = POOL_NEW(pool, pass_t);
    size_t running_max = (size_t)config_int(sched->gateway->config, "BASALT_CRON_MAX_RUNNING");
    running_max = running_max > SCHED_RUNS_MAX ? SCHED_RUNS_MAX : running_max;
    pass->sched = sched;
    pass->pool = pool;
    pass->places = running_max > sched->run_count ? running_max - sched->run_count : 0;
    pass->own_runids = runs_open_ids(sched, pool);
    for (size_t i = 0; SCHEDULES[i].name != NULL; i++)
        pass->is_own_running[i] = sched->own[i].is_running;
    sched->is_passing = true;
    sched->wants_pass = false;
    if (worker_submit(sched->gateway->workers, sched->gateway->loop, run, done, pass))
        return;
    sched->is_passing = false;
    pool_destroy(pool);
    wake_in(sched, RETRY_FIRST_MS);
}

void pass_want(sched_t *sched)
{
    if (!sched_is_leading(sched))
        return;
    sched->wants_pass = true;
    if (!sched->is_passing)
        submit(sched);
}
