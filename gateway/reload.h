/* Settings in force and how they change: file and environment, then what the database says (PGRST_DB_CONFIG:
 * pgrst.* settings of the login role, and of PGRST_DB_PRE_CONFIG). Loop thread only. Source of the
 * in-database rules: PostgREST's documentation of in-database configuration. */
#ifndef RELOAD_H
#define RELOAD_H

#include "api/gateway.h"

typedef struct reload reload_t;

/* Lives in `pool`; `config_file` may be NULL. */
reload_t *reload_create(gateway_t *gateway, const char *config_file, pool_t *pool);

/* At start: asks the database once it answers, and applies what it says. Nothing happens without
 * PGRST_DB_CONFIG. */
void reload_start(reload_t *reload);

/* SIGHUP and NOTIFY: reads everything anew. What is not reloadable keeps its value until a restart; settings
 * that do not parse leave all as it is. While the database is away its last word stands. */
void reload_now(reload_t *reload);

/* What the database says, for a process without a loop (--dump-config): a database that does not answer is
 * told in the log. */
void reload_read_blocking(config_t *config);

/* Of both logs. Also used at start; a level that there is not changes nothing. */
void reload_apply_log_level(const config_t *config);

#endif
