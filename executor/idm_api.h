/* POST /api/idm-authenticate of the executor's HTTP API: reads the request on the loop, lets a worker judge
 * it. */
#ifndef EXECUTOR_IDM_API_H
#define EXECUTOR_IDM_API_H

#include "executor/executor.h"
#include "http/request.h"
#include "loop/loop.h"

typedef struct idm_api idm_api_t;

/* `executor` and `loop` must outlive it. */
idm_api_t *idm_api_create(executor_t *executor, loop_t *loop);
/* Outside of loop_run; waits for the sign-ins under way. Their answers are given when the loop turns once
 * more. */
void idm_api_destroy(idm_api_t *api);

/* Answers now or later. */
void idm_api_handle(idm_api_t *api, http_request_t *request);

#endif
