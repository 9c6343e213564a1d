/* Reading what the server answers: the steps of the first segment are walked through as their events come. An
 * error ends its segment, and one of the commit itself (deferred constraint, serialization) comes after the
 * last statement. So nothing is concluded before the Sync. */
#include "db/binary_text.h"
#include "db/inside.h"

#include "base/clock.h"
#include "base/observe.h"

#include <stdio.h>
#include <stdlib.h>

enum { STALE_RETRIES_MAX = 3, LARGE_ROW = 256 * 1024 };

static step_t *current_step(segment_t *segment)
{
    return segment->step_at < segment->step_count ? &segment->steps[segment->step_at] : NULL;
}

/* Handlers may cancel inside any callback, so this is asked before each. */
static bool may_deliver(const db_tx_t *tx)
{
    return tx != NULL && !tx->is_detached && tx->error == NULL;
}

static void deliver_columns(db_tx_t *tx, uint32_t stmt, const db_column_t *columns, size_t count)
{
    tx->has_columns = true;
    tx->column_count = count;
    if (tx->handlers.on_columns == NULL || !may_deliver(tx))
        return;
    tx->has_output = true;
    tx->handlers.on_columns(tx->arg, stmt, columns, count);
}

/* Columns that were not asked for anew are those of the prepared statement. */
static void recall_columns(db_tx_t *tx, const step_t *step)
{
    if (!tx->has_columns && step->entry != NULL && step->entry->has_rows)
        deliver_columns(tx, step->stmt, step->entry->columns, step->entry->column_count);
}

static void deliver_row(db_tx_t *tx, uint32_t stmt, const wire_event_t *row)
{
    if (!may_deliver(tx))
        return;
    tx->result_bytes += row->bytes;
    tx->wants_large_row = false;
    tx->has_output = true;
    if (tx->handlers.on_row != NULL)
        tx->handlers.on_row(tx->arg, stmt, row->values, row->count);
}

/* "INSERT 0 2", "SELECT 5": the number at the end of the command's tag; 0 when it has none. */
static int64_t affected_of(str_t tag)
{
    size_t at = tag.len;
    int64_t affected;
    while (at > 0 && tag.base[at - 1] != ' ')
        at--;
    return at > 0 && str_to_int64(str_slice(tag, at, tag.len), &affected) ? affected : 0;
}

static void deliver_stmt_done(db_tx_t *tx, uint32_t stmt, str_t tag)
{
    if (!may_deliver(tx))
        return;
    tx->has_output = true;
    if (tx->handlers.on_stmt_done != NULL)
        tx->handlers.on_stmt_done(tx->arg, stmt, affected_of(tag));
}

/* COMMIT of a transaction that the server considers failed is answered with ROLLBACK and no error. */
static void check_end(db_tx_t *tx, str_t tag)
{
    if (tx != NULL && tx->is_ending && tx->end == DB_END_COMMIT && tx->error == NULL &&
        str_eq(tag, STR("ROLLBACK")))
        tx->error = err_bug(tx_memory(tx), "COMMIT was answered with ROLLBACK");
}

static void end_step(segment_t *segment)
{
    if (segment->tx != NULL)
        segment->tx->has_columns = false;
    if (segment->step_at < segment->step_count)
        segment->step_at++;
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

/* ---- events; false: the server does not keep to the protocol ---- */

static bool on_columns(segment_t *segment, const wire_event_t *event)
{
    step_t *step = current_step(segment);
    if (step == NULL || step->kind == STEP_PREPARE)
        return false;
    if (step->kind != STEP_STMT)
        return true;
    if (step->entry != NULL)
        stmt_entry_describe(step->entry, event->columns, event->count);
    if (segment->tx->has_columns)
        return false;
    deliver_columns(segment->tx, step->stmt, event->columns, event->count);
    return true;
}

/* The handlers know texts only. */
static bool write_texts(const stmt_entry_t *entry, buf_t *scratch, str_t *values)
{
    buf_clear(scratch);
    char *to = buf_reserve(scratch, entry->formats.binary_count * BINARY_TEXT_MAX);
    for (size_t i = 0; i < entry->formats.count; i++) {
        if (!entry->formats.is_binary[i] || str_is_null(values[i]))
            continue;
        size_t len = binary_to_text(to, entry->columns[i].type_oid, values[i]);
        if (len == 0)
            return false;
        values[i] = str_make(to, len);
        to += len;
    }
    return true;
}

static bool on_row(segment_t *segment, const wire_event_t *event)
{
    step_t *step = current_step(segment);
    if (step == NULL || step->kind == STEP_PREPARE)
        return false;
    if (step->kind != STEP_STMT)
        return true;
    recall_columns(segment->tx, step);
    if (!segment->tx->has_columns || event->count != segment->tx->column_count)
        return false;
    if (step->is_binary && !write_texts(step->entry, &segment->tx->pool->scratch.texts, event->values))
        return false;
    deliver_row(segment->tx, step->stmt, event);
    return true;
}

static bool on_prepared(segment_t *segment)
{
    step_t *step = current_step(segment);
    if (step == NULL)
        return false;
    if (step->kind != STEP_PREPARE)
        return step->entry == NULL; /* of the unnamed statement that runs next */
    if (step->entry->state == STMT_STATE_SENT)
        step->entry->state = STMT_STATE_READY;
    end_step(segment);
    return true;
}

static bool on_done(segment_t *segment, const wire_event_t *event)
{
    step_t *step = current_step(segment);
    if (step != NULL && step->kind == STEP_PREPARE)
        return on_prepared(segment);
    if (step == NULL)
        return false;
    if (step->kind == STEP_QUIET) {
        check_end(segment->tx, event->tag);
    } else {
        recall_columns(segment->tx, step);
        if (step->entry != NULL)
            stmt_entry_describe(step->entry, NULL, 0);
        deliver_stmt_done(segment->tx, step->stmt, event->tag);
    }
    end_step(segment);
    return true;
}

static void note_stale(conn_t *conn, const step_t *step, pg_stale_t stale)
{
    if (stale == PG_STALE_FORGOTTEN && step->entry->state == STMT_STATE_READY)
        stmt_cache_clear(conn->stmts, false); /* it was there: the server has forgotten all */
    else if (stale == PG_STALE_CHANGED)
        drop_everywhere(conn->pool, step->entry);
    else if (stale == PG_STALE_FORGOTTEN || step->kind == STEP_PREPARE)
        stmt_cache_drop(conn->stmts, step->entry, false);
}

static bool is_fatal(const pg_fields_t *fields)
{
    return str_eq(fields->severity, STR("FATAL")) || str_eq(fields->severity, STR("PANIC"));
}

static void mark_broken_by(conn_t *conn, const pg_fields_t *fields)
{
    char reason[sizeof(conn->reason)];
    snprintf(reason, sizeof(reason), "%.*s", STR_ARG(fields->message));
    conn_mark_broken(conn, reason);
}

static void on_error(conn_t *conn, segment_t *segment, const pg_fields_t *fields)
{
    step_t *step = current_step(segment);
    db_tx_t *tx = segment->tx;
    bool is_first = !segment->is_failed, uses_entry = step != NULL && step->entry != NULL;
    pg_stale_t stale = uses_entry && step->kind != STEP_PREPARE ? pg_error_stale_plan(fields) : PG_STALE_NOT;
    segment->is_failed = true;
    if (uses_entry)
        note_stale(conn, step, stale);
    if (is_fatal(fields))
        mark_broken_by(conn, fields);
    if (tx == NULL) {
        observe(LOG_WARN, "db_housekeeping_failed", F_STR("reason", str_trim(fields->text)));
    } else if (is_first && tx->error == NULL) {
        tx->is_stale_plan = stale != PG_STALE_NOT;
        tx->error = pg_error_make(tx_memory(tx), fields, tx->spec.is_anonymous);
    }
    end_step(segment);
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

/* What stands behind an error was not even looked at. */
static void forget_unprepared(conn_t *conn, segment_t *segment)
{
    for (size_t i = segment->step_at; i < segment->step_count; i++)
        if (segment->steps[i].kind == STEP_PREPARE)
            stmt_cache_drop(conn->stmts, segment->steps[i].entry, false);
}

static void end_housekeeping(conn_t *conn, segment_t *segment)
{
    if (segment->is_failed)
        conn_mark_broken(conn, "housekeeping failed: the session's state is unknown");
    free(segment);
    free_conn_if_through(conn);
}

/* The next transaction is sent before this one's handler runs: the server works while the answer is written.
 */
static bool on_sync(conn_t *conn, segment_t *segment)
{
    if (!segment->is_failed && current_step(segment) != NULL)
        return false;
    forget_unprepared(conn, segment);
    conn_pop(conn);
    db_tx_t *tx = segment->tx;
    if (tx == NULL) {
        end_housekeeping(conn, segment);
        return true;
    }
    if (go_on_explicit(conn, tx))
        return true;
    bool is_retry = wants_retry(tx);
    if (is_retry)
        db_pool_requeue(tx);
    else
        lane_note(conn, tx);
    free_conn_if_through(conn);
    if (is_retry)
        return true;
    tx->pool->done_total++;
    tx_finish(tx, tx->error);
    conn->last_sync_us = clock_mono_us(); /* the handler's time is not the next one's */
    return true;
}

/* Nothing was asked: the server says why it leaves, or is not what we think it is. */
static bool on_unasked(conn_t *conn, const wire_event_t *event)
{
    if (event->kind != WIRE_ERROR)
        return false;
    mark_broken_by(conn, &event->error);
    return true;
}

static bool on_event(conn_t *conn, const wire_event_t *event)
{
    segment_t *segment = conn->first;
    if (segment == NULL)
        return on_unasked(conn, event);
    switch (event->kind) {
    case WIRE_COLUMNS:
        return on_columns(segment, event);
    case WIRE_ROW:
        return on_row(segment, event);
    case WIRE_PREPARED:
        return on_prepared(segment);
    case WIRE_DONE:
        return on_done(segment, event);
    case WIRE_ERROR:
        on_error(conn, segment, &event->error);
        return true;
    case WIRE_SYNC:
        return on_sync(conn, segment);
    case WIRE_WAIT:
    case WIRE_BROKEN:
        break;
    }
    return false;
}

/* Whoever has to bound what is kept decides before memory is taken. What nobody waits for is not kept at all.
 */
static void on_large_row(conn_t *conn, size_t bytes)
{
    db_tx_t *tx = conn->first != NULL ? conn->first->tx : NULL;
    if (tx == NULL || tx->wants_large_row)
        return;
    if (may_deliver(tx))
        tx->wants_large_row = tx->handlers.on_large_row == NULL || tx->handlers.on_large_row(tx->arg, bytes);
    if (tx->is_detached || !tx->wants_large_row)
        wire_skip(conn->wire);
}

void result_process(conn_t *conn)
{
    if (conn->is_processing)
        return;
    conn->is_processing = true;
    while (!conn->is_paused) {
        wire_event_t event;
        wire_next(conn->wire, &event);
        if (event.kind == WIRE_WAIT) {
            if (event.bytes >= LARGE_ROW)
                on_large_row(conn, event.bytes);
            break;
        }
        if (event.kind == WIRE_BROKEN) {
            conn_mark_broken(conn, NULL);
            break;
        }
        if (!on_event(conn, &event)) {
            conn_mark_broken(conn, "the server does not keep to the protocol");
            break;
        }
    }
    conn->is_processing = false;
}
