#include "db/listen.h"

#include "base/buf.h"
#include "base/observe.h"
#include "db/connect.h"
#include "db/ident.h"

#include <stdlib.h>

enum { PROBE_MS = 10000, ANSWER_MS = 4000, BACKOFF_MIN_MS = 1000, BACKOFF_MAX_MS = 8000 };

typedef enum {
    LISTEN_STATE_WAITING,    /* timer runs until the next attempt */
    LISTEN_STATE_CONNECTING, /* a helper thread connects; timer does not run */
    LISTEN_STATE_STARTING,   /* LISTEN was sent; timer: answer in time */
    LISTEN_STATE_UP,         /* timer: next probe */
    LISTEN_STATE_PROBING     /* a probe was sent; timer: answer in time */
} listen_state_t;

struct db_listen {
    listen_state_t state;
    loop_t *loop;
    char *conninfo;
    char *sql; /* LISTEN for each channel */
    db_listen_handlers_t handlers;
    void *arg;
    db_connect_t *connect;
    PGconn *pg;
    loop_watch_t *watch;
    loop_timer_t timer;
    int backoff_ms;                /* 0: the next attempt is made at once */
    bool is_calling, is_destroyed; /* destroyed inside a handler: freed behind it */
};

static void on_timer(void *arg);

static void set_state(db_listen_t *listen, listen_state_t state, int timer_ms)
{
    listen->state = state;
    if (timer_ms >= 0)
        loop_timer_start(listen->loop, &listen->timer, timer_ms, on_timer, listen);
    else
        loop_timer_stop(&listen->timer);
}

static void close_conn(db_listen_t *listen)
{
    if (listen->watch != NULL)
        loop_watch_destroy(listen->watch);
    listen->watch = NULL;
    PQfinish(listen->pg);
    listen->pg = NULL;
}

static void dispose(db_listen_t *listen)
{
    loop_timer_stop(&listen->timer);
    if (listen->connect != NULL)
        db_connect_abort(listen->connect);
    close_conn(listen);
    free(listen->conninfo);
    free(listen->sql);
    free(listen);
}

void db_listen_destroy(db_listen_t *listen)
{
    if (listen == NULL)
        return;
    listen->is_destroyed = true;
    if (!listen->is_calling)
        dispose(listen);
}

/* False: the handler destroyed it, and it is gone. */
static bool after_call(db_listen_t *listen)
{
    listen->is_calling = false;
    if (!listen->is_destroyed)
        return true;
    dispose(listen);
    return false;
}

static void lose(db_listen_t *listen, const char *reason)
{
    bool was_up = db_listen_is_up(listen);
    if (was_up || listen->backoff_ms <= BACKOFF_MIN_MS)
        observe(LOG_WARN, "db_listen_lost", F_STR("reason", str_trim(str_from_c(reason))));
    close_conn(listen);
    set_state(listen, LISTEN_STATE_WAITING, listen->backoff_ms);
    listen->backoff_ms = listen->backoff_ms == 0 ? BACKOFF_MIN_MS : listen->backoff_ms * 2;
    if (listen->backoff_ms > BACKOFF_MAX_MS)
        listen->backoff_ms = BACKOFF_MAX_MS;
    if (was_up && listen->handlers.on_lost != NULL) {
        listen->is_calling = true;
        listen->handlers.on_lost(listen->arg);
        after_call(listen);
    }
}

static void flush(db_listen_t *listen)
{
    int pending = PQflush(listen->pg);
    if (pending > 0)
        loop_watch_want_write(listen->watch);
    else if (pending < 0)
        lose(listen, PQerrorMessage(listen->pg));
}

/* LISTEN or the probe has been answered. Calls no handler unless it is the first. False: failed. */
static bool read_answers(db_listen_t *listen, bool *is_answered)
{
    while (listen->state != LISTEN_STATE_UP && !PQisBusy(listen->pg)) {
        PGresult *result = PQgetResult(listen->pg);
        if (result == NULL) {
            *is_answered = true;
            return true;
        }
        ExecStatusType status = PQresultStatus(result);
        PQclear(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            return false;
    }
    return true;
}

/* False: gone, by a handler. */
static bool deliver(db_listen_t *listen)
{
    PGnotify *notify;
    listen->is_calling = true;
    while (!listen->is_destroyed && (notify = PQnotifies(listen->pg)) != NULL) {
        listen->handlers.on_notify(listen->arg, str_from_c(notify->relname), str_from_c(notify->extra));
        PQfreemem(notify);
    }
    return after_call(listen);
}

static void on_readable(void *arg)
{
    db_listen_t *listen = arg;
    if (listen->pg == NULL)
        return;
    bool is_answered = false;
    bool is_alive = PQconsumeInput(listen->pg) && read_answers(listen, &is_answered);
    bool is_first = listen->state == LISTEN_STATE_STARTING;
    if (is_answered && is_alive) {
        listen->backoff_ms = 0;
        set_state(listen, LISTEN_STATE_UP, PROBE_MS);
    }
    if (is_answered && is_alive && is_first) {
        listen->is_calling = true;
        listen->handlers.on_ready(listen->arg);
        if (!after_call(listen))
            return;
    }
    if (listen->state >= LISTEN_STATE_UP && !deliver(listen))
        return;
    if (!is_alive || PQstatus(listen->pg) == CONNECTION_BAD)
        lose(listen, PQerrorMessage(listen->pg));
}

static void on_writable(void *arg)
{
    db_listen_t *listen = arg;
    if (listen->pg != NULL)
        flush(listen);
}

static void on_connected(void *arg, PGconn *pg)
{
    db_listen_t *listen = arg;
    listen->connect = NULL;
    listen->pg = pg;
    if (PQstatus(pg) != CONNECTION_OK || PQsetnonblocking(pg, 1) != 0 || !PQsendQuery(pg, listen->sql)) {
        lose(listen, PQerrorMessage(pg));
        return;
    }
    listen->watch = loop_watch_create(listen->loop, PQsocket(pg), on_readable, on_writable, listen);
    loop_watch_want_read(listen->watch, true);
    set_state(listen, LISTEN_STATE_STARTING, ANSWER_MS);
    flush(listen);
}

static void on_timer(void *arg)
{
    db_listen_t *listen = arg;
    switch (listen->state) {
    case LISTEN_STATE_WAITING:
        set_state(listen, LISTEN_STATE_CONNECTING, -1);
        listen->connect = db_connect_start(listen->loop, str_from_c(listen->conninfo), DB_CONNECT_PRIMARY,
                                           on_connected, listen);
        break;
    case LISTEN_STATE_UP:
        if (!PQsendQuery(listen->pg, listen->sql)) {
            lose(listen, PQerrorMessage(listen->pg));
            break;
        }
        set_state(listen, LISTEN_STATE_PROBING, ANSWER_MS);
        flush(listen);
        break;
    case LISTEN_STATE_STARTING:
    case LISTEN_STATE_PROBING:
        lose(listen, "no answer in time");
        break;
    case LISTEN_STATE_CONNECTING: /* no timer runs */
        break;
    }
}

db_listen_t *db_listen_create(loop_t *loop, str_t conninfo, const str_t *channels, size_t count,
                              const db_listen_handlers_t *handlers, void *arg)
{
    db_listen_t *listen = calloc(1, sizeof(*listen));
    if (listen == NULL)
        abort();
    buf_t sql;
    buf_init(&sql, NULL, 128);
    for (size_t i = 0; i < count; i++) {
        buf_append_str(&sql, i > 0 ? STR("; LISTEN ") : STR("LISTEN "));
        ident_append(&sql, channels[i]);
    }
    listen->loop = loop;
    listen->conninfo = strndup(conninfo.base != NULL ? conninfo.base : "", conninfo.len);
    size_t len;
    listen->sql = buf_take(&sql, &len);
    listen->handlers = *handlers;
    listen->arg = arg;
    set_state(listen, LISTEN_STATE_WAITING, 0);
    return listen;
}

bool db_listen_is_up(const db_listen_t *listen)
{
    return listen->state == LISTEN_STATE_UP || listen->state == LISTEN_STATE_PROBING;
}
