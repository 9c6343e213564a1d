/* One line per answer on standard output, in the form of PostgREST's (Apache's combined one without an
 * address). */
#ifndef API_ACCESS_LOG_H
#define API_ACCESS_LOG_H

#include "api/context.h"

/* BASALT_ACCESS_LOG, and from which status on the log level wants lines: 500 at error, 400 at warn, all from
 * info on, none at crit. */
void access_log_configure(const config_t *config);

void access_log_write(const api_context_t *ctx, int status);

#endif
