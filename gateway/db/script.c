#include "db/script.h"

#include "base/clock.h"
#include "base/observe.h"
#include "base/pool.h"
#include "db/connect.h"

#include <stdlib.h>

enum { CANCEL_GRACE_MS = 5000, MESSAGE_MAX = 8000 };

typedef enum {
    SCRIPT_OPENING,  /* connect owns the attempt */
    SCRIPT_PROLOGUE, /* the prologue is in flight */
    SCRIPT_RUNNING   /* the text is in flight */
} script_state_t;

struct db_script {
    loop_t *loop;
    pool_t *pool; /* the script itself, its texts and messages */
    const char *prologue, *sql;
    int timeout_ms;
    void (*done)(void *arg, const db_script_result_t *result);
    void *arg;
    script_state_t state;
    db_connect_t *connect;
    PGconn *pg;
    loop_watch_t *watch;
    loop_timer_t deadline;
    bool is_timed_out;
    int64_t started_us, row_count;
    db_script_result_t result;
};

static void dispose(db_script_t *script)
{
    loop_timer_stop(&script->deadline);
    if (script->connect != NULL)
        db_connect_abort(script->connect);
    if (script->watch != NULL)
        loop_watch_destroy(script->watch);
    PQfinish(script->pg);
    pool_destroy(script->pool);
}

static void finish(db_script_t *script)
{
    script->result.elapsed_us = clock_mono_us() - script->started_us;
    if (script->is_timed_out) {
        script->result.is_good = false;
        script->result.message =
            pool_printf(script->pool, "ERROR:  timed out after %d ms", script->timeout_ms);
    }
    script->done(script->arg, &script->result);
    dispose(script);
}

static void fail(db_script_t *script, const char *message)
{
    str_t text = str_trim(str_from_c(message));
    script->result.is_good = false;
    script->result.message = pool_str(script->pool, str_slice(text, 0, MESSAGE_MAX));
}

/* --- cancelling --- */

static void cancel_send(void *arg)
{
    char message[256];
    if (!PQcancel(arg, message, sizeof(message)))
        observe(LOG_WARN, "db_cancel_failed", F_CSTR("reason", message));
}

static void cancel_free(void *arg)
{
    PQfreeCancel(arg);
}

static void on_cancel_ignored(void *arg)
{
    finish(arg);
}

static void on_deadline(void *arg)
{
    db_script_t *script = arg;
    PGcancel *cancel = PQgetCancel(script->pg);
    script->is_timed_out = true;
    if (cancel != NULL)
        offload_abandon(offload_start(script->loop, cancel_send, cancel_free, cancel_free, cancel));
    loop_timer_start(script->loop, &script->deadline, CANCEL_GRACE_MS, on_cancel_ignored, script);
}

/* --- results --- */

/* The last result of the text decides; an error is the last one by itself. */
static void take_result(db_script_t *script, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    db_script_result_t *out = &script->result;
    out->is_good = true;
    switch (status) {
    case PGRES_SINGLE_TUPLE:
        script->row_count++;
        break;
    case PGRES_TUPLES_OK:
        out->message = pool_printf(script->pool, "%lld row%s", (long long)script->row_count,
                                   script->row_count == 1 ? "" : "s");
        script->row_count = 0;
        break;
    case PGRES_COMMAND_OK:
        out->message = pool_str(script->pool, str_from_c(PQcmdStatus(result)));
        break;
    case PGRES_EMPTY_QUERY:
        out->message = STR("");
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        fail(script, "ERROR:  COPY to or from the client is not possible here");
        break;
    default:
        fail(script, PQresultErrorMessage(result));
        out->sqlstate = str_from_c(PQresultErrorField(result, PG_DIAG_SQLSTATE));
        if (!str_is_null(out->sqlstate))
            out->sqlstate = pool_str(script->pool, out->sqlstate);
    }
}

static void flush(db_script_t *script)
{
    if (PQflush(script->pg) > 0) /* a failure shows when reading */
        loop_watch_want_write(script->watch);
}

static bool send_text(db_script_t *script)
{
    script->state = SCRIPT_RUNNING;
    script->result = (db_script_result_t){.is_good = true, .message = STR("")};
    if (!PQsendQuery(script->pg, script->sql)) {
        fail(script, PQerrorMessage(script->pg));
        return false;
    }
    PQsetSingleRowMode(script->pg);
    if (script->timeout_ms > 0)
        loop_timer_start(script->loop, &script->deadline, script->timeout_ms, on_deadline, script);
    flush(script);
    return true;
}

static bool is_copy(ExecStatusType status)
{
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* Takes what has arrived; false when the script has ended. */
static bool read_results(db_script_t *script)
{
    while (!PQisBusy(script->pg)) {
        PGresult *result = PQgetResult(script->pg);
        if (result == NULL &&
            (script->state != SCRIPT_PROLOGUE || !script->result.is_good || !send_text(script)))
            return false;
        if (result == NULL)
            continue;
        bool ends_here = is_copy(PQresultStatus(result));
        take_result(script, result);
        PQclear(result);
        if (ends_here)
            return false;
    }
    return true;
}

static void on_read(void *arg)
{
    db_script_t *script = arg;
    if (!PQconsumeInput(script->pg)) {
        fail(script, PQerrorMessage(script->pg));
        finish(script);
        return;
    }
    flush(script);
    if (!read_results(script))
        finish(script);
}

static void on_write(void *arg)
{
    flush(arg);
}

/* --- starting --- */

static void on_connected(void *arg, PGconn *pg)
{
    db_script_t *script = arg;
    script->connect = NULL;
    script->pg = pg;
    script->state = SCRIPT_PROLOGUE;
    script->result.is_good = true;
    bool is_sent = PQstatus(pg) == CONNECTION_OK && PQsetnonblocking(pg, 1) == 0 &&
                   PQsendQuery(pg, script->prologue) != 0;
    if (!is_sent) {
        fail(script, PQerrorMessage(pg));
        finish(script);
        return;
    }
    script->watch = loop_watch_create(script->loop, PQsocket(pg), on_read, on_write, script);
    loop_watch_want_read(script->watch, true);
    flush(script);
}

db_script_t *db_script_start(loop_t *loop, const db_script_spec_t *spec,
                             void (*done)(void *arg, const db_script_result_t *result), void *arg)
{
    pool_t *pool = pool_create();
    db_script_t *script = POOL_NEW(pool, db_script_t);
    *script = (db_script_t){.loop = loop,
                            .pool = pool,
                            .prologue = pool_cstr(pool, spec->prologue),
                            .sql = pool_cstr(pool, spec->sql),
                            .timeout_ms = spec->timeout_ms,
                            .done = done,
                            .arg = arg,
                            .started_us = clock_mono_us()};
    script->connect = db_connect_start(loop, spec->conninfo, DB_CONNECT_ANY, on_connected, script);
    return script;
}

void db_script_abort(db_script_t *script)
{
    if (script != NULL)
        dispose(script);
}
