/* /realtime/v1: Phoenix channels as stock realtime-js speaks them. */
#ifndef REALTIME_REALTIME_H
#define REALTIME_REALTIME_H

#include "api/gateway.h"

/* Adds the routes below /realtime/v1. Without an internal pool, or on a database without the bootstrap,
 * channels work and postgres_changes answers with a system error. State lives as long as `pool`, which goes
 * after the server and before the database pools. */
void realtime_register(gateway_t *gateway, pool_t *pool);

#endif
