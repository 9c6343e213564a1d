/* PostgreSQL errors as err_t: SQLSTATE to HTTP status in one table (PostgREST's documented mapping). */
#ifndef DB_PG_ERROR_H
#define DB_PG_ERROR_H

#include "base/err.h"

#include <libpq-fe.h>

/* What the server says of an error; null strings are absent. */
typedef struct {
    str_t severity; /* not translated: ERROR, FATAL, PANIC */
    str_t sqlstate, message, details, hint;
    str_t function; /* that raised it, in the server's source */
    str_t text;     /* all of it, for people */
} pg_fields_t;

/* Borrowed from the result. */
pg_fields_t pg_fields_of_result(const PGresult *result);

/* The error of a failed statement: code = SQLSTATE, message, details, hint as the server gave them. Status by
 * table (RAISE with PTnnn and PGRST codes included; `is_anonymous` turns 42501 into 401). Without SQLSTATE
 * the server has not said it: a lost connection, PGRST001. 503 carries Retry-After, 401 WWW-Authenticate. */
err_t *pg_error_make(pool_t *pool, const pg_fields_t *fields, bool is_anonymous);
err_t *pg_error_from_result(pool_t *pool, const PGresult *result, bool is_anonymous);

/* The same from its parts. */
err_t *pg_error_from_fields(pool_t *pool, str_t sqlstate, str_t message, str_t details, str_t hint,
                            bool is_anonymous);

/* Connection errors, all 503 but the last: PGRST000 none could be opened, PGRST001 lost while a transaction
 * was on it, too many transactions wait, and 504 PGRST003 none became free in time. `details` is libpq's text
 * or null; white space at its end is cut. */
err_t *pg_error_no_connection(pool_t *pool, str_t details);
err_t *pg_error_lost_connection(pool_t *pool, str_t details);
err_t *pg_error_queue_full(pool_t *pool);
err_t *pg_error_acquire_timeout(pool_t *pool);

/* Whether an error means that a prepared statement has to be made anew. */
typedef enum {
    PG_STALE_NOT,
    PG_STALE_FORGOTTEN, /* 26000: the server does not know the name (its Parse failed, a pooler swapped
                           backends) */
    PG_STALE_CHANGED    /* 0A000 from the plan cache: DDL changed the result type; the name is still taken */
} pg_stale_t;
pg_stale_t pg_error_stale_plan(const pg_fields_t *fields);

/* The SQLSTATE part of the mapping (PGRST excluded: its status is in its DETAIL). */
uint16_t pg_error_status(str_t sqlstate, str_t message, bool is_anonymous);

#endif
