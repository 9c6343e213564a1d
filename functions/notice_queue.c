#include "functions/notice_queue.h"

#include "api/events.h"
#include "base/observe.h"
#include "base/read_json.h"
#include "db/listen.h"
#include "functions/fn.h"
#include "functions/notify.h"

#include <stdlib.h>

#define POLL_MS 60000
#define FIRST_MS 2000 /* what waited while no gateway ran */
#define BUSY_MS 1000  /* the workers' queue was full */
#define BATCH_MAX 20  /* a worker is given back in between */
#define ATTEMPTS_MAX 3

typedef struct notice_queue notice_queue_t;

/* One drain on a worker. It outlives the queue when the process ends: then `queue` is NULL. */
typedef struct {
    notice_queue_t *queue; /* loop thread only */
    gateway_t *gateway;
    bool has_run, has_more;
} drain_t;

/* Life of the process; loop thread only. */
struct notice_queue {
    gateway_t *gateway;
    db_listen_t *listen;
    loop_timer_t timer;
    drain_t *drain; /* under way, or NULL */
    bool is_rung;   /* while it was under way */
    bool is_ended;
};

typedef struct {
    str_t id, job_id, status, job_type;
    json_t *details; /* may be NULL */
    int64_t attempts;
} queued_t;

/* --- on the worker */

static err_t *run_internal(gateway_t *gateway, pool_t *pool, str_t sql, const str_t *params, size_t count,
                           db_rows_t *rows)
{
    db_session_t *session = NULL;
    db_session_who_t who = {0};
    err_t *err = db_session_begin(gateway->internal_sessions, pool, &who, &session);
    if (err == NULL)
        err = db_session_query(session, sql, params, count, rows);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static err_t *take(gateway_t *gateway, pool_t *pool, queued_t *out, bool *is_one)
{
    db_rows_t rows = {0};
    err_t *err =
        run_internal(gateway, pool,
                     STR("select id, job_id, status, attempts, job_type, details from basalt.notice_take()"),
                     NULL, 0, &rows);
    *is_one = err == NULL && rows.row_count == 1;
    if (!*is_one)
        return err;
    *out = (queued_t){.id = db_value(&rows, 0, 0),
                      .job_id = db_value(&rows, 0, 1),
                      .status = db_value(&rows, 0, 2),
                      .job_type = db_value(&rows, 0, 4)};
    if (!str_to_int64(db_value(&rows, 0, 3), &out->attempts))
        out->attempts = ATTEMPTS_MAX;
    str_t details = db_value(&rows, 0, 5);
    return str_is_null(details)
               ? NULL
               : read_json(pool, details, &(read_json_limits_t){.any_value = true}, &out->details);
}

/* True when there is nothing more to be done about it. */
static bool deliver(gateway_t *gateway, pool_t *pool, const queued_t *queued)
{
    notify_settings_t *settings = NULL;
    notice_t notice;
    notify_result_t result;
    err_t *err = notify_load(gateway, pool, &settings);
    if (err != NULL)
        return false;
    bool is_gone = str_is_null(queued->job_type);
    if (is_gone || settings == NULL || !notify_is_wanted(settings, queued->status))
        return true;
    notify_job(pool, settings, queued->job_id, queued->job_type, queued->status, queued->details, &notice);
    notify_send(gateway, pool, settings, &notice, NOTIFY_ALL, &result);
    bool is_untried = !result.email.is_tried && !result.teams.is_tried;
    return is_untried || notify_is_delivered(&result) || queued->attempts >= ATTEMPTS_MAX;
}

/* One notice; false when there was none or the database is away. What failed comes back in two minutes. */
static bool drain_one(gateway_t *gateway)
{
    pool_t *pool = pool_create();
    queued_t queued;
    bool is_one = false;
    err_t *err = take(gateway, pool, &queued, &is_one);
    if (err == NULL && is_one && deliver(gateway, pool, &queued))
        err = run_internal(gateway, pool, STR("select basalt.notice_done($1::bigint)"), DB_PARAMS(queued.id),
                           NULL);
    if (err != NULL)
        observe(LOG_WARN, "job_notices_failed", F_STR("code", err->code), F_STR("message", err->message));
    pool_destroy(pool);
    return err == NULL && is_one;
}

static void run_drain(void *arg)
{
    drain_t *drain = arg;
    drain->has_run = drain->has_more = true;
    for (int i = 0; i < BATCH_MAX && drain->has_more; i++)
        drain->has_more = drain_one(drain->gateway);
}

/* --- on the loop */

static void ring(notice_queue_t *queue);

static void on_timer(void *arg)
{
    notice_queue_t *queue = arg;
    loop_timer_start(queue->gateway->loop, &queue->timer, POLL_MS, on_timer, queue);
    ring(queue);
}

static void on_drained(void *arg)
{
    drain_t *drain = arg;
    notice_queue_t *queue = drain->queue;
    bool has_more = drain->has_more;
    free(drain);
    if (queue == NULL)
        return;
    queue->drain = NULL;
    if (has_more || queue->is_rung)
        ring(queue);
}

static void ring(notice_queue_t *queue)
{
    if (queue->is_ended)
        return;
    if (queue->drain != NULL) {
        queue->is_rung = true;
        return;
    }
    drain_t *drain = calloc(1, sizeof(*drain));
    if (drain == NULL)
        abort();
    *drain = (drain_t){.queue = queue, .gateway = queue->gateway};
    queue->is_rung = false;
    if (worker_submit(queue->gateway->workers, queue->gateway->loop, run_drain, on_drained, drain)) {
        queue->drain = drain;
        return;
    }
    free(drain);
    loop_timer_start(queue->gateway->loop, &queue->timer, BUSY_MS, on_timer, queue);
}

static void on_ready(void *arg)
{
    ring(arg);
}

static void on_notify(void *arg, str_t channel, str_t payload)
{
    (void)channel;
    (void)payload;
    ring(arg);
}

static void on_drain_event(void *arg, str_t subject)
{
    notice_queue_t *queue = arg;
    (void)subject;
    queue->is_ended = true;
    loop_timer_stop(&queue->timer);
}

/* The workers have ended by now: what was never started is never told either. */
static void dispose(void *arg)
{
    notice_queue_t *queue = arg;
    queue->is_ended = true;
    loop_timer_stop(&queue->timer);
    if (queue->listen != NULL)
        db_listen_destroy(queue->listen);
    if (queue->drain != NULL && queue->drain->has_run)
        queue->drain->queue = NULL;
    else
        free(queue->drain);
}

void notice_queue_start(gateway_t *gateway, pool_t *pool)
{
    static const db_listen_handlers_t HANDLERS = {.on_ready = on_ready, .on_notify = on_notify};
    const config_t *config = gateway->config;
    str_t channel = STR("basalt_notices");
    str_t conninfo =
        config_str(config, config_is_set(config, "BASALT_DIRECT_DB_URI") ? "BASALT_DIRECT_DB_URI"
                                                                         : "BASALT_INTERNAL_DB_URI");
    if (gateway->internal_sessions == NULL)
        return;
    notice_queue_t *queue = POOL_NEW(pool, notice_queue_t);
    queue->gateway = gateway;
    pool_on_dispose(pool, dispose, queue);
    queue->listen = db_listen_create(gateway->loop, conninfo, &channel, 1, &HANDLERS, queue);
    api_event_on(gateway, API_EVENT_DRAIN, on_drain_event, queue);
    loop_timer_start(gateway->loop, &queue->timer, FIRST_MS, on_timer, queue);
}
