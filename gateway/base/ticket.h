/* Tickets: what the executor proves about a directory user to the function that makes the session. A JWT of
 * one purpose: HS256 under a key derived from the shared secret with a label of its own, so that neither an
 * access token nor an executor's signature passes for one, nor the other way round. Whoever reads one also
 * sees to it that its id is used once. */
#ifndef BASE_TICKET_H
#define BASE_TICKET_H

#include "base/err.h"
#include "base/pool.h"

#include <jansson.h>

#define TICKET_LIFE_S 60

/* `claims` is a JSON object without jti, aud, iat, exp, which are added. */
str_t ticket_make(pool_t *pool, str_t shared_secret, const json_t *claims);

/* The claims of a ticket that is signed, meant for this, and of age. Error: 401, family auth, one message for
 * every fault. `*claims` lives in `pool`. */
err_t *ticket_read(pool_t *pool, str_t shared_secret, str_t ticket, json_t **claims) MUST_CHECK;

#endif
