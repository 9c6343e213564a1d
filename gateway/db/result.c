/* Reading what the server answers. libpq gives per command its results and a NULL, per segment one
 * PIPELINE_SYNC without a NULL. An error makes the rest of its segment come back as PIPELINE_ABORTED; an
 * error of the commit itself (deferred constraint, serialization) comes after the last command. So nothing is
 * concluded before the SYNC. */
#include "db/inside.h"

#include "base/clock.h"
#include "base/observe.h"

#include <stdlib.h>

enum { STALE_RETRIES_MAX = 3 };

static step_t *current_step(segment_t *segment)
{
    return segment->step_at < segment->step_count ? &segment->steps[segment->step_at] : NULL;
}

/* Handlers may cancel inside any callback, so this is asked before each. */
static bool may_deliver(const db_tx_t *tx)
{
    return tx != NULL && !tx->is_detached && tx->error == NULL;
}

static void deliver_columns(db_tx_t *tx, uint32_t stmt, const PGresult *result)
{
    if (tx->has_columns || tx->handlers.on_columns == NULL || !may_deliver(tx))
        return;
    tx->has_columns = true;
    size_t count = (size_t)PQnfields(result);
    buf_t *scratch = &tx->pool->row;
    buf_clear(scratch);
    db_column_t *columns = (db_column_t *)(void *)buf_reserve(scratch, count * sizeof(*columns) + 1);
    for (size_t i = 0; i < count; i++)
        columns[i] =
            (db_column_t){.name = str_from_c(PQfname(result, (int)i)), .type_oid = PQftype(result, (int)i)};
    tx->has_output = true;
    tx->handlers.on_columns(tx->arg, stmt, columns, count);
}

static void deliver_row(db_tx_t *tx, uint32_t stmt, const PGresult *result)
{
    if (!may_deliver(tx))
        return;
    size_t count = (size_t)PQnfields(result);
    buf_t *scratch = &tx->pool->row;
    buf_clear(scratch);
    str_t *values = (str_t *)(void *)buf_reserve(scratch, count * sizeof(*values) + 1);
    for (int i = 0; i < (int)count; i++) {
        values[i] = PQgetisnull(result, 0, i)
                        ? STR_NULL
                        : str_make(PQgetvalue(result, 0, i), (size_t)PQgetlength(result, 0, i));
        tx->result_bytes += values[i].len;
        tx->conn->is_bloated = tx->conn->is_bloated || values[i].len > BLOAT_BYTES;
    }
    tx->has_output = true;
    if (tx->handlers.on_row != NULL)
        tx->handlers.on_row(tx->arg, stmt, values, count);
}

static void deliver_stmt_done(db_tx_t *tx, uint32_t stmt, PGresult *result)
{
    if (!may_deliver(tx))
        return;
    int64_t affected;
    if (!str_to_int64(str_from_c(PQcmdTuples(result)), &affected))
        affected = 0;
    tx->has_output = true;
    if (tx->handlers.on_stmt_done != NULL)
        tx->handlers.on_stmt_done(tx->arg, stmt, affected);
}

/* COMMIT of a transaction that the server considers failed is answered with ROLLBACK and no error. */
static void check_end(db_tx_t *tx, PGresult *result)
{
    if (tx != NULL && tx->is_ending && tx->end == DB_END_COMMIT && tx->error == NULL &&
        strcmp(PQcmdStatus(result), "ROLLBACK") == 0)
        tx->error = err_bug(tx_memory(tx), "COMMIT was answered with ROLLBACK");
}

static void on_success(segment_t *segment, PGresult *result, bool is_last)
{
    step_t *step = current_step(segment);
    if (step == NULL)
        return;
    if (step->kind == STEP_PREPARE && step->entry->state == STMT_STATE_SENT)
        step->entry->state = STMT_STATE_READY;
    if (step->kind == STEP_QUIET)
        check_end(segment->tx, result);
    if (step->kind != STEP_STMT)
        return;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        deliver_columns(segment->tx, step->stmt, result);
    if (is_last)
        deliver_stmt_done(segment->tx, step->stmt, result);
    else
        deliver_row(segment->tx, step->stmt, result);
}

/* What one connection found stale is stale on all: the retry may run on another one. The entry is pinned by
 * its segment, so that its key stays. */
static void drop_everywhere(db_pool_t *pool, const stmt_entry_t *entry)
{
    for (size_t i = 0; i < pool->conn_count; i++) {
        stmt_entry_t *same = stmt_cache_find(pool->conns[i]->stmts, &entry->key);
        if (same != NULL && same->state == STMT_STATE_READY)
            stmt_cache_drop(pool->conns[i]->stmts, same, true);
    }
}

static void on_error(conn_t *conn, segment_t *segment, const PGresult *result)
{
    step_t *step = current_step(segment);
    db_tx_t *tx = segment->tx;
    bool is_first = !segment->is_failed, uses_entry = step != NULL && step->entry != NULL;
    bool is_parse = uses_entry && step->kind == STEP_PREPARE;
    pg_stale_t stale = uses_entry && !is_parse ? pg_error_stale_plan(result) : PG_STALE_NOT;
    segment->is_failed = true;
    if (stale == PG_STALE_FORGOTTEN && step->entry->state == STMT_STATE_READY)
        stmt_cache_clear(conn->stmts, false); /* it was there: the server has forgotten all */
    else if (stale == PG_STALE_CHANGED)
        drop_everywhere(conn->pool, step->entry);
    else if (stale == PG_STALE_FORGOTTEN || is_parse)
        stmt_cache_drop(conn->stmts, step->entry, false);
    str_t severity = str_from_c(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED));
    if (str_eq(severity, STR("FATAL")) || str_eq(severity, STR("PANIC")))
        conn_mark_broken(conn, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    if (tx == NULL) {
        observe(LOG_WARN, "db_housekeeping_failed", F_CSTR("reason", PQresultErrorMessage(result)));
    } else if (is_first && tx->error == NULL) {
        tx->is_stale_plan = stale != PG_STALE_NOT;
        tx->error = pg_error_from_result(tx_memory(tx), result, tx->spec.is_anonymous);
    }
}

static void on_aborted(conn_t *conn, segment_t *segment)
{
    step_t *step = current_step(segment);
    if (step != NULL && step->kind == STEP_PREPARE)
        stmt_cache_drop(conn->stmts, step->entry, false);
}

static void on_command_end(conn_t *conn, segment_t *segment)
{
    if (segment->tx != NULL)
        segment->tx->has_columns = false;
    conn->is_row_mode_set = false;
    if (segment->step_at < segment->step_count)
        segment->step_at++;
}

/* After the first segment of an explicit transaction. True: the transaction goes on on this connection. */
static bool go_on_explicit(conn_t *conn, db_tx_t *tx)
{
    static const char *const rollback = "ROLLBACK";
    if (!tx->spec.is_explicit || tx->is_ending)
        return false;
    if (tx->error != NULL) {
        segment_send_housekeeping(conn, &rollback, 1, true);
        return false;
    }
    db_end_t end = DB_END_COMMIT;
    if (!tx->is_detached && tx->handlers.on_decide != NULL)
        end = tx->handlers.on_decide(tx->arg);
    segment_send_end(conn, tx, tx->is_detached ? DB_END_ROLLBACK : end);
    return true;
}

static bool wants_retry(const db_tx_t *tx)
{
    return tx->error != NULL && tx->is_stale_plan && tx->retries < STALE_RETRIES_MAX && !tx->is_detached &&
           !tx->is_ending && (!tx->has_output || tx->handlers.on_retry != NULL);
}

static void free_conn_if_through(conn_t *conn)
{
    if (conn->first != NULL || conn->state == CONN_STATE_BROKEN)
        return;
    conn_set_state(conn, conn->cancel != NULL ? CONN_STATE_CANCELLING : CONN_STATE_IDLE);
    if (conn->state == CONN_STATE_IDLE)
        db_pool_on_free(conn);
}

/* The next transaction is sent before this one's handler runs: the server works while the answer is written.
 */
static void end_segment(conn_t *conn)
{
    segment_t *segment = conn_pop(conn);
    db_tx_t *tx = segment->tx;
    if (tx == NULL) {
        if (segment->is_failed)
            conn_mark_broken(conn, "housekeeping failed: the session's state is unknown");
        free(segment);
        free_conn_if_through(conn);
        return;
    }
    if (go_on_explicit(conn, tx))
        return;
    bool is_retry = wants_retry(tx);
    if (is_retry)
        db_pool_requeue(tx);
    else
        lane_note(conn, tx);
    free_conn_if_through(conn);
    if (is_retry)
        return;
    tx->pool->done_total++;
    tx_finish(tx, tx->error);
    conn->last_sync_us = clock_mono_us(); /* the handler's time is not the next one's */
}

static void handle_result(conn_t *conn, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        end_segment(conn);
        break;
    case PGRES_SINGLE_TUPLE:
        on_success(conn->first, result, false);
        break;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        on_success(conn->first, result, true);
        break;
    case PGRES_PIPELINE_ABORTED:
        on_aborted(conn, conn->first);
        break;
    case PGRES_FATAL_ERROR:
        on_error(conn, conn->first, result);
        break;
    default:
        conn_mark_broken(conn, "COPY cannot be answered in a pipeline");
    }
}

/* Must follow the end of the previous command directly, before libpq parses further; later it has no effect.
 */
static void set_row_mode(conn_t *conn)
{
    step_t *step = current_step(conn->first);
    if (conn->is_row_mode_set || step == NULL || step->kind != STEP_STMT)
        return;
    PQsetSingleRowMode(conn->pg);
    conn->is_row_mode_set = true;
}

void result_process(conn_t *conn)
{
    if (conn->is_processing)
        return;
    conn->is_processing = true;
    while (conn->first != NULL && !conn->is_paused) {
        set_row_mode(conn);
        if (PQisBusy(conn->pg))
            break;
        PGresult *result = PQgetResult(conn->pg);
        if (result != NULL) {
            handle_result(conn, result);
            PQclear(result);
        } else if (PQstatus(conn->pg) == CONNECTION_BAD) {
            conn_mark_broken(conn, NULL);
            break;
        } else {
            on_command_end(conn, conn->first);
        }
    }
    if (conn->first == NULL)
        PQisBusy(conn->pg); /* takes in notices and changed parameters */
    conn->is_processing = false;
}
