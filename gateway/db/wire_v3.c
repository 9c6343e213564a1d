/* The wire spoken by ourselves, on the socket that libpq has opened and authenticated. What libpq does more,
 * and is not needed: a PGresult per row, a description of the result on every execution, a send per Sync.
 *
 * Bytes are read into a buffer that belongs to a connection only while something unread is in it; the last
 * one given back is the next one taken. A message that does not fit makes it grow, no faster than its bytes
 * arrive, and it is small again once that message has been read. */
#include "db/v3_message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { READ_BYTES = WIRE_READ_BYTES, OUT_KEPT = 16 * 1024 };

typedef struct parameter {
    struct parameter *next;
    char *value;
    char name[];
} parameter_t;

typedef struct {
    wire_t base;
    wire_scratch_t *scratch;
    int fd;
    char *in; /* NULL: nothing unread */
    size_t in_at, in_len, in_capacity;
    size_t wanted;  /* size of the message that is not complete; 0: unknown */
    size_t skipped; /* bytes of a message nobody wants that are still to come */
    buf_t out;
    size_t out_at;
    parameter_t *parameters; /* reported since the login */
    char reason[120];
} v3_t;

/* ---- sending ---- */

static bool too_large(v3_t *v3)
{
    snprintf(v3->reason, sizeof(v3->reason), "a statement is too large for the protocol");
    return false;
}

static bool v3_prepare(wire_t *wire, const char *name, const db_stmt_t *stmt)
{
    v3_t *v3 = (v3_t *)wire;
    return v3_put_parse(&v3->out, name, stmt) || too_large(v3);
}

static bool v3_execute(wire_t *wire, const char *name, const db_stmt_t *stmt, bool wants_columns,
                       const stmt_formats_t *formats)
{
    v3_t *v3 = (v3_t *)wire;
    if ((name == NULL && !v3_put_parse(&v3->out, "", stmt)) ||
        !v3_put_bind(&v3->out, name != NULL ? name : "", stmt->params, stmt->param_count, formats))
        return too_large(v3);
    if (wants_columns)
        v3_put_describe(&v3->out);
    v3_put_execute(&v3->out);
    return true;
}

static bool v3_sync(wire_t *wire)
{
    v3_put_sync(&((v3_t *)wire)->out);
    return true;
}

static wire_flush_t v3_flush(wire_t *wire)
{
    v3_t *v3 = (v3_t *)wire;
    while (v3->out_at < v3->out.len) {
        ssize_t n =
            send(v3->fd, v3->out.base + v3->out_at, v3->out.len - v3->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            v3->out_at += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return WIRE_PENDING;
        } else if (errno != EINTR) {
            snprintf(v3->reason, sizeof(v3->reason), "could not send to the server: %s", strerror(errno));
            return WIRE_LOST;
        }
    }
    v3->out_at = 0;
    buf_clear(&v3->out);
    if (v3->out.capacity > OUT_KEPT)
        buf_dispose(&v3->out);
    return WIRE_FLUSHED;
}

/* ---- the buffer ---- */

static void drop_buffer(v3_t *v3)
{
    if (v3->in != NULL && v3->in_capacity == READ_BYTES && v3->scratch->spare == NULL)
        v3->scratch->spare = v3->in;
    else
        free(v3->in);
    v3->in = NULL;
    v3->in_at = v3->in_len = v3->in_capacity = v3->wanted = 0;
}

static char *take_buffer(v3_t *v3, size_t capacity)
{
    char *buffer = capacity == READ_BYTES ? v3->scratch->spare : NULL;
    if (buffer != NULL)
        v3->scratch->spare = NULL;
    else if ((buffer = malloc(capacity)) == NULL)
        abort();
    return buffer;
}

/* Moves what is unread to the front, of a larger or smaller buffer if need be. */
static void make_room(v3_t *v3)
{
    size_t left = v3->in_len - v3->in_at, capacity = READ_BYTES;
    if (v3->wanted > capacity)
        capacity = v3->wanted > 2 * left ? 2 * left : v3->wanted;
    if (capacity < READ_BYTES)
        capacity = READ_BYTES;
    if (left > capacity)
        return; /* whole messages wait; there is nothing to be read before them */
    if (v3->in != NULL && capacity == v3->in_capacity) {
        if (v3->in_at > 0)
            memmove(v3->in, v3->in + v3->in_at, left);
        v3->in_at = 0;
        v3->in_len = left;
        return;
    }
    char *buffer = take_buffer(v3, capacity);
    size_t wanted = v3->wanted;
    if (left > 0)
        memcpy(buffer, v3->in + v3->in_at, left);
    drop_buffer(v3);
    v3->in = buffer;
    v3->in_len = left;
    v3->in_capacity = capacity;
    v3->wanted = wanted;
}

/* ---- receiving ---- */

/* Bytes that nobody wants are gone as soon as they have come. */
static void skip(v3_t *v3)
{
    size_t left = v3->in_len - v3->in_at, len = v3->skipped < left ? v3->skipped : left;
    v3->in_at += len;
    v3->skipped -= len;
    if (v3->in_at == v3->in_len)
        drop_buffer(v3);
}

static void v3_skip(wire_t *wire)
{
    v3_t *v3 = (v3_t *)wire;
    v3->skipped = v3->wanted;
    v3->wanted = 0;
    skip(v3);
}

static wire_read_t v3_read(wire_t *wire)
{
    v3_t *v3 = (v3_t *)wire;
    make_room(v3);
    size_t room = v3->in_capacity - v3->in_len;
    if (room == 0)
        return WIRE_READ_SOME; /* what is there has to be taken first */
    ssize_t n = recv(v3->fd, v3->in + v3->in_len, room, MSG_DONTWAIT);
    if (n > 0) {
        v3->in_len += (size_t)n;
        if (v3->skipped > 0)
            skip(v3);
        return (size_t)n == room ? WIRE_READ_MORE : WIRE_READ_SOME;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return WIRE_READ_SOME;
    if (v3->reason[0] == '\0')
        snprintf(v3->reason, sizeof(v3->reason), "server closed the connection unexpectedly%s%s",
                 n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
    return WIRE_READ_ENDED;
}

static parameter_t *find_parameter(const v3_t *v3, str_t name)
{
    parameter_t *parameter = v3->parameters;
    while (parameter != NULL && !str_eq(str_from_c(parameter->name), name))
        parameter = parameter->next;
    return parameter;
}

/* Settings change with every transaction that sets its own time zone: the names are few, and only those that
 * libpq has seen at login are kept. */
static bool note_parameter(v3_t *v3, const v3_frame_t *frame)
{
    str_t name, value;
    if (!v3_decode_parameter(frame, &name, &value))
        return false;
    parameter_t *parameter = find_parameter(v3, name);
    if (parameter == NULL) {
        if (v3->base.pg == NULL || PQparameterStatus(v3->base.pg, name.base) == NULL)
            return true;
        parameter = calloc(1, sizeof(*parameter) + name.len + 1);
        if (parameter == NULL)
            abort();
        memcpy(parameter->name, name.base, name.len);
        parameter->next = v3->parameters;
        v3->parameters = parameter;
    }
    free(parameter->value);
    parameter->value = strndup(value.base, value.len);
    if (parameter->value == NULL)
        abort();
    return true;
}

static void give_up(v3_t *v3, wire_event_t *event, const char *reason, char type)
{
    event->kind = WIRE_BROKEN;
    if (v3->reason[0] == '\0')
        snprintf(v3->reason, sizeof(v3->reason), "%s (type 0x%02x)", reason, (unsigned char)type);
}

/* The next message that says something, or fewer bytes than one. */
static void v3_next(wire_t *wire, wire_event_t *event)
{
    v3_t *v3 = (v3_t *)wire;
    v3_meaning_t meaning = V3_NOTHING;
    *event = (wire_event_t){.kind = WIRE_WAIT};
    while (meaning == V3_NOTHING) {
        v3_frame_t frame;
        v3_framing_t framing = v3_frame(str_make(v3->in + v3->in_at, v3->in_len - v3->in_at), &frame);
        if (framing == V3_FRAME_PARTIAL) {
            v3->wanted = frame.size;
            event->bytes = frame.type == 'D' ? frame.size : 0;
            if (v3->in_at == v3->in_len)
                drop_buffer(v3);
            return;
        }
        if (framing == V3_FRAME_BAD) {
            give_up(v3, event, "a message of impossible length came from the server", frame.type);
            return;
        }
        v3->in_at += frame.size;
        meaning = v3_decode(&frame, &v3->scratch->row, event);
        if (frame.type == 'S' && !note_parameter(v3, &frame))
            meaning = V3_MALFORMED;
        if (meaning == V3_COPY)
            give_up(v3, event, WIRE_NO_COPY, frame.type);
        else if (meaning == V3_MALFORMED)
            give_up(v3, event, "a malformed message came from the server", frame.type);
    }
}

/* ---- the rest ---- */

static const char *v3_reason(const wire_t *wire)
{
    return ((const v3_t *)wire)->reason;
}

static str_t v3_parameter(const wire_t *wire, const char *name)
{
    const parameter_t *parameter = find_parameter((const v3_t *)wire, str_from_c(name));
    return str_from_c(parameter != NULL ? parameter->value : PQparameterStatus(wire->pg, name));
}

static void v3_close(wire_t *wire)
{
    v3_t *v3 = (v3_t *)wire;
    drop_buffer(v3);
    buf_dispose(&v3->out);
    while (v3->parameters != NULL) {
        parameter_t *parameter = v3->parameters;
        v3->parameters = parameter->next;
        free(parameter->value);
        free(parameter);
    }
    PQfinish(wire->pg); /* NULL is allowed */
    free(v3);
}

size_t wire_v3_memory(const wire_t *wire)
{
    const v3_t *v3 = (const v3_t *)wire;
    return v3->in_capacity + v3->out.capacity;
}

wire_t *wire_v3_create(int fd, PGconn *pg, wire_scratch_t *scratch)
{
    static const wire_ops_t ops = {
        .prepare = v3_prepare,
        .execute = v3_execute,
        .sync = v3_sync,
        .flush = v3_flush,
        .read = v3_read,
        .next = v3_next,
        .skip = v3_skip,
        .reason = v3_reason,
        .parameter = v3_parameter,
        .close = v3_close,
    };
    v3_t *v3 = calloc(1, sizeof(*v3));
    if (v3 == NULL)
        abort();
    *v3 = (v3_t){.base = {.ops = &ops, .pg = pg, .takes_formats = true}, .scratch = scratch, .fd = fd};
    buf_init(&v3->out, NULL, 0);
    return &v3->base;
}

wire_t *wire_v3_open(PGconn *pg, wire_scratch_t *scratch)
{
    PQisBusy(pg); /* takes what came behind the login out of libpq's buffer */
    return PQsetnonblocking(pg, 1) == 0 ? wire_v3_create(PQsocket(pg), pg, scratch) : NULL;
}
