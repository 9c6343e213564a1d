#include "db/inside.h"

#include "base/clock.h"
#include "base/observe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    STMTS_PER_CONN = 128,
    ANSWER_GRACE_US = 5000000,  /* beyond statement_timeout */
    DETACHED_MAX_US = 30000000, /* nobody waits for it and the cancel did not help */
    HOUSEKEEPING_MAX_US = 10000000,
    READS_PER_TURN = 4 /* then others have their turn */
};

/* The one place where a connection's state changes. */
void conn_set_state(conn_t *conn, conn_state_t state)
{
    if (conn->state == CONN_STATE_BROKEN)
        return; /* final */
    conn->state = state;
    if (state == CONN_STATE_IDLE) {
        conn->idle_since_us = clock_mono_us();
        conn->is_draining = false;
    }
}

static void on_wake(void *arg)
{
    conn_t *conn = arg;
    if (conn->state != CONN_STATE_BROKEN) {
        result_process(conn);
        conn_flush(conn);
    }
    if (conn->state == CONN_STATE_BROKEN)
        db_pool_on_lost(conn, conn->reason[0] != '\0' ? conn->reason : wire_reason(conn->wire));
}

void conn_mark_broken(conn_t *conn, const char *reason)
{
    if (conn->state == CONN_STATE_BROKEN)
        return;
    if (reason != NULL)
        snprintf(conn->reason, sizeof(conn->reason), "%s", reason);
    conn_set_state(conn, CONN_STATE_BROKEN);
    loop_watch_want_read(conn->watch, false);
    loop_timer_start(conn->pool->loop, &conn->wake, 0, on_wake, conn);
}

void conn_flush(conn_t *conn)
{
    conn->is_unsent = false;
    if (conn->state == CONN_STATE_BROKEN)
        return;
    wire_flush_t flushed = wire_flush(conn->wire);
    if (flushed == WIRE_LOST)
        conn_mark_broken(conn, NULL);
    else if (flushed == WIRE_PENDING)
        loop_watch_want_write(conn->watch);
}

void conn_flush_soon(conn_t *conn)
{
    conn->is_unsent = conn->pool->has_unsent = true;
    loop_want_turn(conn->pool->loop);
}

static int reads_per_turn(const conn_t *conn)
{
    const db_tx_t *tx = conn->first != NULL ? conn->first->tx : NULL;
    return tx != NULL && tx->spec.is_background ? 1 : READS_PER_TURN;
}

/* What arrived before the end of the connection is still complete and true: it is processed first. */
static void on_readable(void *arg)
{
    conn_t *conn = arg;
    wire_read_t got = WIRE_READ_MORE;
    for (int left = reads_per_turn(conn); left > 0 && got == WIRE_READ_MORE; left--) {
        if (conn->state == CONN_STATE_BROKEN || conn->is_paused)
            return;
        got = wire_read(conn->wire);
        if (got == WIRE_READ_ENDED)
            conn_mark_broken(conn, NULL);
        conn->last_heard_us = clock_mono_us();
        result_process(conn);
    }
    conn_flush(conn);
}

/* Both sides can be full at once, so reading goes on while output is pending. */
static void on_writable(void *arg)
{
    conn_flush(arg);
}

static void on_connected(void *arg, PGconn *pg)
{
    conn_t *conn = arg;
    conn->connect = NULL;
    if (PQstatus(pg) == CONNECTION_OK)
        conn->wire = wire_open(pg, &conn->pool->scratch, conn->pool->options.needs_libpq);
    if (conn->wire == NULL) {
        db_pool_on_open_failed(conn, PQerrorMessage(pg));
        PQfinish(pg);
        return;
    }
    conn->watch = loop_watch_create(conn->pool->loop, PQsocket(pg), on_readable, on_writable, conn);
    loop_watch_want_read(conn->watch, true);
    conn->opened_us = clock_mono_us();
    conn_set_state(conn, CONN_STATE_IDLE);
    db_pool_on_opened(conn);
}

conn_t *conn_create(db_pool_t *pool)
{
    conn_t *conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        abort();
    conn->pool = pool;
    conn->generation = pool->generation;
    conn->stmts = stmt_cache_create(STMTS_PER_CONN);
    conn->state = CONN_STATE_OPENING;
    conn->connect = db_connect_start(pool->loop, pool->options.conninfo, DB_CONNECT_ANY, on_connected, conn);
    return conn;
}

void conn_destroy(conn_t *conn)
{
    while (conn->first != NULL) {
        segment_t *segment = conn_pop(conn);
        if (segment->tx == NULL)
            free(segment);
    }
    loop_timer_stop(&conn->wake);
    loop_timer_stop(&conn->cancel_delay);
    cancel_abandon(conn);
    if (conn->connect != NULL)
        db_connect_abort(conn->connect);
    if (conn->watch != NULL)
        loop_watch_destroy(conn->watch);
    if (conn->wire != NULL)
        wire_close(conn->wire);
    stmt_cache_destroy(conn->stmts);
    db_wash_dispose(&conn->wash);
    free(conn);
}

/* The end of an idle connection is usually reported before the next request arrives; when both happen in one
 * turn, a request sent into the dead socket would have an unknown outcome. */
bool conn_check_alive(conn_t *conn)
{
    for (int i = 0; i < 2; i++) { /* notices and changed parameters are taken in, then nothing may be left */
        char byte;
        ssize_t n = recv(PQsocket(conn->wire->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return true;
        if (n <= 0 || wire_read(conn->wire) == WIRE_READ_ENDED)
            break;
    }
    conn_mark_broken(conn, NULL);
    return false;
}

/* The server ends statements by itself; when even that does not come, it or the network is gone. */
bool conn_is_overdue(const conn_t *conn, int64_t now_us)
{
    if (conn->state == CONN_STATE_CANCELLING)
        return now_us - conn->last_heard_us > HOUSEKEEPING_MAX_US;
    if (conn->state != CONN_STATE_BUSY || conn->is_paused)
        return false;
    const db_tx_t *tx = conn->first->tx;
    int64_t silent_us =
        now_us - (tx != NULL && tx->sent_us > conn->last_heard_us ? tx->sent_us : conn->last_heard_us);
    if (tx == NULL)
        return silent_us > HOUSEKEEPING_MAX_US;
    if (tx->is_detached && silent_us > DETACHED_MAX_US)
        return true;
    return tx->server_limit_ms > 0 && silent_us > tx->server_limit_ms * 1000 + ANSWER_GRACE_US;
}

void conn_append(conn_t *conn, segment_t *segment)
{
    segment->next = NULL;
    if (conn->last != NULL)
        conn->last->next = segment;
    else
        conn->first = segment;
    conn->last = segment;
    if (segment->tx != NULL)
        conn->depth++;
    conn_set_state(conn, CONN_STATE_BUSY);
}

segment_t *conn_pop(conn_t *conn)
{
    segment_t *segment = conn->first;
    conn->first = segment->next;
    if (conn->first == NULL)
        conn->last = NULL;
    if (segment->tx != NULL)
        conn->depth--;
    for (size_t i = 0; i < segment->step_count; i++)
        if (segment->steps[i].entry != NULL)
            stmt_cache_unpin(segment->steps[i].entry);
    segment->step_count = 0;
    return segment;
}

void conn_pause(conn_t *conn, bool is_paused)
{
    if (conn->is_paused == is_paused || conn->state == CONN_STATE_BROKEN)
        return;
    conn->is_paused = is_paused;
    conn->last_heard_us = clock_mono_us();
    loop_watch_want_read(conn->watch, !is_paused);
    if (!is_paused && !conn->is_processing)
        loop_timer_start(conn->pool->loop, &conn->wake, 0, on_wake, conn);
}
