/* The log consumer of observations: level, redaction, output. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/observe.h"
#include "base/pool.h"

/* Lines above `level` are dropped. Accepts error|warn|info|debug (and PostgREST's crit). */
void log_set_level(log_level_t level);
log_level_t log_level(void);
bool log_level_parse(str_t name, log_level_t *out);

/* What `text` would look like in a log: JWTs, bearer tokens, URL passwords, key=value secrets masked. */
str_t log_redact(pool_t *pool, str_t text);

/* Sends lines to `fd` instead of standard error (tests). */
void log_set_fd(int fd);

#endif
