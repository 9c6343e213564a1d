/* The edge functions: /functions/v1/<name>, routed from FN_TABLE (api/fn_table.h). */
#ifndef FUNCTIONS_FUNCTIONS_H
#define FUNCTIONS_FUNCTIONS_H

#include "api/gateway.h"

void functions_register(gateway_t *gateway, pool_t *pool); /* its state lives in `pool` */

#endif
