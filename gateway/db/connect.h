/* Opening a libpq connection with the settings that the rest of the gateway relies on. */
#ifndef DB_CONNECT_H
#define DB_CONNECT_H

#include "base/str.h"
#include "db/offload.h"

#include <libpq-fe.h>

/* Blocks: resolves, connects and authenticates, at most connect_timeout of the conninfo (5 s when it has
 * none) per address. Pins what the output format depends on (DateStyle, IntervalStyle, extra_float_digits,
 * bytea_output, client_encoding) in front of the conninfo's own options, which win. Notices are dropped.
 * Never NULL: look at PQstatus. The caller finishes it. Any thread. */
PGconn *db_connect_blocking(str_t conninfo);

typedef struct db_connect db_connect_t;

/* Of several hosts that a conninfo names: those that its target_session_attrs wants, or whichever is no
 * standby. */
typedef enum { DB_CONNECT_ANY, DB_CONNECT_PRIMARY } db_connect_to_t;

/* The same on a helper thread. `done` gets the connection (owned by it from then on; its status may be bad),
 * on the loop, unless aborted before. The handle is invalid once `done` is called. */
db_connect_t *db_connect_start(loop_t *loop, str_t conninfo, db_connect_to_t to,
                               void (*done)(void *arg, PGconn *pg), void *arg);
void db_connect_abort(db_connect_t *connect);

#endif
