/* A bounded set of pipelined connections for one login role. FIFO waiting with deadlines, lazy opening,
 * recovery after the database restarts. Loop thread only. */
#ifndef DB_POOL_H
#define DB_POOL_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct db_pool db_pool_t;

typedef struct {
    str_t name;             /* for metrics and logs: "request", "internal" */
    str_t conninfo;         /* libpq URI or keywords; options= is kept and reaches the server */
    size_t size_max;        /* connections */
    int acquire_timeout_ms; /* waiting for a connection: 504 PGRST003 */
    size_t queue_max;       /* waiting transactions; above: 503 at once. 0: 4 x size_max, at least 1,000 */
    int idle_timeout_ms;    /* close idle connections after; 0: never */
    int lifetime_ms;        /* close connections older than; 0: never */
    bool is_prepared;       /* PGRST_DB_PREPARED_STATEMENTS */
    bool needs_libpq; /* BASALT_DB_LIBPQ; else our own reader of the protocol, where nothing is encrypted */
    /* False (requests): session state that functions may have left (settings, temporary tables, advisory
     * locks) is wiped before a connection on which a write or a call ran passes to another caller (role and
     * claims), or within a second when it is idle. True (internal pools, only our own SQL): never. */
    bool is_trusting;
    /* Reads that take no longer than this in the mean may share a connection with others; 0: 500. */
    int share_limit_us;
} db_pool_options_t;

db_pool_t *db_pool_create(loop_t *loop, const db_pool_options_t *options);
void db_pool_destroy(db_pool_t *pool); /* fails what waits, closes all */

/* Changes size and timeouts at once; the connection string for new connections. */
void db_pool_set_options(db_pool_t *pool, const db_pool_options_t *options);

/* True once a connection has worked and the last attempt did not fail. */
bool db_pool_is_up(const db_pool_t *pool);
/* Server version number (150018), 0 before the first connection. */
int db_pool_server_version(const db_pool_t *pool);
/* A setting that the server reports on each connection ("TimeZone", "DateStyle"), or the null string. */
str_t db_pool_parameter(const db_pool_t *pool, const char *name);

/* Called on each change of db_pool_is_up, and when the very first attempt fails. One listener. */
void db_pool_on_state(db_pool_t *pool, void (*fn)(void *arg, bool is_up), void *arg);

/* Why the last attempt to connect failed, until the next one; empty: none did. */
str_t db_pool_connect_error(const db_pool_t *pool);

/* Replaces every connection, those in use when they are free: settings of the login role apply to new ones.
 */
void db_pool_renew(db_pool_t *pool);

/* Drops prepared statements everywhere (after a schema reload). */
void db_pool_flush_statements(db_pool_t *pool);

typedef struct {
    size_t size_max, busy, waiting;
    int64_t acquire_timeouts; /* since the start */
} db_pool_figures_t;
db_pool_figures_t db_pool_figures(const db_pool_t *pool);

/* Transactions sent or waiting to be. */
size_t db_pool_in_flight(const db_pool_t *pool);

/* {"size":..,"idle":..,"busy":..,"waiting":..,...} for admin. */
void db_pool_inspect(const db_pool_t *pool, buf_t *out);

#endif
