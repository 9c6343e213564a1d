/* /rest/v1: PostgREST's interface. */
#ifndef REST_REST_H
#define REST_REST_H

#include "api/gateway.h"

/* Adds the route and reads the configuration (again on each reload). State lives in `pool`, the process's. */
void rest_register(gateway_t *gateway, pool_t *pool);

#endif
