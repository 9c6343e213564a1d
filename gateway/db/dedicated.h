/* One connection of one's own that reconnects for ever: for session state (advisory locks, LISTEN) and one
 * statement at a time. Loop thread only. */
#ifndef DB_DEDICATED_H
#define DB_DEDICATED_H

#include "base/str.h"
#include "loop/loop.h"

#include <libpq-fe.h>

typedef struct db_dedicated db_dedicated_t;

typedef struct {
    /* Connected (again): session state is gone and has to be made anew. */
    void (*on_up)(void *arg);
    /* Lost; a reconnect is under way (250 ms, doubling to 8 s). The running statement's callback is not
     * called. */
    void (*on_lost)(void *arg);
    /* A notification of a channel that was listened on; own ones included. */
    void (*on_notify)(void *arg, bool is_own);
} db_dedicated_handlers_t;

/* `conninfo` is copied. A statement that takes longer than `timeout_ms` counts as a lost connection. */
db_dedicated_t *db_dedicated_create(loop_t *loop, str_t conninfo, int timeout_ms,
                                    const db_dedicated_handlers_t *handlers, void *arg);
void db_dedicated_destroy(db_dedicated_t *dedicated);

bool db_dedicated_is_up(const db_dedicated_t *dedicated);   /* connected */
bool db_dedicated_is_idle(const db_dedicated_t *dedicated); /* connected and no statement under way */

/* Runs one statement; only while idle. `sql` is a literal: it is prepared once per connection, up to 16 of
 * them. `params` (text or NULL) are copied by libpq. `done` gets the result (tuples, command ok, or an
 * error), borrowed for the call; it may start the next statement. */
void db_dedicated_run(db_dedicated_t *dedicated, const char *sql, const char *const *params, int param_count,
                      void (*done)(void *arg, const PGresult *result));

#endif
