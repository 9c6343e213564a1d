/* The process as operators of PostgREST know it: started under the name `postgrest` (a link to
 * basalt-gateway) it has that program's defaults and serves its interface at the root. Its options work under
 * either name. */
#ifndef POSTGREST_H
#define POSTGREST_H

#include "base/config.h"

/* Is that what the program was started as? */
bool postgrest_is_name(const char *argv0);

/* The gateway's table of keys with PostgREST's defaults, in `pool`. */
const config_key_t *postgrest_keys(pool_t *pool, const config_key_t *keys);

/* The configuration in the form of PostgREST's file, secrets included: what comes out can be read again. */
void postgrest_dump(const config_t *config, buf_t *out);

/* A file to begin with. */
extern const char POSTGREST_EXAMPLE[];

/* Asks the admin listener of a running gateway whether it is ready, and prints the answer. 0: it is. */
int postgrest_ready(const config_t *config);

#endif
