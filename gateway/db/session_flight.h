/* What a blocking connection sends at once and reads at once: one round trip in pipeline mode. */
#ifndef DB_SESSION_FLIGHT_H
#define DB_SESSION_FLIGHT_H

#include "db/session_set.h"

typedef struct {
    const db_session_who_t
        *who;         /* NULL: within the open transaction; else wash, BEGIN and settings go first */
    const char *name; /* of a prepared statement; NULL: none */
    const char *const *values;
    int count;
    const char *ending; /* "COMMIT" or "ROLLBACK" behind it; NULL: the transaction stays open */
    bool is_anonymous;
} session_flight_t;

/* Sends it and reads all answers. *out gets the statement's result, whatever it is, unless something else
 * failed: then the error. All strings of `who` end with a zero. */
err_t *session_flight(session_conn_t *conn, pool_t *pool, const session_flight_t *flight,
                      PGresult **out) MUST_CHECK;

#endif
