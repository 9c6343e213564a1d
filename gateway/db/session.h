/* Blocking database sessions for worker threads: plain sequential transactions as a role with claims. */
#ifndef DB_SESSION_H
#define DB_SESSION_H

#include "base/err.h"
#include "base/pool.h"

typedef struct db_sessions db_sessions_t; /* the set: bounded, thread-safe */
typedef struct db_session db_session_t;   /* one borrowed connection inside a transaction */

/* `acquire_timeout_ms` 0: 10,000. Connections are opened when first needed. */
db_sessions_t *db_sessions_create(str_t conninfo, size_t size_max, int acquire_timeout_ms);
/* Waits for borrowed sessions to end. */
void db_sessions_destroy(db_sessions_t *sessions);
/* Other credentials or size for connections from now on; open ones are replaced as they come back. */
void db_sessions_set_options(db_sessions_t *sessions, str_t conninfo, size_t size_max,
                             int acquire_timeout_ms);

typedef struct {
    str_t role;            /* null string: the login role itself */
    str_t claims_json;     /* request.jwt.claims; null string: '{}' */
    const str_t *settings; /* further name, value pairs */
    size_t setting_count;  /* pairs */
    int timeout_ms;        /* statement_timeout; 0: 30,000, or what is left until the deadline */
    int64_t deadline_us;   /* clock_mono_us() after which nothing is begun, asked or committed; 0: none */
    bool is_anonymous;     /* no identity was proven: 42501 is 401 */
} db_session_who_t;

/* Takes a connection (waiting in turn, acquire_timeout_ms at most) and begins a transaction, in one round
 * trip on a connection that is open. Errors as db_tx_submit; beyond the deadline 504 without a code. Results
 * and errors live in `pool`; a session still open when `pool` is destroyed is rolled back. One session
 * belongs to one thread at a time. */
err_t *db_session_begin(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who,
                        db_session_t **out) MUST_CHECK;

/* A result: text values, in the session's pool. */
typedef struct {
    size_t row_count, column_count;
    const str_t *columns; /* names */
    const str_t *values;  /* row-major; null string = NULL */
    int64_t affected;
} db_rows_t;

static inline str_t db_value(const db_rows_t *rows, size_t row, size_t column)
{
    return rows->values[row * rows->column_count + column];
}

/* Value by column name of row `row`; the null string when there is no such column. */
str_t db_value_named(const db_rows_t *rows, size_t row, const char *column);

/* Runs one statement; an error makes the transaction useless until a rollback (to the savepoint).
 * `params`: text values, null string = NULL. Statements are prepared and cached by text. `out` may be NULL.
 */
err_t *db_session_query(db_session_t *session, str_t sql, const str_t *params, size_t param_count,
                        db_rows_t *out) MUST_CHECK;
#define DB_PARAMS(...) (const str_t[]){__VA_ARGS__}, sizeof((const str_t[]){__VA_ARGS__}) / sizeof(str_t)

/* One statement in a transaction of its own, in one round trip where the connection knows it.
 * `db_session_read` throws away what it may have changed, so that it may be repeated when a connection was
 * lost; a write whose answer was lost is not. `out` may be NULL. */
err_t *db_session_read(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who, str_t sql,
                       const str_t *params, size_t param_count, db_rows_t *out) MUST_CHECK;
err_t *db_session_write(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who, str_t sql,
                        const str_t *params, size_t param_count, db_rows_t *out) MUST_CHECK;

/* The last statement of a transaction together with its COMMIT; `session` is gone afterwards in any case. */
err_t *db_session_query_commit(db_session_t *session, str_t sql, const str_t *params, size_t param_count,
                               db_rows_t *out) MUST_CHECK;

/* Savepoint around what may fail and be gone on from. */
err_t *db_session_savepoint(db_session_t *session) MUST_CHECK;
err_t *db_session_rollback_to_savepoint(db_session_t *session) MUST_CHECK;

/* Ends the transaction and gives the connection back; `session` is gone after either. */
err_t *db_session_commit(db_session_t *session) MUST_CHECK;
void db_session_rollback(db_session_t *session); /* NULL is allowed */

#endif
