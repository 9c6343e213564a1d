/* The admin listener: /live, /ready, /metrics, /config (secrets redacted), /schema_cache, /inspect/<name>.
 * Same paths and answers as PostgREST's admin server where it has them. Loopback unless configured otherwise.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "api/gateway.h"

/* Listener handler; arg = gateway_t. */
void admin_dispatch(void *gateway, http_request_t *request);

#endif
