/* Opening the listeners that the configuration names. */
#ifndef LISTEN_H
#define LISTEN_H

#include "api/gateway.h"

err_t *listen_api(gateway_t *gateway, pool_t *pool) MUST_CHECK;
err_t *listen_admin(gateway_t *gateway, pool_t *pool) MUST_CHECK;

#endif
