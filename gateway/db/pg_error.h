/* PostgreSQL errors as err_t: SQLSTATE to HTTP status in one table (PostgREST's documented mapping). */
#ifndef DB_PG_ERROR_H
#define DB_PG_ERROR_H

#include "base/err.h"

#include <libpq-fe.h>

/* The error of a failed result: code = SQLSTATE, message, details, hint as the server gave them. Status by
 * table (RAISE with PTnnn and PGRST codes included; `is_anonymous` turns 42501 into 401). A result that libpq
 * made itself, without SQLSTATE, is a lost connection: PGRST001. 503 carries Retry-After, 401
 * WWW-Authenticate. */
err_t *pg_error_from_result(pool_t *pool, const PGresult *result, bool is_anonymous);

/* The same from the fields; null strings are absent. */
err_t *pg_error_from_fields(pool_t *pool, str_t sqlstate, str_t message, str_t details, str_t hint,
                            bool is_anonymous);

/* Connection errors, all 503 but the last: PGRST000 none could be opened, PGRST001 lost while a transaction
 * was on it, too many transactions wait, and 504 PGRST003 none became free in time. `details` is libpq's text
 * or null; white space at its end is cut. */
err_t *pg_error_no_connection(pool_t *pool, str_t details);
err_t *pg_error_lost_connection(pool_t *pool, str_t details);
err_t *pg_error_queue_full(pool_t *pool);
err_t *pg_error_acquire_timeout(pool_t *pool);

/* Whether a failed result means that a prepared statement has to be made anew. */
typedef enum {
    PG_STALE_NOT,
    PG_STALE_FORGOTTEN, /* 26000: the server does not know the name (its Parse failed, a pooler swapped
                           backends) */
    PG_STALE_CHANGED    /* 0A000 from the plan cache: DDL changed the result type; the name is still taken */
} pg_stale_t;
pg_stale_t pg_error_stale_plan(const PGresult *result);

/* The SQLSTATE part of the mapping (PGRST excluded: its status is in its DETAIL). */
uint16_t pg_error_status(str_t sqlstate, str_t message, bool is_anonymous);

#endif
