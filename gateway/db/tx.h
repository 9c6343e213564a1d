/* "Run these statements as role R with claims C": one pipeline segment, one round trip.
 * The measured design is in docs/architecture.md, "The database room". Loop thread only. */
#ifndef DB_TX_H
#define DB_TX_H

#include "base/err.h"
#include "db/pool.h"

/* Transaction-local setting; `value` is bound. */
typedef struct {
    str_t name, value;
} db_setting_t;

typedef struct {
    str_t sql;             /* $1.. placeholders; the text is a function of the plan's shape */
    const str_t *params;   /* text format; null string = NULL */
    const uint32_t *types; /* Oids, 0 = let PostgreSQL decide; NULL = all 0 */
    size_t param_count;
    bool is_unprepared; /* do not cache: one-off texts (EXPLAIN, DDL) */
    uint64_t hash;      /* str_hash(sql), for texts that are sent again and again; 0: computed when needed */
} db_stmt_t;

static inline uint64_t db_stmt_hash(const db_stmt_t *stmt)
{
    return stmt->hash != 0 ? stmt->hash : str_hash(stmt->sql);
}

typedef enum { DB_ISOLATION_DEFAULT, DB_ISOLATION_REPEATABLE_READ, DB_ISOLATION_SERIALIZABLE } db_isolation_t;

typedef enum { DB_END_COMMIT, DB_END_ROLLBACK } db_end_t;

/* One column of a result, borrowed for the call. */
typedef struct {
    str_t name;
    uint32_t type_oid;
} db_column_t;

typedef struct db_tx db_tx_t;

/* All callbacks run on the loop thread; none after on_done or after db_tx_cancel. */
typedef struct {
    /* Before the first row of a statement that returns rows (also when it returns none). May be NULL. */
    void (*on_columns)(void *arg, size_t stmt, const db_column_t *columns, size_t count);
    /* `values[i]` null string = NULL; borrowed for the call. */
    void (*on_row)(void *arg, size_t stmt, const str_t *values, size_t count);
    /* A row of `bytes` is on its way; false: it is not wanted, and no memory is taken for it. Only of rows
     * far larger than others, and where the connection can tell. May be NULL. */
    bool (*on_large_row)(void *arg, size_t bytes);
    /* A statement has finished; `affected` from its command tag. May be NULL. */
    void (*on_stmt_done)(void *arg, size_t stmt, int64_t affected);
    /* Explicit transactions only: all statements succeeded, not yet committed. May be NULL (= commit). */
    db_end_t (*on_decide)(void *arg);
    /* The server lost a cached plan and the transaction was rolled back: forget what was delivered, it runs
     * once more. NULL: such an error is reported instead when something had been delivered already. */
    void (*on_retry)(void *arg);
    /* Exactly once: committed (or rolled back as decided) when `error` is NULL. The error is borrowed for the
     * call. */
    void (*on_done)(void *arg, const err_t *error);
} db_tx_handlers_t;

typedef struct {
    /* Applied before the role, with the rights of the login role (ALTER ROLE .. SET of the role to be taken).
     */
    const db_setting_t *role_settings;
    size_t role_setting_count;
    str_t role;                   /* transaction-local role; null string: the login role */
    const db_setting_t *settings; /* applied in order after the role; search_path is one of them */
    size_t setting_count;
    str_t pre_request;  /* SQL call run first ("select schema.fn()"), or null */
    bool is_read_only;  /* set before anything else, cannot be undone inside */
    bool is_explicit;   /* BEGIN .. on_decide .. COMMIT/ROLLBACK: guards before commit, tx=rollback */
    bool is_background; /* a long result that nobody waits for: others have their turn more often */
    bool is_exclusive;  /* writes, RPC, unknown cost: never pipelined behind or before another request */
    db_isolation_t isolation;
    const db_stmt_t *stmts;
    size_t stmt_count; /* at most 8 */
    int timeout_ms;    /* statement_timeout for this transaction; 0: the role's own */
    bool is_anonymous; /* no identity was proven: 42501 is answered with 401 instead of 403 */
} db_tx_spec_t;

/* Queues the transaction. Everything the spec points at must live until on_done or cancel (the request's
 * pool). Errors reach on_done, never before this function returns: PGRST003 (504) no connection in time,
 * PGRST000/001/002 (503) database away, else the database's own error mapped by db/pg_error. Returned handle:
 * valid until on_done. */
db_tx_t *db_tx_submit(db_pool_t *pool, const db_tx_spec_t *spec, const db_tx_handlers_t *handlers, void *arg);

/* The caller is gone: no further callbacks. Not sent yet: dropped. Running exclusively: cancelled in the
 * server. Otherwise the result is read and thrown away. */
void db_tx_cancel(db_tx_t *tx);

/* Back-pressure for long results: stop / go on reading rows of this transaction. No row follows a pause;
 * allowed inside on_row. Rows go on in a later turn of the loop after db_tx_resume. */
/* Others wait behind this transaction on its connection: pausing it would pause them. */
bool db_tx_blocks_others(const db_tx_t *tx);
void db_tx_pause(db_tx_t *tx);
void db_tx_resume(db_tx_t *tx);

#endif
