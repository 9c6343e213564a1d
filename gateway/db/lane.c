/* Two lanes. Several transactions sent behind each other on one connection spare the wake-ups between them (a
 * quarter of the CPU of a point read), but each waits for all before it. So only what is known to be quick
 * shares:
 *
 *   fast       read-only statements that were quick in their last runs: up to 8 deep on few connections, the
 * shortest queue first exclusive  everything else: a connection of its own
 *
 * When an exclusive transaction finds no connection, a fast one takes no more until it is empty. While there
 * is fast traffic one connection is not given to exclusive transactions, so that point reads are answered
 * however many slow queries run. */
#include "db/inside.h"

#include "base/clock.h"

#include <stdlib.h>

enum {
    SLOTS = 512, /* a power of two */
    RUNS_TO_PROMOTE = 20,
    TOOK_LIMITS_MAX = 40, /* a run longer than that many limits counts as this: enough to demote at once */
    MEAN_WEIGHT = 8,      /* the newest run counts one part in this */
    RESULT_MAX = 32 * 1024,
    FAST_CONNS = 4,
    FAST_DEPTH = 8,
    FAST_RECENTLY_US = 1000000,
    PEEK_AFTER_IDLE_US = 1000
};

/* What is known of one statement under one role. Direct-mapped by hash: a collision only forgets or misjudges
 * cost. */
typedef struct {
    uint64_t hash;
    uint32_t runs;   /* in a row without an error or a big result, no more than needed */
    int32_t mean_us; /* exponentially weighted */
} stat_t;

struct lane {
    stat_t slots[SLOTS];
    int64_t last_fast_us;
};

struct lane *lane_create(void)
{
    struct lane *lane = calloc(1, sizeof(*lane));
    if (lane == NULL)
        abort();
    return lane;
}

void lane_destroy(struct lane *lane)
{
    free(lane);
}

/* --- what is quick --- */

static bool may_share(const db_pool_t *pool, const db_tx_spec_t *spec)
{
    if (spec->is_exclusive || spec->is_explicit || !spec->is_read_only || !pool->options.is_prepared)
        return false;
    for (size_t i = 0; i < spec->stmt_count; i++)
        if (spec->stmts[i].is_unprepared)
            return false;
    return true;
}

/* A collision costs nothing but a misjudgement. */
static uint64_t hash_spec(const db_tx_spec_t *spec)
{
    uint64_t hash = str_hash(spec->role);
    for (size_t i = 0; i < spec->stmt_count; i++)
        hash = hash * 31 + db_stmt_hash(&spec->stmts[i]);
    return hash | 1; /* 0: cannot share */
}

/* With more connections at work than cores each of them runs slower than its statement. */
static int64_t limit_us(const db_pool_t *pool)
{
    int64_t busy = 0;
    for (size_t i = 0; i < pool->conn_count; i++)
        busy += pool->conns[i]->state == CONN_STATE_BUSY;
    return (int64_t)pool->options.share_limit_us * (busy < 4 ? 1 : busy < 8 ? busy / 2 : 4);
}

void lane_classify(db_tx_t *tx)
{
    struct lane *lane = tx->pool->lane;
    tx->lane_hash = may_share(tx->pool, &tx->spec) ? hash_spec(&tx->spec) : 0;
    const stat_t *stat = &lane->slots[(tx->lane_hash >> 1) % SLOTS];
    tx->is_fast = tx->lane_hash != 0 && stat->hash == tx->lane_hash && stat->runs >= RUNS_TO_PROMOTE &&
                  stat->mean_us <= limit_us(tx->pool);
    tx->expected_us = stat->mean_us;
}

/* The time since it could begin: it was sent, and what was before it had ended. */
void lane_note(const conn_t *conn, const db_tx_t *tx)
{
    if (tx->lane_hash == 0)
        return;
    stat_t *stat = &tx->pool->lane->slots[(tx->lane_hash >> 1) % SLOTS];
    int64_t began = tx->sent_us > conn->last_sync_us ? tx->sent_us : conn->last_sync_us;
    int64_t took = clock_mono_us() - began;
    int64_t took_max = (int64_t)tx->pool->options.share_limit_us * TOOK_LIMITS_MAX;
    if (took > took_max)
        took = took_max;
    if (stat->hash != tx->lane_hash)
        *stat = (stat_t){.hash = tx->lane_hash, .mean_us = (int32_t)took};
    stat->mean_us += ((int32_t)took - stat->mean_us) / MEAN_WEIGHT;
    if (tx->error != NULL || tx->result_bytes > RESULT_MAX)
        stat->runs = 0;
    else if (stat->runs < RUNS_TO_PROMOTE)
        stat->runs++;
}

/* --- who gets which connection --- */

bool conn_is_surplus(const conn_t *conn)
{
    const db_pool_t *pool = conn->pool;
    return conn->generation != pool->generation || pool->conn_count > pool->options.size_max;
}

static conn_t *find_idle(db_pool_t *pool)
{
    int64_t now = clock_mono_us();
    for (size_t i = 0; i < pool->conn_count; i++) {
        conn_t *conn = pool->conns[i];
        if (conn->state == CONN_STATE_IDLE && !conn_is_surplus(conn) &&
            (now - conn->idle_since_us < PEEK_AFTER_IDLE_US || conn_check_alive(conn)))
            return conn;
    }
    return NULL;
}

static bool is_joinable(const conn_t *conn)
{
    return conn->state == CONN_STATE_BUSY && conn->is_shared && !conn->is_draining && !conn->is_paused &&
           conn->cancel == NULL && !conn_is_surplus(conn);
}

/* The joinable connection with the shortest queue, and how many there are. */
static conn_t *find_shortest(const db_pool_t *pool, size_t *count)
{
    conn_t *best = NULL;
    *count = 0;
    for (size_t i = 0; i < pool->conn_count; i++) {
        conn_t *conn = pool->conns[i];
        if (!is_joinable(conn))
            continue;
        ++*count;
        if (best == NULL || conn->depth < best->depth)
            best = conn;
    }
    return best;
}

/* What this turn of the loop has put on a connection leaves in one piece and wakes one backend: the next goes
 * with it as long as together they are still quick. */
static conn_t *find_gathering(const db_pool_t *pool, const db_tx_t *tx)
{
    for (size_t i = 0; i < pool->conn_count && pool->has_unsent; i++) {
        conn_t *conn = pool->conns[i];
        if (conn->is_unsent && is_joinable(conn) && conn->depth < FAST_DEPTH &&
            conn->gathered_us + tx->expected_us <= pool->options.share_limit_us)
            return conn;
    }
    return NULL;
}

static conn_t *pick_shared(db_pool_t *pool, const db_tx_t *tx)
{
    size_t shared;
    conn_t *gathering = find_gathering(pool, tx);
    if (gathering != NULL)
        return gathering;
    conn_t *shortest = find_shortest(pool, &shared);
    if (shared < FAST_CONNS || shortest->depth >= FAST_DEPTH) {
        conn_t *idle = find_idle(pool);
        if (idle != NULL)
            return idle;
    }
    return shortest != NULL && shortest->depth < FAST_DEPTH ? shortest : NULL;
}

static conn_t *pick_fast(db_pool_t *pool, const db_tx_t *tx)
{
    pool->lane->last_fast_us = clock_mono_us();
    conn_t *conn = pick_shared(pool, tx);
    if (conn != NULL)
        conn->gathered_us = (conn->is_unsent ? conn->gathered_us : 0) + tx->expected_us;
    return conn;
}

static bool is_one_reserved(const db_pool_t *pool)
{
    return pool->options.size_max >= 4 && clock_mono_us() - pool->lane->last_fast_us < FAST_RECENTLY_US;
}

static conn_t *pick_exclusive(db_pool_t *pool)
{
    size_t exclusive = 0, draining = 0, shared;
    for (size_t i = 0; i < pool->conn_count; i++) {
        const conn_t *conn = pool->conns[i];
        exclusive +=
            (conn->state == CONN_STATE_BUSY && !conn->is_shared) || conn->state == CONN_STATE_CANCELLING;
        draining += conn->is_draining;
    }
    if (is_one_reserved(pool) && exclusive + draining + 1 >= pool->options.size_max)
        return NULL;
    conn_t *idle = find_idle(pool);
    conn_t *shortest = find_shortest(pool, &shared);
    bool is_full = pool->conn_count >= pool->options.size_max;
    if (idle == NULL && is_full && shortest != NULL && draining < pool->waiting.count)
        shortest->is_draining = true;
    return idle;
}

conn_t *lane_pick(db_pool_t *pool, const db_tx_t *tx)
{
    return tx->is_fast ? pick_fast(pool, tx) : pick_exclusive(pool);
}

/* One more connection would shorten the queues of the fast lane. */
bool lane_wants_conn(const db_pool_t *pool)
{
    size_t shared;
    const conn_t *shortest = find_shortest(pool, &shared);
    for (size_t i = 0; i < pool->conn_count; i++)
        if (pool->conns[i]->state == CONN_STATE_IDLE)
            return false;
    if (shortest == NULL)
        return pool->waiting_fast.count > 0;
    return shortest->depth > 1 && shared < FAST_CONNS;
}
