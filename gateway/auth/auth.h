/* /auth/v1: what GoTrue does, for stock auth-js. Behaviour: docs/auth.md. */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "api/gateway.h"

/* Adds the route; its state lives in `process_pool`. */
void auth_register(gateway_t *gateway, pool_t *process_pool);

#endif
