/* What the files of this room share.
 *
 * On the loop: scheduler.c (lead, timer, what is shown), runs.c (commands under way), net.c (requests under
 * way), schedules.c (the table of our own schedules and how one is run). On workers, in sequential code:
 * pass*.c, which decides in one transaction what becomes of every occurrence that is due, and net_send.c. The
 * database's clock counts, and the database remembers how far each schedule was followed. */
#ifndef SCHEDULER_INSIDE_H
#define SCHEDULER_INSIDE_H

#include "api/gateway.h"
#include "base/emit.h"
#include "base/metrics.h"
#include "scheduler/due.h"
#include "scheduler/leader.h"

#include <stdatomic.h>

enum {
    SCHED_GRACE_S = 60,  /* a command may start that late: the lead may have to change first */
    SCHED_RUNS_MAX = 64, /* upper bound of BASALT_CRON_MAX_RUNNING */
    SCHED_OWN_MAX = 16,  /* rows of SCHEDULES */
    SCHED_RETRY_MAX_MS = 30000
};

/* Advisory lock keys beside the leader's own: one pass at a time; ("bslr", runid) is held while it runs. */
#define SCHED_PASS_LOCK "1651731568, 0"
#define SCHED_RUN_KEY "1651731570"

typedef struct sched sched_t;

/* --- our own schedules (schedules.c) --- */

typedef struct {
    const char *name;
    const char *pattern;     /* NULL: pattern_sql */
    const char *pattern_sql; /* gives it, as the service role; no row or NULL: not scheduled */
    const char *function;    /* row of FN_TABLE, left out when there is none; NULL: sql */
    const char *body;        /* JSON */
    const char *sql;         /* run as `role`, again as long as it changes `batch` rows */
    const char *role;        /* NULL: the internal login */
    const char *needs;       /* SQL: a condition without which it is not scheduled, or NULL */
    int64_t batch;           /* 0: once */
} schedule_t;

extern const schedule_t SCHEDULES[]; /* ends with name == NULL */

typedef struct {
    bool is_running, is_scheduled;
    int64_t last_ms; /* wall time of the last start; 0: none yet */
    int last_status; /* HTTP status of the function; 200 or 500 for SQL */
} own_t;

bool schedule_is_present(const schedule_t *schedule);
/* Runs it on a worker; `sched->own[index]` follows. */
void schedule_start(sched_t *sched, size_t index);

/* --- commands (runs.c) --- */

/* What a pass wants started; strings in the pass's pool. */
typedef struct {
    int64_t jobid, runid;
    str_t username, command;
} start_t;

typedef struct run run_t;
void run_start(sched_t *sched, const start_t *start);
/* The same when the gateway is stopping: only ends the row. */
void run_refuse(sched_t *sched, const start_t *start);
/* Closes the connections of all commands; their rows are ended as far as workers still take tasks. */
void runs_abort(sched_t *sched);
/* "{1,2}": commands that have no final row yet. */
str_t runs_open_ids(const sched_t *sched, pool_t *pool);
void runs_inspect(const sched_t *sched, emit_t *emit);

/* --- the pass (pass.c on the loop and on a worker, pass_cron.c and pass_own.c on the worker) --- */

typedef struct {
    sched_t *sched;
    pool_t *pool;
    db_session_t *session;
    size_t places;    /* commands that may be started */
    str_t own_runids; /* "{1,2}": commands of this gateway that have no final row yet */
    bool is_own_running[SCHED_OWN_MAX];
    /* Outcome */
    const err_t *error;
    int64_t now_ms, next; /* seconds; CRON_NEVER */
    bool has_cron, has_net;
    start_t *starts;
    size_t start_count;
    bool is_own_scheduled[SCHED_OWN_MAX], is_own_due[SCHED_OWN_MAX];
} pass_t;

void pass_want(sched_t *sched);
err_t *pass_cron(pass_t *pass) MUST_CHECK;
err_t *pass_own(pass_t *pass) MUST_CHECK;
/* Moves basalt.schedule_state on. */
err_t *pass_move(pass_t *pass, str_t kind, str_t name, int64_t to) MUST_CHECK;

/* --- net (net.c, net_send.c) --- */

typedef struct {
    size_t in_flight, places;
    bool is_taking, wants_take;
    int64_t expired_us; /* when old answers were last removed, monotonic */
    atomic_bool is_cancelled;
} net_t;

typedef struct {
    sched_t *sched;
    pool_t *pool;
    int64_t id;
    str_t method, url, headers_json, body; /* null string: none */
    int64_t timeout_ms;
} net_request_t;

void net_want(sched_t *sched);
void net_send(net_request_t *request); /* on a net worker */

/* --- the room --- */

struct sched {
    gateway_t *gateway;
    leader_t *leader;
    bool is_stopping;
    loop_timer_t wake;
    bool is_passing, wants_pass;
    int retry_ms; /* after a failed pass; 0: the last one was good */
    bool has_cron, has_net;
    run_t *runs;
    size_t run_count;
    own_t own[SCHED_OWN_MAX];
    net_t net;
    struct {
        metric_t *leading, *succeeded, *failed, *missed, *requests, *request_errors, *own_succeeded,
            *own_failed;
    } metrics;
};

bool sched_is_leading(const sched_t *sched);

#endif
