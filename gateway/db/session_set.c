#include "db/session_set.h"

#include "base/clock.h"
#include "base/observe.h"
#include "db/connect.h"
#include "db/pg_error.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { STMTS_PER_CONN = 128, ACQUIRE_TIMEOUT_MS = 10000 };

/* A thread in the queue; on its stack. */
typedef struct waiter {
    struct waiter *next;
    pthread_cond_t turn;
    bool is_called; /* a slot is its own: taken out of the queue */
} waiter_t;

struct db_sessions {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t all_back;
    char *conninfo;
    size_t size_max, in_use; /* slots that threads hold, connecting ones included */
    int acquire_timeout_ms;
    uint32_t generation;
    session_conn_t *idle; /* newest first */
    waiter_t *first_waiter, *last_waiter;
};

static void conn_close(session_conn_t *conn)
{
    PQfinish(conn->pg);
    stmt_cache_destroy(conn->stmts);
    db_wash_dispose(&conn->wash);
    free(conn);
}

static void close_idle(db_sessions_t *set)
{
    while (set->idle != NULL) {
        session_conn_t *conn = set->idle;
        set->idle = conn->next;
        conn_close(conn);
    }
}

db_sessions_t *db_sessions_create(str_t conninfo, size_t size_max, int acquire_timeout_ms)
{
    db_sessions_t *set = calloc(1, sizeof(*set));
    if (set == NULL)
        abort();
    pthread_mutex_init(&set->lock, NULL);
    pthread_cond_init(&set->all_back, NULL);
    db_sessions_set_options(set, conninfo, size_max, acquire_timeout_ms);
    return set;
}

void db_sessions_set_options(db_sessions_t *set, str_t conninfo, size_t size_max, int acquire_timeout_ms)
{
    char *copy = strndup(conninfo.base != NULL ? conninfo.base : "", conninfo.len);
    if (copy == NULL)
        abort();
    pthread_mutex_lock(&set->lock);
    free(set->conninfo);
    set->conninfo = copy;
    set->size_max = size_max > 0 ? size_max : 1;
    set->acquire_timeout_ms = acquire_timeout_ms > 0 ? acquire_timeout_ms : ACQUIRE_TIMEOUT_MS;
    set->generation++;
    close_idle(set);
    pthread_mutex_unlock(&set->lock);
}

void db_sessions_destroy(db_sessions_t *set)
{
    if (set == NULL)
        return;
    pthread_mutex_lock(&set->lock);
    while (set->in_use > 0)
        pthread_cond_wait(&set->all_back, &set->lock);
    close_idle(set);
    pthread_mutex_unlock(&set->lock);
    pthread_cond_destroy(&set->all_back);
    pthread_mutex_destroy(&set->lock);
    free(set->conninfo);
    free(set);
}

static void remove_waiter(db_sessions_t *set, waiter_t *waiter)
{
    waiter_t *before = NULL;
    for (waiter_t *w = set->first_waiter; w != NULL; before = w, w = w->next) {
        if (w != waiter)
            continue;
        if (before != NULL)
            before->next = w->next;
        else
            set->first_waiter = w->next;
        if (set->last_waiter == w)
            set->last_waiter = before;
        return;
    }
}

/* Waits in turn for a slot. The lock is held. False: not in time. */
static bool wait_for_slot(db_sessions_t *set, int64_t deadline_us)
{
    if (set->first_waiter == NULL && set->in_use < set->size_max) {
        set->in_use++;
        return true;
    }
    waiter_t waiter = {0};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter.turn, &attr);
    pthread_condattr_destroy(&attr);
    if (set->last_waiter != NULL)
        set->last_waiter->next = &waiter;
    else
        set->first_waiter = &waiter;
    set->last_waiter = &waiter;
    int64_t end_us = clock_mono_us() + set->acquire_timeout_ms * 1000LL;
    if (deadline_us != 0 && deadline_us < end_us)
        end_us = deadline_us;
    struct timespec end = {.tv_sec = end_us / 1000000, .tv_nsec = end_us % 1000000 * 1000};
    while (!waiter.is_called && pthread_cond_timedwait(&waiter.turn, &set->lock, &end) != ETIMEDOUT)
        continue;
    if (!waiter.is_called)
        remove_waiter(set, &waiter);
    pthread_cond_destroy(&waiter.turn);
    return waiter.is_called;
}

/* The slot goes to who waits longest. The lock is held. */
static void release_slot(db_sessions_t *set)
{
    set->in_use--;
    while (set->first_waiter != NULL && set->in_use < set->size_max) {
        waiter_t *waiter = set->first_waiter;
        remove_waiter(set, waiter);
        waiter->is_called = true;
        set->in_use++;
        pthread_cond_signal(&waiter->turn);
    }
    if (set->in_use == 0)
        pthread_cond_signal(&set->all_back);
}

static err_t *open_conn(pool_t *pool, const char *conninfo, session_conn_t **out)
{
    PGconn *pg = db_connect_blocking(str_from_c(conninfo));
    if (PQstatus(pg) != CONNECTION_OK) {
        err_t *err = pg_error_no_connection(pool, str_from_c(PQerrorMessage(pg)));
        PQfinish(pg);
        return err;
    }
    session_conn_t *conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        abort();
    conn->pg = pg;
    conn->stmts = stmt_cache_create(STMTS_PER_CONN);
    conn->is_fresh = true;
    *out = conn;
    return NULL;
}

err_t *session_set_take(db_sessions_t *set, pool_t *pool, int64_t deadline_us, session_conn_t **out)
{
    pthread_mutex_lock(&set->lock);
    if (!wait_for_slot(set, deadline_us)) {
        pthread_mutex_unlock(&set->lock);
        return pg_error_acquire_timeout(pool);
    }
    session_conn_t *conn = set->idle;
    if (conn != NULL)
        set->idle = conn->next;
    char *conninfo = conn == NULL ? strdup(set->conninfo) : NULL;
    uint32_t generation = set->generation;
    pthread_mutex_unlock(&set->lock);
    if (conn != NULL) {
        conn->is_fresh = false;
        *out = conn;
        return NULL;
    }
    if (conninfo == NULL)
        abort();
    err_t *err = open_conn(pool, conninfo, out);
    free(conninfo);
    if (err == NULL) {
        (*out)->generation = generation;
        return NULL;
    }
    pthread_mutex_lock(&set->lock);
    release_slot(set);
    pthread_mutex_unlock(&set->lock);
    return err;
}

void session_set_give(db_sessions_t *set, session_conn_t *conn)
{
    pthread_mutex_lock(&set->lock);
    bool must_close = conn->is_broken || conn->generation != set->generation || set->in_use > set->size_max;
    if (!must_close) {
        conn->next = set->idle;
        set->idle = conn;
    }
    release_slot(set);
    pthread_mutex_unlock(&set->lock);
    if (must_close)
        conn_close(conn);
}

bool session_conn_is_alive(session_conn_t *conn)
{
    struct pollfd wait = {.fd = PQsocket(conn->pg), .events = POLLIN};
    /* First comes what the server said, then the end of the stream. */
    while (!conn->is_fresh && !conn->is_broken && poll(&wait, 1, 0) > 0)
        conn->is_broken = !PQconsumeInput(conn->pg) || PQstatus(conn->pg) == CONNECTION_BAD;
    return !conn->is_broken;
}

bool session_conn_await(session_conn_t *conn)
{
    int64_t from_us = clock_mono_us(), end_us = from_us + conn->limit_ms * 1000LL;
    if (conn->deadline_us != 0 && conn->deadline_us < end_us)
        end_us = conn->deadline_us;
    while (PQisBusy(conn->pg)) {
        int64_t left_us = end_us - clock_mono_us();
        struct pollfd wait = {.fd = PQsocket(conn->pg), .events = POLLIN};
        if (left_us <= 0) {
            observe(LOG_WARN, "db_session_no_answer", F_INT("waited_ms", (clock_mono_us() - from_us) / 1000));
            conn->is_broken = true;
            return false;
        }
        if (poll(&wait, 1, (int)(left_us / 1000 + 1)) > 0 && !PQconsumeInput(conn->pg))
            return true; /* the end of the connection is a result, too */
    }
    return true;
}

PGresult *session_conn_result(session_conn_t *conn, int is_sent)
{
    PGresult *last = NULL, *result;
    if (!is_sent) {
        conn->is_broken = conn->is_broken || PQstatus(conn->pg) == CONNECTION_BAD;
        return NULL;
    }
    while (session_conn_await(conn) && (result = PQgetResult(conn->pg)) != NULL) {
        PQclear(last);
        last = result;
    }
    if (!conn->is_broken)
        return last;
    PQclear(last);
    return NULL;
}
