/* Who gets which connection, and what happens when the database goes away.
 *
 * Outage: while nothing can be opened, attempts follow each other every 100 ms as long as a transaction
 * waits, every 500 ms otherwise. Transactions are held through the first second (a crash of one backend
 * restarts them all and takes less), later ones fail as soon as an attempt has failed. */
#include "db/inside.h"

#include "base/clock.h"
#include "base/observe.h"

#include <stdlib.h>

enum {
    JANITOR_MS = 1000,
    REOPEN_WANTED_MS = 100,
    REOPEN_IDLE_MS = 500,
    REOPEN_LIMIT_MS = 1000, /* others are open, but the server refuses one more */
    OUTAGE_GRACE_MS = 1000
};

static void janitor(void *arg);

/* All transactions that a turn of the loop has put on a connection go to the server in one piece. */
static void send_gathered(void *arg)
{
    db_pool_t *pool = arg;
    if (!pool->has_unsent)
        return;
    pool->has_unsent = false;
    for (size_t i = 0; i < pool->conn_count; i++)
        if (pool->conns[i]->is_unsent)
            conn_flush(pool->conns[i]);
}

db_pool_t *db_pool_create(loop_t *loop, const db_pool_options_t *options)
{
    db_pool_t *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        abort();
    pool->loop = loop;
    db_pool_set_options(pool, options);
    pool->lane = lane_create();
    buf_init(&pool->connect_error, NULL, 0);
    wire_scratch_init(&pool->scratch);
    loop_on_turn_end(loop, send_gathered, pool);
    loop_timer_start(loop, &pool->janitor, JANITOR_MS, janitor, pool);
    return pool;
}

static size_t count_state(const db_pool_t *pool, conn_state_t state)
{
    size_t count = 0;
    for (size_t i = 0; i < pool->conn_count; i++)
        count += pool->conns[i]->state == state;
    return count;
}

static size_t count_live(const db_pool_t *pool)
{
    return pool->conn_count - count_state(pool, CONN_STATE_OPENING) - count_state(pool, CONN_STATE_BROKEN);
}

static void remove_conn(conn_t *conn)
{
    db_pool_t *pool = conn->pool;
    for (size_t i = 0; i < pool->conn_count; i++)
        if (pool->conns[i] == conn) {
            pool->conns[i] = pool->conns[--pool->conn_count];
            break;
        }
    conn_destroy(conn);
}

static void open_conn(db_pool_t *pool)
{
    if (pool->conn_count == pool->conn_capacity) {
        pool->conn_capacity = pool->conn_capacity * 2 + 4;
        pool->conns = realloc(pool->conns, pool->conn_capacity * sizeof(*pool->conns));
        if (pool->conns == NULL)
            abort();
    }
    pool->last_attempt_us = clock_mono_us();
    pool->conns[pool->conn_count++] = conn_create(pool);
}

/* As many as exclusive transactions wait, one at a time for the fast lane and during an outage. */
static void open_wanted(db_pool_t *pool)
{
    size_t opening = count_state(pool, CONN_STATE_OPENING);
    size_t wanted = pool->waiting.count + (lane_wants_conn(pool) ? 1 : 0);
    if (pool->down_since_us != 0 && wanted > 1)
        wanted = 1;
    while (opening < wanted && pool->conn_count < pool->options.size_max &&
           !loop_timer_is_running(&pool->reopen)) {
        open_conn(pool);
        opening++;
    }
}

static tx_list_t *list_of(db_tx_t *tx)
{
    return tx->is_fast ? &tx->pool->waiting_fast : &tx->pool->waiting;
}

static bool try_send(db_tx_t *tx)
{
    conn_t *conn = tx != NULL ? lane_pick(tx->pool, tx) : NULL;
    if (conn == NULL)
        return false;
    tx_list_remove(list_of(tx), tx);
    tx->state = TX_STATE_SENT;
    segment_send_tx(conn, tx); /* when it fails the sweep puts it back */
    return true;
}

/* In the order of arrival; when the first of one lane cannot be sent, the other lane's may still. */
void db_pool_dispatch(db_pool_t *pool)
{
    for (;;) {
        db_tx_t *one = pool->waiting.first, *other = pool->waiting_fast.first;
        if (one == NULL || (other != NULL && other->submitted_us < one->submitted_us)) {
            db_tx_t *first = other;
            other = one;
            one = first;
        }
        if (!try_send(one) && !try_send(other))
            break;
    }
    open_wanted(pool);
}

static void restart_deadline(db_pool_t *pool);

static void take_expired(tx_list_t *from, tx_list_t *to, int64_t now)
{
    while (from->first != NULL && from->first->deadline_us <= now) {
        db_tx_t *tx = from->first;
        tx_list_remove(from, tx);
        tx->state = TX_STATE_DOOMED;
        tx_list_push(to, tx);
    }
}

static void fail_expired(void *arg)
{
    db_pool_t *pool = arg;
    tx_list_t expired = {0};
    take_expired(&pool->waiting, &expired, clock_mono_us());
    take_expired(&pool->waiting_fast, &expired, clock_mono_us());
    restart_deadline(pool);
    if (expired.count > 0)
        observe(LOG_WARN, "db_acquire_timeout", F_STR("pool", pool->options.name),
                F_INT("requests", (int64_t)expired.count));
    while (expired.first != NULL) {
        db_tx_t *tx = expired.first;
        tx_list_remove(&expired, tx);
        pool->timeout_total++;
        tx_finish(tx, pg_error_acquire_timeout(tx_memory(tx)));
    }
}

/* Runs while something waits, until the earlier deadline of the two heads. */
static void restart_deadline(db_pool_t *pool)
{
    int64_t due = INT64_MAX;
    if (pool->waiting.first != NULL)
        due = pool->waiting.first->deadline_us;
    if (pool->waiting_fast.first != NULL && pool->waiting_fast.first->deadline_us < due)
        due = pool->waiting_fast.first->deadline_us;
    loop_timer_stop(&pool->deadline);
    int64_t left_us = due - clock_mono_us();
    if (due != INT64_MAX)
        loop_timer_start(pool->loop, &pool->deadline, left_us > 0 ? left_us / 1000 + 1 : 0, fail_expired,
                         pool);
}

static void tell_doomed(void *arg)
{
    db_pool_t *pool = arg;
    while (pool->doomed.first != NULL) {
        db_tx_t *tx = pool->doomed.first;
        tx_list_remove(&pool->doomed, tx);
        tx_finish(tx, tx->error);
    }
}

void db_pool_admit(db_tx_t *tx)
{
    db_pool_t *pool = tx->pool;
    if (tx->error != NULL) {
        tx->state = TX_STATE_DOOMED;
        tx_list_push(&pool->doomed, tx);
        loop_timer_start(pool->loop, &pool->doom, 0, tell_doomed, pool);
        return;
    }
    tx->state = TX_STATE_WAITING;
    tx_list_push(list_of(tx), tx);
    db_pool_dispatch(pool);
    if (tx->state == TX_STATE_WAITING && !loop_timer_is_running(&pool->deadline))
        restart_deadline(pool);
}

void db_pool_forget(db_tx_t *tx)
{
    tx_list_remove(list_of(tx), tx);
}

void db_pool_requeue(db_tx_t *tx)
{
    db_pool_t *pool = tx->pool;
    if (tx->has_output)
        tx->handlers.on_retry(tx->arg);
    pool_destroy(tx->memory);
    tx->memory = NULL;
    tx->error = NULL;
    tx->conn = NULL;
    tx->retries += tx->is_sync_sent ? 1 : 0;
    tx->is_stale_plan = tx->has_output = tx->has_columns = tx->is_ending = tx->is_sync_sent = false;
    pool->retry_total++;
    if (tx->is_detached) { /* by on_retry */
        tx_free(tx);
        return;
    }
    tx->state = TX_STATE_WAITING;
    tx_list_push_front(list_of(tx), tx);
    restart_deadline(pool);
}

static void set_up(db_pool_t *pool, bool is_up)
{
    bool has_changed = pool->is_up != is_up, is_news = has_changed || !pool->has_state;
    pool->is_up = is_up;
    pool->has_state = true;
    if (is_up)
        pool->down_since_us = 0;
    else if (pool->down_since_us == 0)
        pool->down_since_us = clock_mono_us();
    if (is_news && is_up)
        observe(LOG_INFO, "db_up", F_STR("pool", pool->options.name),
                F_INT("server_version", pool->server_version));
    if (is_news && !is_up)
        observe(LOG_ERROR, "db_down", F_STR("pool", pool->options.name),
                F_STR("reason", str_trim(buf_str(&pool->connect_error))));
    if (is_news && pool->on_state != NULL)
        pool->on_state(pool->on_state_arg, is_up);
}

void db_pool_on_opened(conn_t *conn)
{
    db_pool_t *pool = conn->pool;
    pool->server_version = PQserverVersion(conn->wire->pg);
    loop_timer_stop(&pool->reopen);
    set_up(pool, true);
    db_pool_on_free(conn);
}

static void fail_waiting(db_pool_t *pool)
{
    tx_list_t failed = {0};
    take_expired(&pool->waiting, &failed, INT64_MAX);
    take_expired(&pool->waiting_fast, &failed, INT64_MAX);
    while (failed.first != NULL) {
        db_tx_t *tx = failed.first;
        tx_list_remove(&failed, tx);
        tx_finish(tx, pg_error_no_connection(tx_memory(tx), buf_str(&pool->connect_error)));
    }
}

static void on_reopen(void *arg)
{
    db_pool_t *pool = arg;
    if (pool->down_since_us != 0 && count_state(pool, CONN_STATE_OPENING) == 0)
        open_conn(pool);
    else
        db_pool_dispatch(pool);
}

void db_pool_on_open_failed(conn_t *conn, const char *message)
{
    db_pool_t *pool = conn->pool;
    buf_clear(&pool->connect_error);
    buf_append_str(&pool->connect_error, str_from_c(message));
    remove_conn(conn);
    if (count_live(pool) > 0) {
        observe(LOG_WARN, "db_connect_refused", F_STR("pool", pool->options.name),
                F_STR("reason", str_trim(buf_str(&pool->connect_error))));
        loop_timer_start(pool->loop, &pool->reopen, REOPEN_LIMIT_MS, on_reopen, pool);
        return;
    }
    bool has_ever_worked = pool->server_version != 0;
    set_up(pool, false);
    if (!has_ever_worked || clock_mono_us() - pool->down_since_us >= OUTAGE_GRACE_MS * 1000LL)
        fail_waiting(pool);
    loop_timer_start(pool->loop, &pool->reopen,
                     pool_info_waiting(pool) > 0 ? REOPEN_WANTED_MS : REOPEN_IDLE_MS, on_reopen, pool);
}

/* Could the server have committed it although no answer came? */
static bool may_be_committed(const db_tx_t *tx)
{
    bool is_commit_sent = tx->spec.is_explicit ? tx->is_ending && tx->end == DB_END_COMMIT : true;
    return tx->is_sync_sent && is_commit_sent && !tx->spec.is_read_only;
}

/* Nothing of it can have happened, and it did not itself bring the connection down. */
static bool is_safe_elsewhere(const db_tx_t *tx, bool is_head)
{
    if (tx->is_detached || tx->error != NULL || tx->is_ending)
        return false;
    if (!tx->is_sync_sent)
        return !tx->has_output;
    return !is_head && tx->retries == 0 && !may_be_committed(tx) && !tx->has_output;
}

void db_pool_on_lost(conn_t *conn, const char *message)
{
    db_pool_t *pool = conn->pool;
    tx_list_t lost = {0};
    pool_t *scratch = pool_create();
    str_t reason = pool_str(scratch, str_trim(str_from_c(message)));
    db_tx_t *head = conn->first != NULL ? conn->first->tx : NULL;
    while (conn->first != NULL) {
        segment_t *segment = conn_pop(conn);
        if (segment->tx == NULL) {
            free(segment);
            continue;
        }
        segment->tx->state = TX_STATE_DOOMED; /* a handler called below may cancel another of them */
        segment->tx->conn = NULL;
        tx_list_push(&lost, segment->tx);
    }
    remove_conn(conn);
    pool->lost_total++;
    observe(LOG_WARN, "db_connection_lost", F_STR("pool", pool->options.name), F_STR("reason", reason),
            F_INT("transactions", (int64_t)lost.count));
    while (lost.last != NULL) { /* from behind, so that those put back keep their order */
        db_tx_t *tx = lost.last;
        tx_list_remove(&lost, tx);
        if (is_safe_elsewhere(tx, tx == head))
            db_pool_requeue(tx);
        else
            tx_finish(tx, tx->error != NULL ? tx->error : pg_error_lost_connection(tx_memory(tx), reason));
    }
    pool_destroy(scratch);
    db_pool_dispatch(pool);
    if (pool->conn_count == 0 && !loop_timer_is_running(&pool->reopen))
        open_conn(pool); /* to know whether the database is there before the next request asks */
}

void db_pool_on_free(conn_t *conn)
{
    db_pool_t *pool = conn->pool;
    if (conn_is_surplus(conn))
        db_pool_tidy_soon(pool); /* not now: its results may still be in hand */
    db_pool_dispatch(pool);
}

void db_pool_renew(db_pool_t *pool)
{
    pool->generation++;
    db_pool_tidy_soon(pool);
}

str_t db_pool_connect_error(const db_pool_t *pool)
{
    return buf_str(&pool->connect_error);
}

static bool is_worn_out(const conn_t *conn, int64_t now)
{
    const db_pool_options_t *options = &conn->pool->options;
    return conn_is_surplus(conn) || conn->wire->is_bloated ||
           (options->idle_timeout_ms > 0 && now - conn->idle_since_us > options->idle_timeout_ms * 1000LL) ||
           (options->lifetime_ms > 0 && now - conn->opened_us > options->lifetime_ms * 1000LL);
}

/* A dirty connection that nobody uses may hold advisory locks or temporary tables: washed after a second at
 * most. */
static void look_after(conn_t *conn, int64_t now)
{
    if (conn_is_overdue(conn, now))
        conn_mark_broken(conn, "no answer in time");
    else if (conn->state == CONN_STATE_IDLE && is_worn_out(conn, now))
        remove_conn(conn);
    else if (conn->state == CONN_STATE_IDLE && conn->wash.is_due)
        segment_send_wash(conn);
}

static void janitor(void *arg)
{
    db_pool_t *pool = arg;
    int64_t now = clock_mono_us();
    for (size_t i = pool->conn_count; i-- > 0;)
        look_after(pool->conns[i], now);
    db_pool_dispatch(pool);
    pool_info_publish(pool);
    loop_timer_start(pool->loop, &pool->janitor, JANITOR_MS, janitor, pool);
}

void db_pool_tidy_soon(db_pool_t *pool)
{
    loop_timer_start(pool->loop, &pool->janitor, 0, janitor, pool);
}

void db_pool_destroy(db_pool_t *pool)
{
    if (pool == NULL)
        return;
    buf_clear(&pool->connect_error);
    buf_append_lit(&pool->connect_error, "The server is shutting down.");
    pool->options.size_max = 0;
    while (pool->conn_count > 0 || pool_info_waiting(pool) > 0 || pool->doomed.count > 0) {
        while (pool->conn_count > 0) {
            conn_t *conn = pool->conns[0];
            while (conn->first != NULL) {
                segment_t *segment = conn_pop(conn);
                if (segment->tx != NULL)
                    tx_finish(segment->tx, pg_error_lost_connection(tx_memory(segment->tx),
                                                                    buf_str(&pool->connect_error)));
                else
                    free(segment);
            }
            remove_conn(conn);
        }
        fail_waiting(pool);
        tell_doomed(pool);
    }
    loop_timer_stop(&pool->deadline);
    loop_timer_stop(&pool->doom);
    loop_timer_stop(&pool->janitor);
    loop_timer_stop(&pool->reopen);
    lane_destroy(pool->lane);
    buf_dispose(&pool->connect_error);
    loop_off_turn_end(pool->loop, send_gathered, pool);
    wire_scratch_dispose(&pool->scratch);
    free((char *)pool->options.name.base);
    free((char *)pool->options.conninfo.base);
    free(pool->conns);
    free(pool);
}
