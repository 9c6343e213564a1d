/* The executor's own HTTP API: GET /api/health, GET /api/status, POST /api/idm-authenticate, and what is
 * asked of devices at once (executor/instant/instant_api.h). Browsers that come directly carry no token, so
 * the listener is bound to loopback by default and foreign web origins are refused. */
#ifndef EXECUTOR_STATUS_API_H
#define EXECUTOR_STATUS_API_H

#include "executor/executor.h"
#include "executor/idm_api.h"
#include "executor/instant/instant_api.h"
#include "http/server.h"

typedef struct {
    executor_t *executor;
    idm_api_t *idm;
    instant_api_t *instant;
} status_api_t;

/* Listens; `api` and what it points to must outlive the server. */
err_t *status_api_start(status_api_t *api, http_server_t *server, pool_t *errors) MUST_CHECK;

/* Pure: origins of loopback (any port) and those of `allowed` (separated by commas) may call. */
bool status_api_allows_origin(str_t origin, str_t allowed);

#endif
