/* /executor/v1/<path> to the executor's own HTTP API at <BASALT_EXECUTOR_URL>/<path>. Needs the session
 * cookie that sign-in sets, whose token goes along, except for `api/health` and `api/idm-authenticate`.
 * Streams unbuffered; deadline 10 minutes. When the executor is away the answer is 503 with an error text
 * that holds "not reachable": the UI falls back on it. */
#ifndef EXECUTOR_PROXY_EXECUTOR_PROXY_H
#define EXECUTOR_PROXY_EXECUTOR_PROXY_H

#include "api/gateway.h"

/* Its state lives in `process_pool`. */
void executor_proxy_register(gateway_t *gateway, pool_t *process_pool);

#endif
