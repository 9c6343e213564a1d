/* From configuration keys to the option structs of the rooms. Borrowed strings live as long as the
 * configuration. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/config.h"
#include "db/pool.h"
#include "http/server.h"
#include "schema/cache.h"
#include "token/token.h"

http_limits_t options_http_limits(const config_t *config);
/* A secret "@path" is read from that file (without its last line end), in `pool`; unreadable: unset. */
token_options_t options_token(pool_t *pool, const config_t *config);

/* `name` for logs and metrics; the keys of the connection string and of the pool's size. */
db_pool_options_t options_db_pool(const config_t *config, const char *name, const char *uri_key,
                                  const char *size_key);

/* Lists are built in `pool`. */
schema_cache_options_t options_schema(pool_t *pool, const config_t *config);

/* Where to listen: our key, else PostgREST's host and port keys, else the default of ours. */
str_t options_address(const config_t *config, pool_t *pool, const char *key, const char *host_key,
                      const char *port_key);

#endif
