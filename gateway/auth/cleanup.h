/* Takes away what nobody can use any more: rotated refresh tokens, sessions past their end, forgotten flows,
 * challenges and half enrolled factors, all a day old. Every BASALT_AUTH_CLEANUP_INTERVAL, in small batches,
 * on a worker. */
#ifndef AUTH_CLEANUP_H
#define AUTH_CLEANUP_H

#include "auth/scope.h"

/* The state lives in `process_pool`, whose end stops the timer. Does nothing without an internal database
 * login. */
void auth_cleanup_start(gateway_t *gateway, pool_t *process_pool);

/* One round; the number of rows that went. */
err_t *auth_cleanup_run(auth_scope_t *scope, int64_t *rows) MUST_CHECK;

#endif
