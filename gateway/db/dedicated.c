#include "db/dedicated.h"

#include "base/observe.h"
#include "base/pool.h"
#include "db/connect.h"

#include <stdio.h>
#include <stdlib.h>

enum { PREPARED_MAX = 16, RETRY_FIRST_MS = 250, RETRY_MAX_MS = 8000 };

typedef enum {
    STATE_WAITING, /* retry timer runs */
    STATE_OPENING, /* connect owns the attempt */
    STATE_IDLE,
    STATE_PREPARING, /* Parse of the statement that runs next is in flight */
    STATE_RUNNING,
    STATE_BROKEN /* swept by the retry timer in the next turn */
} state_t;

struct db_dedicated {
    loop_t *loop;
    char *conninfo;
    db_dedicated_handlers_t handlers;
    void *arg;
    state_t state;
    db_connect_t *connect;
    PGconn *pg;
    loop_watch_t *watch;
    loop_timer_t retry, deadline;
    int timeout_ms, retry_ms;
    const char *prepared[PREPARED_MAX]; /* texts, by address; the index is the name */
    int prepared_count;
    /* The statement under way. */
    const char *sql;
    char **params;
    int param_count;
    int slot;
    PGresult *result; /* the last one that came */
    void (*done)(void *arg, const PGresult *result);
};

static void open_connection(void *arg);

static void free_params(db_dedicated_t *d)
{
    for (int i = 0; i < d->param_count; i++)
        free(d->params[i]);
    free(d->params);
    d->params = NULL;
    d->param_count = 0;
}

static void close_connection(db_dedicated_t *d)
{
    loop_timer_stop(&d->deadline);
    free_params(d);
    PQclear(d->result);
    d->result = NULL;
    if (d->watch != NULL)
        loop_watch_destroy(d->watch);
    d->watch = NULL;
    PQfinish(d->pg);
    d->pg = NULL;
    d->prepared_count = 0;
}

static void retry_later(db_dedicated_t *d)
{
    d->state = STATE_WAITING;
    loop_timer_start(d->loop, &d->retry, d->retry_ms, open_connection, d);
    d->retry_ms = d->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : d->retry_ms * 2;
}

static void sweep(void *arg)
{
    db_dedicated_t *d = arg;
    observe(LOG_WARN, "db_dedicated_lost", F_CSTR("reason", d->pg != NULL ? PQerrorMessage(d->pg) : ""));
    close_connection(d);
    retry_later(d);
    if (d->handlers.on_lost != NULL)
        d->handlers.on_lost(d->arg);
}

/* Acted upon in the next turn, so that nobody is called back from inside db_dedicated_run. */
static void mark_broken(db_dedicated_t *d)
{
    if (d->state == STATE_BROKEN)
        return;
    d->state = STATE_BROKEN;
    loop_watch_want_read(d->watch, false);
    loop_timer_start(d->loop, &d->retry, 0, sweep, d);
}

static void on_deadline(void *arg)
{
    mark_broken(arg);
}

static void flush(db_dedicated_t *d)
{
    int left = PQflush(d->pg);
    if (left < 0)
        mark_broken(d);
    else if (left > 0)
        loop_watch_want_write(d->watch);
}

static void send_statement(db_dedicated_t *d)
{
    char name[16];
    snprintf(name, sizeof(name), "d%d", d->slot);
    d->state = STATE_RUNNING;
    if (!PQsendQueryPrepared(d->pg, name, d->param_count, (const char *const *)d->params, NULL, NULL, 0))
        mark_broken(d);
    else
        flush(d);
}

/* The statement under way is complete. */
static void on_complete(db_dedicated_t *d)
{
    PGresult *result = d->result;
    d->result = NULL;
    bool is_good = PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
    if (d->state == STATE_PREPARING && is_good) {
        PQclear(result);
        d->prepared[d->prepared_count++] = d->sql;
        send_statement(d);
        return;
    }
    loop_timer_stop(&d->deadline);
    free_params(d);
    d->state = STATE_IDLE;
    d->done(d->arg, result);
    PQclear(result);
}

static void read_results(db_dedicated_t *d)
{
    while ((d->state == STATE_PREPARING || d->state == STATE_RUNNING) && !PQisBusy(d->pg)) {
        PGresult *result = PQgetResult(d->pg);
        if (result != NULL) {
            PQclear(d->result);
            d->result = result;
        } else if (d->result != NULL) {
            on_complete(d);
        } else {
            mark_broken(d);
        }
    }
}

static void on_read(void *arg)
{
    db_dedicated_t *d = arg;
    if (!PQconsumeInput(d->pg)) {
        mark_broken(d);
        return;
    }
    flush(d);
    int own_pid = PQbackendPID(d->pg);
    for (PGnotify *notify; (notify = PQnotifies(d->pg)) != NULL; PQfreemem(notify)) {
        if (d->handlers.on_notify != NULL)
            d->handlers.on_notify(d->arg, notify->be_pid == own_pid);
    }
    if (d->state != STATE_BROKEN)
        read_results(d);
}

static void on_write(void *arg)
{
    db_dedicated_t *d = arg;
    if (d->state != STATE_BROKEN)
        flush(d);
}

static void on_connected(void *arg, PGconn *pg)
{
    db_dedicated_t *d = arg;
    d->connect = NULL;
    d->pg = pg;
    if (PQstatus(pg) != CONNECTION_OK || PQsetnonblocking(pg, 1) != 0) {
        observe(LOG_WARN, "db_dedicated_refused", F_CSTR("reason", PQerrorMessage(pg)));
        close_connection(d);
        retry_later(d);
        return;
    }
    d->retry_ms = RETRY_FIRST_MS;
    d->watch = loop_watch_create(d->loop, PQsocket(pg), on_read, on_write, d);
    loop_watch_want_read(d->watch, true);
    d->state = STATE_IDLE;
    d->handlers.on_up(d->arg);
}

static void open_connection(void *arg)
{
    db_dedicated_t *d = arg;
    d->state = STATE_OPENING;
    d->connect = db_connect_start(d->loop, str_from_c(d->conninfo), DB_CONNECT_ANY, on_connected, d);
}

db_dedicated_t *db_dedicated_create(loop_t *loop, str_t conninfo, int timeout_ms,
                                    const db_dedicated_handlers_t *handlers, void *arg)
{
    db_dedicated_t *d = calloc(1, sizeof(*d));
    if (d == NULL || (d->conninfo = strndup(conninfo.base, conninfo.len)) == NULL)
        abort();
    d->loop = loop;
    d->handlers = *handlers;
    d->arg = arg;
    d->timeout_ms = timeout_ms;
    d->retry_ms = RETRY_FIRST_MS;
    d->state = STATE_WAITING;
    loop_timer_start(loop, &d->retry, 0, open_connection, d);
    return d;
}

void db_dedicated_destroy(db_dedicated_t *d)
{
    if (d == NULL)
        return;
    loop_timer_stop(&d->retry);
    if (d->connect != NULL)
        db_connect_abort(d->connect);
    close_connection(d);
    free(d->conninfo);
    free(d);
}

bool db_dedicated_is_up(const db_dedicated_t *d)
{
    return d->state == STATE_IDLE || d->state == STATE_PREPARING || d->state == STATE_RUNNING;
}

bool db_dedicated_is_idle(const db_dedicated_t *d)
{
    return d->state == STATE_IDLE;
}

static int find_prepared(const db_dedicated_t *d, const char *sql)
{
    for (int i = 0; i < d->prepared_count; i++) {
        if (d->prepared[i] == sql)
            return i;
    }
    return -1;
}

void db_dedicated_run(db_dedicated_t *d, const char *sql, const char *const *params, int param_count,
                      void (*done)(void *arg, const PGresult *result))
{
    d->sql = sql;
    d->done = done;
    d->param_count = param_count;
    d->params = calloc((size_t)param_count + 1, sizeof(char *));
    if (d->params == NULL)
        abort();
    for (int i = 0; i < param_count; i++)
        d->params[i] = params[i] != NULL ? strdup(params[i]) : NULL;
    loop_timer_start(d->loop, &d->deadline, d->timeout_ms, on_deadline, d);
    d->slot = find_prepared(d, sql);
    if (d->slot >= 0) {
        send_statement(d);
        return;
    }
    if (d->prepared_count == PREPARED_MAX)
        abort(); /* a bug of the caller: more literals than promised */
    d->slot = d->prepared_count;
    d->state = STATE_PREPARING;
    char name[16];
    snprintf(name, sizeof(name), "d%d", d->slot);
    if (!PQsendPrepare(d->pg, name, sql, 0, NULL))
        mark_broken(d);
    else
        flush(d);
}
