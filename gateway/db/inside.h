/* What the files of this room share. Three objects, each with one state and one function that changes it:
 *
 *   db_pool_t   owns connections and the transactions that wait
 *   conn_t      owns a wire_t and the segments in flight on it, first to last in the order they were sent
 *   db_tx_t     is in exactly one place: the pool's waiting list, a connection's segment, or on its way out
 *
 * A segment is what goes to the server between two Syncs: one implicit transaction. Results come back in the
 * order of its steps; WIRE_SYNC ends it. All of this runs on the loop's thread. Failures noticed
 * while sending are only marked and acted upon in a later turn, so that nothing is called back from inside
 * db_tx_submit. */
#ifndef DB_INSIDE_H
#define DB_INSIDE_H

#include "db/connect.h"
#include "db/offload.h"
#include "db/pg_error.h"
#include "db/stmt_cache.h"
#include "db/tx.h"
#include "db/wash.h"
#include "db/wire.h"

typedef struct conn conn_t;

typedef enum {
    STEP_QUIET,   /* BEGIN, set_config, pre-request, COMMIT, DEALLOCATE: its rows are thrown away */
    STEP_PREPARE, /* Parse under a name */
    STEP_STMT     /* a statement of the transaction: its rows go to the handlers */
} step_kind_t;

typedef struct {
    step_kind_t kind;
    uint32_t stmt;       /* STEP_STMT: which */
    bool is_binary;      /* the columns of entry->formats come in binary */
    stmt_entry_t *entry; /* the prepared statement it makes or uses; NULL: unnamed. Pinned */
} step_t;

enum { DB_STMTS_MAX = 8, SEGMENT_STEPS_MAX = 2 * DB_STMTS_MAX + 6 };

typedef struct segment {
    struct segment *next;
    db_tx_t *tx; /* NULL: housekeeping of the connection, on the heap */
    size_t step_count, step_at;
    bool takes_binary; /* its transaction shows times in UTC */
    bool is_failed;    /* an error came; what follows is aborted */
    step_t steps[SEGMENT_STEPS_MAX];
} segment_t;

typedef enum {
    TX_STATE_WAITING, /* in pool->waiting */
    TX_STATE_SENT,    /* its segment is in flight on tx->conn */
    TX_STATE_DOOMED,  /* in pool->doomed: refused at submit, to be told in the next turn */
    TX_STATE_DONE     /* owned by tx_finish */
} tx_state_t;

struct db_tx {
    tx_state_t state;
    db_pool_t *pool;
    conn_t *conn; /* TX_STATE_SENT */
    db_tx_t *prev, *next;
    db_tx_spec_t spec;
    db_tx_handlers_t handlers;
    void *arg;
    int64_t submitted_us, deadline_us, sent_us;
    int64_t server_limit_ms; /* statement_timeout as the transaction sets it; 0: unknown */
    bool is_detached;        /* cancelled by the caller: spec and handlers must not be touched any more */
    bool has_output;         /* something was delivered */
    bool wants_large_row;    /* one is on its way, and was asked for */
    bool has_columns;        /* those of the running statement are known */
    size_t column_count;
    size_t retries;      /* after a lost connection one is allowed, after DDL a few */
    bool is_ending;      /* explicit: COMMIT or ROLLBACK is in flight */
    db_end_t end;        /* which of them */
    bool is_sync_sent;   /* from here on the server may commit it */
    bool is_fast;        /* may share a connection with others */
    uint64_t lane_hash;  /* what its cost is remembered under; 0: never shares */
    int32_t expected_us; /* by its last runs */
    size_t result_bytes;
    pool_t *memory; /* of the error; created with it */
    err_t *error;
    bool is_stale_plan; /* the error is a lost or stale prepared statement */
    segment_t segment;
};

typedef enum {
    CONN_STATE_OPENING,    /* conn->connect is under way on a helper thread */
    CONN_STATE_IDLE,       /* nothing in flight */
    CONN_STATE_BUSY,       /* segments in flight */
    CONN_STATE_CANCELLING, /* a cancel request is open, it would hit whatever runs: nothing may be sent */
    CONN_STATE_BROKEN /* socket or protocol failed; swept by its timer in the next turn, never used again */
} conn_state_t;

struct conn {
    conn_state_t state;
    db_pool_t *pool;
    uint32_t generation; /* of the pool's conninfo when opened; an older one is closed when idle */
    db_connect_t *connect;
    wire_t *wire; /* NULL while opening */
    loop_watch_t *watch;
    segment_t *first, *last;
    size_t depth; /* segments in flight that carry transactions */
    stmt_cache_t *stmts;
    bool is_paused, is_processing;
    bool is_unsent;      /* something gathered during this turn waits for its end */
    int32_t gathered_us; /* what that is expected to take, if it may share */
    bool is_shared;      /* BUSY with fast transactions: others may join */
    bool is_draining;    /* no more may join: an exclusive transaction waits for it */
    bool must_flush_stmts;
    db_wash_t wash;
    int64_t opened_us, idle_since_us, last_sync_us;
    int64_t last_heard_us; /* when the server last sent something, or reading was resumed */
    loop_timer_t wake;     /* zero delay: sweep or go on reading */
    loop_timer_t cancel_delay;
    struct cancel *cancel;
    char reason[200]; /* of CONN_STATE_BROKEN; empty: the wire knows */
};

typedef struct {
    db_tx_t *first, *last;
    size_t count;
} tx_list_t;

struct db_pool {
    loop_t *loop;
    db_pool_options_t options; /* strings are own copies */
    conn_t **conns;
    size_t conn_count, conn_capacity;
    tx_list_t waiting; /* exclusive ones */
    tx_list_t waiting_fast;
    tx_list_t doomed;
    uint32_t generation;
    loop_timer_t deadline, doom, janitor, reopen;
    bool is_up, has_state;
    int64_t down_since_us, last_attempt_us; /* down_since_us 0: not down */
    buf_t connect_error;                    /* libpq's text of the last failed attempt */
    int server_version;
    void (*on_state)(void *arg, bool is_up);
    void *on_state_arg;
    wire_scratch_t scratch;
    bool has_unsent; /* of some connection */
    struct lane *lane;
    struct metric *size_gauge, *idle_gauge, *waiting_gauge;
    int64_t done_total, lost_total, retry_total, timeout_total, cancel_total;
};

/* conn.c */
conn_t *conn_create(db_pool_t *pool);
void conn_destroy(conn_t *conn); /* its transactions must be gone */
void conn_set_state(conn_t *conn, conn_state_t state);
bool conn_is_overdue(const conn_t *conn,
                     int64_t now_us); /* no answer although the statement's time is over */
bool conn_check_alive(conn_t *conn);  /* an idle one: false when the server has left meanwhile */
/* `reason` NULL: the wire's text when it is swept. The first reason counts. */
void conn_mark_broken(conn_t *conn, const char *reason);
void conn_append(conn_t *conn, segment_t *segment);
segment_t *conn_pop(conn_t *conn); /* the first, unpinned */
void conn_flush(conn_t *conn);
void conn_flush_soon(conn_t *conn); /* at the end of the loop's turn */
void conn_pause(conn_t *conn, bool is_paused);

/* cancel.c */
void cancel_schedule(
    conn_t *conn); /* asks the server to stop what runs, unless it ends by itself within 20 ms */
void cancel_abandon(conn_t *conn);

/* lane.c */
struct lane *lane_create(void);
void lane_destroy(struct lane *lane);
void lane_classify(db_tx_t *tx); /* sets is_fast */
void lane_note(const conn_t *conn, const db_tx_t *tx);
conn_t *lane_pick(db_pool_t *pool, const db_tx_t *tx); /* NULL: it has to wait */
bool lane_wants_conn(const db_pool_t *pool);
bool conn_is_surplus(const conn_t *conn); /* too many, or opened with an old conninfo */

/* segment.c: sending. False: the connection is broken (and marked). */
bool segment_send_tx(conn_t *conn, db_tx_t *tx);
bool segment_send_end(conn_t *conn, db_tx_t *tx, db_end_t end);
bool segment_send_housekeeping(conn_t *conn, const char *const *texts, size_t count, bool is_prepared);
bool segment_send_wash(conn_t *conn);

/* result.c: receiving. Reads what has arrived until nothing more is complete. */
void result_process(conn_t *conn);

/* pool_info.c */
void pool_info_publish(db_pool_t *pool);         /* gauges */
size_t pool_info_waiting(const db_pool_t *pool); /* of both lanes */

/* tx.c */
void tx_finish(db_tx_t *tx, err_t *error); /* calls on_done unless detached, frees */
pool_t *tx_memory(db_tx_t *tx);
void tx_free(db_tx_t *tx);

/* pool.c */
void db_pool_admit(db_tx_t *tx);  /* to the waiting list, or, when refused, to be told in the next turn */
void db_pool_forget(db_tx_t *tx); /* out of the waiting list */
void db_pool_dispatch(db_pool_t *pool);
void db_pool_tidy_soon(
    db_pool_t *pool); /* closes what is too many, too old or of an old conninfo, in the next turn */
void db_pool_on_opened(conn_t *conn);
void db_pool_on_open_failed(conn_t *conn, const char *message);
void db_pool_on_lost(conn_t *conn, const char *message); /* takes care of its transactions, destroys it */
void db_pool_requeue(db_tx_t *tx);                       /* to the front of its list, its old deadline */
void db_pool_on_free(conn_t *conn);                      /* a connection became idle */

void tx_list_push(tx_list_t *list, db_tx_t *tx);
void tx_list_push_front(tx_list_t *list, db_tx_t *tx);
void tx_list_remove(tx_list_t *list, db_tx_t *tx);

#endif
