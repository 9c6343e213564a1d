/* The queue of net.http_post and its kin, on the loop: takes as many requests as there are free places and
 * hands them to the net workers. A request is sent once at most: taking it deletes its row. */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/observe.h"
#include "scheduler/inside.h"

enum { EXPIRE_EVERY_US = 300 * 1000000, TAKE_MAX = 64 };

static const char TAKE_SQL[] =
    "delete from net.http_request_queue where id in ("
    "    select id from net.http_request_queue order by id limit $1::int for update skip locked)"
    " returning id, method, url, headers, body, timeout_milliseconds";

static const char EXPIRE_SQL[] =
    "delete from net._http_response where ctid = any (array("
    "    select ctid from net._http_response where created < now() - interval '6 hours' limit 10000))";

typedef struct {
    sched_t *sched;
    pool_t *pool;
    size_t limit;
    bool wants_expiry;
    const err_t *error;
    net_request_t *requests; /* each with a pool of its own */
    size_t count;
} take_t;

/* --- on a worker --- */

static void copy_request(take_t *take, const db_rows_t *rows, size_t row)
{
    net_request_t *request = &take->requests[take->count++];
    pool_t *pool = pool_create();
    str_t headers = db_value(rows, row, 3), body = db_value(rows, row, 4);
    *request = (net_request_t){.sched = take->sched,
                               .pool = pool,
                               .method = pool_str(pool, db_value(rows, row, 1)),
                               .url = pool_str(pool, db_value(rows, row, 2)),
                               .headers_json = str_is_null(headers) ? STR_NULL : pool_str(pool, headers),
                               .body = STR_NULL};
    str_to_int64(db_value(rows, row, 0), &request->id);
    str_to_int64(db_value(rows, row, 5), &request->timeout_ms);
    if (!str_is_null(body) && !crypt_unhex(pool, str_slice(body, 2, body.len), &request->body))
        request->body = STR_NULL;
}

static err_t *take_rows(take_t *take, db_session_t *session, db_rows_t *rows)
{
    err_t *err = NULL;
    if (take->wants_expiry)
        err = db_session_query(session, str_from_c(EXPIRE_SQL), NULL, 0, NULL);
    if (err == NULL)
        err = db_session_query(session, str_from_c(TAKE_SQL),
                               DB_PARAMS(pool_printf(take->pool, "%zu", take->limit)), rows);
    return err;
}

static void run_take(void *arg)
{
    take_t *take = arg;
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = db_session_begin(take->sched->gateway->internal_sessions, take->pool, &(db_session_who_t){0},
                                  &session);
    if (err == NULL) {
        err = take_rows(take, session, &rows);
        if (err == NULL)
            err = db_session_commit(session);
        else
            db_session_rollback(session);
    }
    take->error = err;
    take->requests = POOL_ARRAY(take->pool, net_request_t, rows.row_count + 1);
    for (size_t row = 0; err == NULL && row < rows.row_count; row++)
        copy_request(take, &rows, row);
}

static void run_send(void *arg)
{
    net_send(arg);
}

/* --- on the loop --- */

static void on_sent(void *arg)
{
    net_request_t *request = arg;
    sched_t *sched = request->sched;
    sched->net.in_flight--;
    pool_destroy(request->pool);
    if (sched->net.wants_take)
        net_want(sched);
}

static void hand_over(sched_t *sched, const net_request_t *taken)
{
    net_request_t *request = POOL_NEW(taken->pool, net_request_t);
    *request = *taken;
    sched->net.in_flight++;
    if (worker_submit(sched->gateway->net_workers, sched->gateway->loop, run_send, on_sent, request))
        return;
    observe(LOG_ERROR, "net_request_dropped", F_INT("id", request->id));
    sched->net.in_flight--;
    pool_destroy(request->pool);
}

static void on_taken(void *arg)
{
    take_t *take = arg;
    sched_t *sched = take->sched;
    sched->net.is_taking = false;
    if (take->error != NULL) {
        observe(LOG_WARN, "net_take_failed", F_STR("message", take->error->message));
        sched->net.wants_take = false; /* the slow poll tries again */
    } else if (take->wants_expiry) {
        sched->net.expired_us = clock_mono_us();
    }
    for (size_t i = 0; i < take->count; i++)
        hand_over(sched, &take->requests[i]);
    if (take->count == take->limit)
        sched->net.wants_take = true;
    pool_destroy(take->pool);
    if (sched->net.wants_take)
        net_want(sched);
}

static void submit_take(sched_t *sched)
{
    net_t *net = &sched->net;
    pool_t *pool = pool_create();
    take_t *take = POOL_NEW(pool, take_t);
    size_t free_places = net->places - net->in_flight;
    *take =
        (take_t){.sched = sched,
                 .pool = pool,
                 .limit = free_places > TAKE_MAX ? TAKE_MAX : free_places,
                 .wants_expiry = net->expired_us == 0 || clock_mono_us() - net->expired_us > EXPIRE_EVERY_US};
    net->is_taking = true;
    net->wants_take = false;
    if (worker_submit(sched->gateway->workers, sched->gateway->loop, run_take, on_taken, take))
        return;
    net->is_taking = false;
    net->wants_take = true; /* the slow poll, or the end of a request, tries again */
    pool_destroy(pool);
}

void net_want(sched_t *sched)
{
    net_t *net = &sched->net;
    if (!sched->has_net || !sched_is_leading(sched))
        return;
    net->wants_take = true;
    if (!net->is_taking && net->in_flight < net->places)
        submit_take(sched);
}
