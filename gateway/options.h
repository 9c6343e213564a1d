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
token_options_t options_token(const config_t *config);

/* Puts what stands in the files that PGRST_DB_URI and PGRST_JWT_SECRET name as "@path" (without the last line
 * end) in place of the names. Once per loaded configuration: the file may be a pipe. */
err_t *options_read_files(pool_t *errors, config_t *config) MUST_CHECK;

/* `name` for logs and metrics; the keys of the connection string and of the pool's size. */
db_pool_options_t options_db_pool(const config_t *config, const char *name, const char *uri_key,
                                  const char *size_key);

/* Lists are built in `pool`. */
schema_cache_options_t options_schema(pool_t *pool, const config_t *config);

#define OPTIONS_LISTEN_MAX 16

typedef struct {
    str_t address;      /* host:port, or the path of a unix socket */
    unsigned unix_mode; /* 0: the default */
    bool is_plain;      /* never TLS: PostgREST's unix socket */
} options_listen_t;

/* Where to listen: on PostgREST's unix socket where one is configured, and at our key's addresses when it is
 * given; else at PostgREST's host and port, else at the default of our key. At most OPTIONS_LISTEN_MAX. */
size_t options_listen(const config_t *config, pool_t *pool, bool is_admin, options_listen_t *out);

#endif
