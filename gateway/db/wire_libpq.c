/* The wire spoken by libpq in pipeline mode. It gives per command its results and a NULL, per segment one
 * PIPELINE_SYNC without a NULL; what an error skipped comes back as PIPELINE_ABORTED. */
#include "db/wire.h"

#include <stdlib.h>

/* Beyond this a value leaves the scratch buffer or libpq's own too large to keep. */
#define BLOAT_BYTES ((size_t)1024 * 1024)
/* Large texts go as they lie: their binary form is the text itself, and libpq takes its length from us. */
#define DIRECT_BYTES 16384
#define OID_TEXT 25
#define OID_JSON 114

typedef struct {
    wire_t base;
    wire_scratch_t *scratch;
    size_t syncs_pending;
    PGresult *result; /* what the events borrow from */
    bool is_spent;    /* `result` has given its last event */
    bool has_columns; /* of the running command were told */
} libpq_t;

/* ---- sending ---- */

static const char *c_text(buf_t *scratch, str_t text)
{
    buf_clear(scratch);
    buf_append_str(scratch, text);
    buf_append_char(scratch, '\0');
    return scratch->base;
}

static bool is_direct(const db_stmt_t *stmt, size_t i)
{
    return stmt->params[i].len >= DIRECT_BYTES && stmt->types != NULL &&
           (stmt->types[i] == OID_TEXT || stmt->types[i] == OID_JSON);
}

typedef struct {
    const char **values;
    int *lengths, *formats; /* 1: binary */
} binding_t;

/* libpq wants zero-terminated values: pointers, lengths, formats and bytes in one scratch buffer. */
static binding_t bind_values(buf_t *scratch, const db_stmt_t *stmt)
{
    size_t count = stmt->param_count, size = count * (sizeof(char *) + 2 * sizeof(int));
    for (size_t i = 0; i < count; i++)
        size += is_direct(stmt, i) ? 0 : stmt->params[i].len + 1;
    buf_clear(scratch);
    binding_t out = {.values = (const char **)(void *)buf_reserve(scratch, size + 1)};
    out.lengths = (int *)(void *)(out.values + count);
    out.formats = out.lengths + count;
    char *bytes = (char *)(out.formats + count);
    for (size_t i = 0; i < count; i++) {
        str_t value = stmt->params[i];
        out.lengths[i] = (int)value.len;
        out.formats[i] = is_direct(stmt, i);
        out.values[i] = str_is_null(value) ? NULL : out.formats[i] ? value.base : bytes;
        if (out.formats[i])
            continue;
        if (value.len > 0)
            memcpy(bytes, value.base, value.len);
        bytes[value.len] = '\0';
        bytes += value.len + 1;
    }
    return out;
}

static bool libpq_prepare(wire_t *wire, const char *name, const db_stmt_t *stmt)
{
    libpq_t *libpq = (libpq_t *)wire;
    return PQsendPrepare(wire->pg, name, c_text(&libpq->scratch->text, stmt->sql), (int)stmt->param_count,
                         stmt->types);
}

static bool libpq_execute(wire_t *wire, const char *name, const db_stmt_t *stmt, bool wants_columns,
                          const stmt_formats_t *formats)
{
    (void)formats; /* libpq has one for all columns */
    libpq_t *libpq = (libpq_t *)wire;
    int count = (int)stmt->param_count;
    (void)wants_columns;            /* libpq always asks */
    for (int i = 0; i < count; i++) /* libpq's own buffer grows with it and never shrinks */
        wire->is_bloated = wire->is_bloated || stmt->params[i].len > BLOAT_BYTES;
    buf_t *values = &libpq->scratch->values;
    binding_t bound = bind_values(values, stmt);
    bool is_sent =
        name != NULL
            ? PQsendQueryPrepared(wire->pg, name, count, bound.values, bound.lengths, bound.formats, 0)
            : PQsendQueryParams(wire->pg, c_text(&libpq->scratch->text, stmt->sql), count, stmt->types,
                                bound.values, bound.lengths, bound.formats, 0);
    if (values->capacity > BLOAT_BYTES) {
        buf_dispose(values);
        wire->is_bloated = true;
    }
    return is_sent;
}

static bool libpq_sync(wire_t *wire)
{
    ((libpq_t *)wire)->syncs_pending++;
    return PQpipelineSync(wire->pg);
}

static wire_flush_t libpq_flush(wire_t *wire)
{
    int pending = PQflush(wire->pg);
    return pending < 0 ? WIRE_LOST : pending > 0 ? WIRE_PENDING : WIRE_FLUSHED;
}

/* ---- receiving ---- */

static wire_read_t libpq_read(wire_t *wire)
{
    return PQconsumeInput(wire->pg) && PQstatus(wire->pg) == CONNECTION_OK ? WIRE_READ_SOME : WIRE_READ_ENDED;
}

/* A function may have said LISTEN; unread notifications would pile up. */
static void drop_notifications(PGconn *pg)
{
    for (PGnotify *notify; (notify = PQnotifies(pg)) != NULL;)
        PQfreemem(notify);
}

static void give_columns(libpq_t *libpq, wire_event_t *event)
{
    size_t count = (size_t)PQnfields(libpq->result);
    buf_t *row = &libpq->scratch->row;
    buf_clear(row);
    db_column_t *columns = (db_column_t *)(void *)buf_reserve(row, count * sizeof(*columns) + 1);
    for (int i = 0; i < (int)count; i++)
        columns[i] = (db_column_t){.name = str_from_c(PQfname(libpq->result, i)),
                                   .type_oid = PQftype(libpq->result, i)};
    libpq->has_columns = true;
    event->kind = WIRE_COLUMNS;
    event->columns = columns;
    event->count = count;
}

static void give_row(libpq_t *libpq, wire_event_t *event)
{
    const PGresult *result = libpq->result;
    size_t count = (size_t)PQnfields(result);
    buf_t *row = &libpq->scratch->row;
    buf_clear(row);
    str_t *values = (str_t *)(void *)buf_reserve(row, count * sizeof(*values) + 1);
    for (int i = 0; i < (int)count; i++) {
        values[i] = PQgetisnull(result, 0, i)
                        ? STR_NULL
                        : str_make(PQgetvalue(result, 0, i), (size_t)PQgetlength(result, 0, i));
        event->bytes += values[i].len;
        libpq->base.is_bloated = libpq->base.is_bloated || values[i].len > BLOAT_BYTES;
    }
    event->kind = WIRE_ROW;
    event->values = values;
    event->count = count;
}

/* The next event of the result in hand. False: it had none. */
static bool give(libpq_t *libpq, wire_event_t *event)
{
    PGresult *result = libpq->result;
    ExecStatusType status = PQresultStatus(result);
    if ((status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK) && !libpq->has_columns) {
        give_columns(libpq, event);
        return true;
    }
    libpq->is_spent = true;
    switch (status) {
    case PGRES_PIPELINE_ABORTED:
        return false;
    case PGRES_PIPELINE_SYNC:
        libpq->syncs_pending--;
        event->kind = WIRE_SYNC;
        return true;
    case PGRES_SINGLE_TUPLE:
        give_row(libpq, event);
        return true;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        event->kind = WIRE_DONE;
        event->tag = str_from_c(PQcmdStatus(result));
        return true;
    case PGRES_FATAL_ERROR:
        event->kind = WIRE_ERROR;
        event->error = pg_fields_of_result(result);
        return true;
    default:
        event->kind = WIRE_BROKEN;
        return true;
    }
}

static void libpq_next(wire_t *wire, wire_event_t *event)
{
    libpq_t *libpq = (libpq_t *)wire;
    *event = (wire_event_t){.kind = WIRE_WAIT};
    for (;;) {
        if (libpq->result != NULL && !libpq->is_spent && give(libpq, event))
            return;
        PQclear(libpq->result);
        libpq->result = NULL;
        libpq->is_spent = false;
        /* Must follow the end of the previous command directly, before libpq parses further; later it has no
         * effect, and none where it makes no sense. */
        PQsetSingleRowMode(wire->pg);
        if (PQisBusy(wire->pg) || libpq->syncs_pending == 0)
            break;
        libpq->result = PQgetResult(wire->pg);
        if (libpq->result == NULL && PQstatus(wire->pg) == CONNECTION_BAD) {
            event->kind = WIRE_BROKEN;
            return;
        }
        libpq->has_columns = libpq->has_columns && libpq->result != NULL;
    }
    drop_notifications(wire->pg);
}

/* ---- the rest ---- */

static const char *libpq_reason(const wire_t *wire)
{
    const libpq_t *libpq = (const libpq_t *)wire;
    ExecStatusType status = PQresultStatus(libpq->result);
    bool is_copy = status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
    return is_copy ? WIRE_NO_COPY : PQerrorMessage(wire->pg);
}

static str_t libpq_parameter(const wire_t *wire, const char *name)
{
    return str_from_c(PQparameterStatus(wire->pg, name));
}

static void libpq_close(wire_t *wire)
{
    PQclear(((libpq_t *)wire)->result);
    PQfinish(wire->pg);
    free(wire);
}

wire_t *wire_libpq_open(PGconn *pg, wire_scratch_t *scratch)
{
    static const wire_ops_t ops = {
        .prepare = libpq_prepare,
        .execute = libpq_execute,
        .sync = libpq_sync,
        .flush = libpq_flush,
        .read = libpq_read,
        .next = libpq_next,
        .reason = libpq_reason,
        .parameter = libpq_parameter,
        .close = libpq_close,
    };
    if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg))
        return NULL;
    libpq_t *libpq = calloc(1, sizeof(*libpq));
    if (libpq == NULL)
        abort();
    *libpq = (libpq_t){.base = {.ops = &ops, .pg = pg}, .scratch = scratch};
    return &libpq->base;
}
