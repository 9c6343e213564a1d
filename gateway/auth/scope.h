/* One unit of auth work on a worker thread: who asks, and the transaction it runs in.
 * The models (user, session, identity, audit, one-time tokens) see nothing else of the request. */
#ifndef AUTH_SCOPE_H
#define AUTH_SCOPE_H

#include "api/gateway.h"

#define AUTH_ZERO_UUID "00000000-0000-0000-0000-000000000000"

/* SQL: a timestamptz as RFC 3339 in UTC with microseconds. `column` is SQL text. */
#define AUTH_SQL_TIME(column) "to_char(" column " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

typedef struct {
    gateway_t *gateway;
    const config_t *config;
    pool_t *pool;
    db_session_t *db;      /* the open transaction, or NULL */
    str_t client_addr;     /* a valid address or the null string */
    str_t user_agent;      /* may be null */
    int64_t deadline_us;   /* of the transactions, as db/session.h has it; 0: none */
    const err_t *pg_error; /* what PostgreSQL said behind the last 500 of auth_db_error, or NULL */
} auth_scope_t;

/* `client_addr` that is no address becomes the null string. */
void auth_scope_init(auth_scope_t *scope, gateway_t *gateway, pool_t *pool, str_t client_addr,
                     str_t user_agent);

/* Begins as supabase_auth_admin with a pinned search_path, as GoTrue's own login has. One at a time. */
err_t *auth_begin(auth_scope_t *scope) MUST_CHECK;
err_t *auth_commit(auth_scope_t *scope) MUST_CHECK;
void auth_rollback(auth_scope_t *scope); /* harmless without a transaction */

/* Runs one statement in the open transaction; `out` may be NULL. Errors are the database's own. */
err_t *auth_query(auth_scope_t *scope, str_t sql, const str_t *params, size_t count,
                  db_rows_t *out) MUST_CHECK;

/* An error of an endpoint: GoTrue's code and message. */
err_t *auth_error(pool_t *pool, uint16_t status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What a database error becomes: 503 when the database is away, busy or a lock could not be had in time
 * (clients keep their session on that), else 500 unexpected_failure with `message`. */
err_t *auth_db_error(auth_scope_t *scope, err_t *err, const char *message);

#endif
