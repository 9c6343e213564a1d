#include "api/fn_table.h"
#include "base/clock.h"
#include "base/observe.h"
#include "scheduler/inside.h"

#include <stdlib.h>

enum { SQL_TIMEOUT_MS = 300000, ROUNDS_MAX = 1000 };

/* Functions at the times that docs/functions.md gives them, and housekeeping. cron.job has the product's SQL
 * schedules besides. */
const schedule_t SCHEDULES[] = {
    {.name = "execute-maintenance-windows",
     .pattern = "*/5 * * * *",
     .function = "execute-maintenance-windows",
     .body = "{}",
     .needs = "to_regclass('public.maintenance_windows') is not null"},
    {.name = "trigger-vcenter-syncs",
     .pattern = "* * * * *",
     .function = "trigger-vcenter-syncs",
     .body = "{}",
     .needs = "to_regclass('public.vcenters') is not null"},
    {.name = "cancel-stale-jobs",
     .pattern = "*/15 * * * *",
     .function = "cancel-stale-jobs",
     .body = "{}",
     .needs = "to_regclass('public.activity_settings') is not null"},
    {.name = "cleanup-activity-logs",
     .pattern = "15 2 * * *",
     .function = "cleanup-activity-logs",
     .body = "{}",
     .needs = "to_regclass('public.activity_settings') is not null"},
    {.name = "cleanup-old-jobs",
     .pattern = "30 2 * * *",
     .function = "cleanup-old-jobs",
     .body = "{}",
     .needs = "to_regclass('public.activity_settings') is not null"},
    {.name = "cluster-safety-checks",
     .pattern_sql = "select schedule_cron from public.scheduled_safety_checks where enabled limit 1",
     .sql = "select public.run_scheduled_cluster_safety_checks()",
     .role = "service_role",
     .needs = "to_regclass('public.scheduled_safety_checks') is not null"
              " and to_regprocedure('public.run_scheduled_cluster_safety_checks()') is not null"},
    {.name = "maintenance-reminders",
     .pattern = "*/15 * * * *",
     .sql = "select public.send_maintenance_reminders()",
     .role = "service_role",
     .needs = "to_regprocedure('public.send_maintenance_reminders()') is not null"},
    {.name = "realtime-message-partitions",
     .pattern = "10 */6 * * *",
     .sql = "select realtime.maintain_message_partitions()",
     .needs = "to_regprocedure('realtime.maintain_message_partitions(integer)') is not null"},
    {.name = "prune-cron-runs",
     .pattern = "45 * * * *",
     .sql =
         "delete from cron.job_run_details where runid in ("
         "    select runid from cron.job_run_details"
         "     where end_time < now() - make_interval(secs => $1::float8 / 1000) order by runid limit 5000)",
     .needs = "has_table_privilege(to_regclass('cron.job_run_details'), 'delete')",
     .batch = 5000},
    {.name = NULL},
};

_Static_assert(sizeof(SCHEDULES) / sizeof(SCHEDULES[0]) - 1 <= SCHED_OWN_MAX, "too many schedules");

typedef struct {
    sched_t *sched;
    size_t index;
    pool_t *pool;
    str_t keep_ms;
    const err_t *error;
} sql_run_t;

static const fn_entry_t *find_function(const char *name)
{
    for (const fn_entry_t *entry = FN_TABLE; entry->name != NULL; entry++) {
        if (strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

bool schedule_is_present(const schedule_t *schedule)
{
    return schedule->function == NULL || find_function(schedule->function) != NULL;
}

static void finish(sched_t *sched, size_t index, int status, str_t message)
{
    own_t *own = &sched->own[index];
    bool is_good = status < 400;
    own->is_running = false;
    own->last_status = status;
    metric_add(is_good ? sched->metrics.own_succeeded : sched->metrics.own_failed, 1);
    observe(is_good ? LOG_INFO : LOG_WARN, is_good ? "schedule_done" : "schedule_failed",
            F_CSTR("name", SCHEDULES[index].name), F_INT("status", status),
            F_INT("ms", clock_unix_ms() - own->last_ms), F_STR("message", message));
}

/* --- functions --- */

typedef struct {
    sched_t *sched;
    size_t index;
} function_run_t;

/* Bodies of good answers are not logged: they may name objects of the project. */
static void on_function_done(void *arg, const api_task_t *task)
{
    function_run_t *run = arg;
    int status = task->error != NULL ? task->error->status : task->status;
    str_t message = task->error != NULL ? task->error->message : status >= 400 ? task->reply : STR("");
    finish(run->sched, run->index, status, message);
    free(run);
}

static void start_function(sched_t *sched, size_t index)
{
    const schedule_t *schedule = &SCHEDULES[index];
    const fn_entry_t *entry = find_function(schedule->function);
    function_run_t *run = calloc(1, sizeof(*run));
    if (run == NULL)
        abort();
    *run = (function_run_t){sched, index};
    if (entry != NULL && api_task_submit_internal(sched->gateway, str_from_c(schedule->body), fn_run,
                                                  (void *)(uintptr_t)entry, on_function_done, run))
        return;
    free(run);
    finish(sched, index, 503, STR("no worker was free"));
}

/* --- SQL --- */

static err_t *run_round(sql_run_t *run, const schedule_t *schedule, int64_t *changed)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    db_session_who_t who = {.timeout_ms = SQL_TIMEOUT_MS};
    *changed = 0;
    err_t *err = db_session_begin(run->sched->gateway->internal_sessions, run->pool, &who, &session);
    if (err != NULL)
        return err;
    if (schedule->role != NULL)
        err = db_session_query(session, STR("select set_config('role', $1, true)"),
                               DB_PARAMS(str_from_c(schedule->role)), NULL);
    if (err == NULL)
        err = db_session_query(session, str_from_c(schedule->sql), &run->keep_ms, schedule->batch > 0 ? 1 : 0,
                               &rows);
    *changed = rows.affected;
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static void run_sql(void *arg)
{
    sql_run_t *run = arg;
    const schedule_t *schedule = &SCHEDULES[run->index];
    int64_t changed = 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        run->error = run_round(run, schedule, &changed);
        if (run->error != NULL || schedule->batch == 0 || changed < schedule->batch)
            return;
    }
}

static void on_sql_done(void *arg)
{
    sql_run_t *run = arg;
    finish(run->sched, run->index, run->error == NULL ? 200 : 500,
           run->error == NULL ? STR("") : run->error->message);
    pool_destroy(run->pool);
}

static void start_sql(sched_t *sched, size_t index)
{
    pool_t *pool = pool_create();
    sql_run_t *run = POOL_NEW(pool, sql_run_t);
    int64_t keep_ms = config_int(sched->gateway->config, "BASALT_CRON_KEEP");
    *run = (sql_run_t){.sched = sched, .index = index, .pool = pool};
    run->keep_ms = pool_printf(pool, "%lld", (long long)keep_ms);
    if (worker_submit(sched->gateway->workers, sched->gateway->loop, run_sql, on_sql_done, run))
        return;
    pool_destroy(pool);
    finish(sched, index, 503, STR("no worker was free"));
}

void schedule_start(sched_t *sched, size_t index)
{
    own_t *own = &sched->own[index];
    if (own->is_running) /* of an earlier time in the lead: it still does the same */
        return;
    own->is_running = true;
    own->last_ms = clock_unix_ms();
    if (SCHEDULES[index].function != NULL)
        start_function(sched, index);
    else
        start_sql(sched, index);
}
