/* What the UI asks of devices at once, without a job that it would watch: POST /api/<route> with a JSON
 * object, answered when it is done. Routes and shapes: docs/executor.md "Asked at once". */
#ifndef EXECUTOR_INSTANT_INSTANT_API_H
#define EXECUTOR_INSTANT_INSTANT_API_H

#include "executor/api_work.h"

typedef struct instant_api instant_api_t;

/* `executor` and `loop` must outlive it. */
instant_api_t *instant_api_create(executor_t *executor, loop_t *loop);
/* Outside of loop_run; what is under way is told to stop, and waited for. */
void instant_api_destroy(instant_api_t *api);

/* Answers now or later; false: no route of this path, nothing was done. */
bool instant_api_handle(instant_api_t *api, http_request_t *request);

#endif
