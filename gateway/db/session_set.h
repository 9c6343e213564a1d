/* The set of blocking connections behind db/session.h. Thread-safe. */
#ifndef DB_SESSION_SET_H
#define DB_SESSION_SET_H

#include "db/session.h"
#include "db/stmt_cache.h"
#include "db/wash.h"

#include <libpq-fe.h>

/* One connection: owned by the set while idle, by one thread while borrowed. */
typedef struct session_conn {
    struct session_conn *next;
    PGconn *pg;
    stmt_cache_t *stmts;
    uint32_t generation; /* of the set's options when opened */
    db_wash_t wash;
    bool is_broken;      /* not to be used again */
    bool is_fresh;       /* opened for this very borrower */
    bool has_begun;      /* the server has answered the last BEGIN */
    int limit_ms;        /* of waiting for an answer: statement_timeout and some grace */
    int64_t deadline_us; /* no answer is awaited beyond it; 0: none */
} session_conn_t;

/* An idle connection, or a new one. Waits until `deadline_us` (0: none) at most. Errors: PGRST003 none in
 * time, PGRST000 none can be opened. */
err_t *session_set_take(db_sessions_t *set, pool_t *pool, int64_t deadline_us,
                        session_conn_t **out) MUST_CHECK;
/* Gives it back; a broken one is closed and makes room. */
void session_set_give(db_sessions_t *set, session_conn_t *conn);

/* False (and broken) when the server has ended an idle connection in the meantime, as far as this host knows.
 */
bool session_conn_is_alive(session_conn_t *conn);

/* Waits until the next result can be had without blocking. False: no answer within the limits, and the
 * connection is broken: its server or the network is gone, since statements are ended by the server earlier.
 */
bool session_conn_await(session_conn_t *conn);
/* The last result of what was sent; NULL (to libpq a failed result like others) when it was not or no answer
 * came. */
PGresult *session_conn_result(session_conn_t *conn, int is_sent);

#endif
