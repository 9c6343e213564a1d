/* The executor's own HTTP API, as far as it tells how the executor is: GET /api/health, GET /api/status.
 * Callers carry no token, so the listener is bound to loopback by default and foreign web origins are
 * refused. */
#ifndef EXECUTOR_STATUS_API_H
#define EXECUTOR_STATUS_API_H

#include "executor/executor.h"
#include "http/server.h"

/* Listens; the executor must outlive the server. */
err_t *status_api_start(executor_t *executor, http_server_t *server, pool_t *errors) MUST_CHECK;

/* Pure: origins of loopback (any port) and those of `allowed` (separated by commas) may call. */
bool status_api_allows_origin(str_t origin, str_t allowed);

#endif
