/* PostgreSQL errors as err_t: SQLSTATE to HTTP status in one table (PostgREST's documented mapping). */
#ifndef DB_PG_ERROR_H
#define DB_PG_ERROR_H

#include "base/err.h"

#include <libpq-fe.h>

/* The error of a failed result: code = SQLSTATE, message, details, hint as the server gave them. Status by table
 * (RAISE with PTnnn and PGRST codes included; `is_anonymous` turns 42501 into 401). */
err_t *pg_error_from_result(pool_t *pool, const PGresult *result, bool is_anonymous);

/* The error of a lost or refused connection: 503, PGRST000 (refused), PGRST001 (lost), PGRST003 by the pool. */
err_t *pg_error_from_conn(pool_t *pool, const PGconn *conn);

/* The SQLSTATE part of the mapping, for tests and for callers with only a code. */
uint16_t pg_error_status(str_t sqlstate, str_t message, bool is_anonymous);

#endif
