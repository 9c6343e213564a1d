/* One connection's protocol: what a segment sends and what comes back, without saying who speaks it.
 * Backends:
 *
 *   wire_v3.c      our own, on the socket that libpq has opened
 *   wire_libpq.c   libpq's pipeline mode: where the connection is encrypted, or asked for by name
 *
 * Nothing here blocks. Sending only gathers; wire_flush hands it to the socket. */
#ifndef DB_WIRE_H
#define DB_WIRE_H

#include "base/buf.h"
#include "db/pg_error.h"
#include "db/stmt_cache.h"
#include "db/tx.h"

#include <libpq-fe.h>

#define WIRE_READ_BYTES (32 * 1024)
#define WIRE_NO_COPY "COPY cannot be answered in a pipeline"

/* Scratch memory that all connections of a pool use in turn. */
typedef struct {
    buf_t text, values; /* of building */
    buf_t row;          /* of reading: must not be shared with building, handlers submit */
    buf_t texts;        /* of values that came in binary */
    char *spare;        /* a buffer of WIRE_READ_BYTES that nobody reads into, or NULL */
} wire_scratch_t;

void wire_scratch_init(wire_scratch_t *scratch);
void wire_scratch_dispose(wire_scratch_t *scratch);

typedef enum {
    WIRE_WAIT,    /* nothing more is complete */
    WIRE_COLUMNS, /* of the rows that follow, or of a result without rows */
    WIRE_ROW,
    WIRE_PREPARED, /* a Parse succeeded */
    WIRE_DONE,     /* a statement (or a Parse) succeeded */
    WIRE_ERROR, /* one failed: nothing comes of what follows it in the segment. Also of the commit at Sync */
    WIRE_SYNC,  /* the segment is over */
    WIRE_BROKEN /* connection or protocol: wire_reason */
} wire_event_kind_t;

/* Everything in it is borrowed until the next call on the wire. */
typedef struct {
    wire_event_kind_t kind;
    size_t count;               /* WIRE_COLUMNS, WIRE_ROW */
    const db_column_t *columns; /* WIRE_COLUMNS */
    str_t *values;              /* WIRE_ROW; null string: NULL */
    size_t bytes; /* WIRE_ROW: the size of the values, or a little more; WIRE_WAIT: of a row on its way, if
                     known */
    str_t tag;    /* WIRE_DONE: "INSERT 0 1" */
    pg_fields_t error; /* WIRE_ERROR */
} wire_event_t;

typedef enum { WIRE_FLUSHED, WIRE_PENDING, WIRE_LOST } wire_flush_t;
typedef enum { WIRE_READ_ENDED, WIRE_READ_SOME, WIRE_READ_MORE } wire_read_t; /* MORE: try again at once */

typedef struct wire wire_t;

typedef struct {
    bool (*prepare)(wire_t *wire, const char *name, const db_stmt_t *stmt);
    bool (*execute)(wire_t *wire, const char *name, const db_stmt_t *stmt, bool wants_columns,
                    const stmt_formats_t *formats);
    bool (*sync)(wire_t *wire);
    wire_flush_t (*flush)(wire_t *wire);
    wire_read_t (*read)(wire_t *wire);
    void (*next)(wire_t *wire, wire_event_t *event);
    void (*skip)(wire_t *wire); /* NULL: it cannot */
    const char *(*reason)(const wire_t *wire);
    str_t (*parameter)(const wire_t *wire, const char *name);
    void (*close)(wire_t *wire);
} wire_ops_t;

struct wire {
    const wire_ops_t *ops;
    PGconn *pg;         /* opened it, cancels and closes it */
    bool takes_formats; /* results may come in binary */
    bool is_bloated;    /* keeps buffers as large as the largest message: better closed when idle */
};

/* Takes over a good connection. NULL: it could not be set up, `pg` stays the caller's and has the reason.
 * `needs_libpq`: whatever the connection is. */
wire_t *wire_open(PGconn *pg, wire_scratch_t *scratch, bool needs_libpq);
wire_t *wire_libpq_open(PGconn *pg, wire_scratch_t *scratch);
wire_t *wire_v3_open(PGconn *pg, wire_scratch_t *scratch);
/* On any socket, which stays the caller's when `pg` is NULL. */
wire_t *wire_v3_create(int fd, PGconn *pg, wire_scratch_t *scratch);
size_t wire_v3_memory(const wire_t *wire); /* bytes of the buffers that it holds at the moment */

/* Sending, in the order of the statements. False: the connection is lost. */
static inline bool wire_prepare(wire_t *wire, const char *name, const db_stmt_t *stmt)
{
    return wire->ops->prepare(wire, name, stmt);
}

/* `name` NULL: not prepared before. Without `wants_columns` WIRE_COLUMNS may be left out. `formats` of the
 * result, where the wire takes them; NULL: text. */
static inline bool wire_execute(wire_t *wire, const char *name, const db_stmt_t *stmt, bool wants_columns,
                                const stmt_formats_t *formats)
{
    return wire->ops->execute(wire, name, stmt, wants_columns, formats);
}

static inline bool wire_sync(wire_t *wire)
{
    return wire->ops->sync(wire);
}

static inline wire_flush_t wire_flush(wire_t *wire)
{
    return wire->ops->flush(wire);
}

/* Takes in what has arrived; once. After the end what came before it can still be read with wire_next. */
static inline wire_read_t wire_read(wire_t *wire)
{
    return wire->ops->read(wire);
}

static inline void wire_next(wire_t *wire, wire_event_t *event)
{
    wire->ops->next(wire, event);
}

/* The row on its way that WIRE_WAIT has told of is not wanted: no memory is taken for it. */
static inline void wire_skip(wire_t *wire)
{
    if (wire->ops->skip != NULL)
        wire->ops->skip(wire);
}

/* Why the connection is of no use any more. */
static inline const char *wire_reason(const wire_t *wire)
{
    return wire->ops->reason(wire);
}

/* A setting that the server reports, as it was reported last; the null string when it does not. */
static inline str_t wire_parameter(const wire_t *wire, const char *name)
{
    return wire->ops->parameter(wire, name);
}

static inline void wire_close(wire_t *wire)
{
    wire->ops->close(wire);
}

#endif
