/* A request to the executor's HTTP API that a worker thread answers: what it needs is copied, since the
 * client may leave meanwhile. */
#ifndef EXECUTOR_API_WORK_H
#define EXECUTOR_API_WORK_H

#include "executor/executor.h"
#include "http/request.h"
#include "loop/worker.h"

typedef struct api_work {
    executor_t *executor;
    pool_t *pool; /* life of the work */
    str_t client_addr, authorization;
    void *arg;   /* the route's own, in `pool` */
    int status;  /* the answer, set by the worker */
    str_t reply; /* JSON, in `pool` */
    http_handle_t *client;
    void (*run)(struct api_work *work);
} api_work_t;

/* On the loop. Exactly one of the two follows: */
api_work_t *api_work_create(executor_t *executor, http_request_t *request);
/* Runs `run` on `workers`, then answers; 503 at once when too many wait. */
void api_work_submit(api_work_t *work, worker_pool_t *workers, loop_t *loop, void (*run)(api_work_t *work));
void api_work_drop(api_work_t *work);

/* Answers that nobody may keep. */
void api_send(http_request_t *request, int status, str_t json);
/* {"error": text, "success": false} */
str_t api_error_json(pool_t *pool, str_t text);

#endif
