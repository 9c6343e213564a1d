/* Sequential handlers on worker threads: the request is copied into a task with a pool of its own, so nothing
 * is shared with the loop; the reply is sent if the client is still there. */
#ifndef API_TASK_H
#define API_TASK_H

#include "api/context.h"

typedef struct {
    str_t name, value;
} api_header_t;

/* What a worker sees. All of it lives in `pool`, which lives until the reply is sent. */
typedef struct {
    pool_t *pool;
    gateway_t *gateway; /* thread-safe parts only: config (read), *_sessions, workers, tokens */
    str_t method, path, query, body, client_addr, request_id, authority;
    const api_header_t *headers;
    size_t header_count;
    bool is_tls;
    identity_t identity; /* when the route asked for it */
    str_t bearer;        /* Authorization: Bearer, else apikey */
    bool has_authorization;
    int64_t submitted_us; /* clock_mono_us() */
    int64_t deadline_us;  /* set by the handler that has one: what it is to hold to; 0: none */
    void *arg;            /* the handler's own (table row) */
    /* The reply, filled by the handler: */
    int status;         /* default 200 */
    str_t content_type; /* default application/json */
    str_t reply;        /* body */
    api_header_t *reply_headers;
    size_t reply_header_count;
    const err_t *error; /* when set, rendered instead of the reply */
} api_task_t;

/* Runs `run` on `workers` and then answers. A full queue answers 503 with Retry-After at once. */
void api_task_submit(api_context_t *ctx, worker_pool_t *workers, const identity_t *identity,
                     void (*run)(api_task_t *task), void *arg);

/* The same with no request behind it: `run` on gateway->workers with the identity of the service role, as the
 * scheduler calls functions. `body` is copied. `done` gets the finished task on the loop, borrowed for the
 * call. False when the queue is full: nothing happens then. */
bool api_task_submit_internal(gateway_t *gateway, str_t body, void (*run)(api_task_t *task), void *row,
                              void (*done)(void *arg, const api_task_t *task), void *arg) MUST_CHECK;

str_t api_task_header(const api_task_t *task, const char *lower_name);
void api_task_add_header(api_task_t *task, str_t name, str_t value);

/* Value of a query parameter, percent-decoded into the task's pool; null string when absent. */
str_t api_task_query(api_task_t *task, const char *name);

/* Percent-decoding ('+' is a space when `is_form`); null string when malformed. */
str_t api_url_decode(pool_t *pool, str_t text, bool is_form);

#endif
