/* The gateway, as the executor sees it: REST and the job routes over HTTP(S) with the service role key.
 * Blocking. */
#ifndef EXECUTOR_GATEWAY_CLIENT_H
#define EXECUTOR_GATEWAY_CLIENT_H

#include "base/err.h"
#include "base/pool.h"

#include <jansson.h>
#include <stdatomic.h>

typedef struct {
    str_t base_url; /* without a slash at the end */
    str_t key;
    str_t ca_file; /* null string: the system's */
} gateway_address_t;

/* Refuses what would send the key in clear over a network. `*out` in `pool`. */
err_t *gateway_address_parse(pool_t *pool, str_t url, str_t key, str_t ca_file,
                             gateway_address_t *out) MUST_CHECK;

typedef struct gateway_client gateway_client_t;

/* One per thread; keeps its connection. `address` is borrowed for its life. */
gateway_client_t *gateway_client_create(const gateway_address_t *address);
void gateway_client_destroy(gateway_client_t *client);

/* Errors: family upstream; status of the gateway's answer, else 502/504; message: the gateway's own. Repeated
 * up to three times where that is safe (not sent, or a GET) on connection errors, 502, 503 and 504. Results
 * live in `pool`. */

/* GET /rest/v1/{query}: an array. */
err_t *gateway_select(gateway_client_t *client, pool_t *pool, str_t query, json_t **rows) MUST_CHECK;
/* First row of a select, or NULL. */
err_t *gateway_select_one(gateway_client_t *client, pool_t *pool, str_t query, json_t **row) MUST_CHECK;
/* POST, PATCH or DELETE /rest/v1/{query}. `body` borrowed, may be NULL. `rows`: return=representation when
 * given. */
err_t *gateway_write(gateway_client_t *client, pool_t *pool, str_t method, str_t query, const json_t *body,
                     str_t prefer, json_t **rows) MUST_CHECK;

/* GET /auth/v1/user: whose token the client's key is. Error 401 or 403 when it is no living user's. */
err_t *gateway_user(gateway_client_t *client, pool_t *pool, json_t **user) MUST_CHECK;

/* POST /jobs/v1/{path}. `is_repeatable`: also repeated after answers that were lost on the way. */
err_t *gateway_jobs_post(gateway_client_t *client, pool_t *pool, str_t path, const json_t *body,
                         bool is_repeatable, json_t **out) MUST_CHECK;

/* POST /functions/v1/{name} as the service role; `*out` is the JSON of a 2xx answer. Not repeated once sent.
 */
err_t *gateway_function_post(gateway_client_t *client, pool_t *pool, str_t name, const json_t *body,
                             int timeout_ms, json_t **out) MUST_CHECK;

/* GET /jobs/v1/stream: hands over whole lines until the connection ends or `is_cancelled`. */
err_t *gateway_stream(gateway_client_t *client, pool_t *pool, void (*on_line)(void *arg, str_t line),
                      void *arg, const atomic_bool *is_cancelled) MUST_CHECK;

/* Percent-encodes a value for a query. */
str_t gateway_url_encode(pool_t *pool, str_t text);

#endif
