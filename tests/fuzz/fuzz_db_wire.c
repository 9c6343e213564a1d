/* What a database server sends: the first byte is the size of the pieces in which the rest arrives. The
 * events must not depend on it, and every byte that they name must be there. */
#include "db/wire.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t add(uint64_t sum, str_t text)
{
    sum = sum * 31 + (str_is_null(text) ? 7 : text.len);
    for (size_t i = 0; i < text.len; i++)
        sum = sum * 31 + (uint8_t)text.base[i];
    return sum;
}

static uint64_t add_event(uint64_t sum, const wire_event_t *event)
{
    const pg_fields_t *error = &event->error;
    sum = sum * 31 + (uint64_t)event->kind;
    for (size_t i = 0; i < event->count && event->kind == WIRE_ROW; i++)
        sum = add(sum, event->values[i]);
    for (size_t i = 0; i < event->count && event->kind == WIRE_COLUMNS; i++)
        sum = add(sum, event->columns[i].name) + event->columns[i].type_oid;
    sum = add(add(add(sum, event->tag), error->severity), error->sqlstate);
    return add(add(add(add(sum, error->message), error->details), error->hint), error->function);
}

static uint64_t read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    int pair[2];
    uint64_t sum = 0;
    wire_scratch_t scratch;
    wire_event_t event = {.kind = WIRE_WAIT};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        abort();
    wire_scratch_init(&scratch);
    wire_t *wire = wire_v3_create(pair[0], NULL, &scratch);
    for (size_t at = 0; at < size && event.kind != WIRE_BROKEN; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        if (send(pair[1], data + at, len, MSG_DONTWAIT) != (ssize_t)len)
            abort();
        wire_read_t got;
        do {
            got = wire_read(wire);
            do {
                wire_next(wire, &event);
                if (event.kind != WIRE_WAIT)
                    sum = add_event(sum, &event);
            } while (event.kind != WIRE_WAIT && event.kind != WIRE_BROKEN);
        } while (got == WIRE_READ_MORE && event.kind != WIRE_BROKEN);
    }
    if (event.kind == WIRE_BROKEN && wire_reason(wire)[0] == '\0')
        __builtin_trap();
    wire_close(wire);
    wire_scratch_dispose(&scratch);
    close(pair[0]);
    close(pair[1]);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536)
        return 0;
    size_t piece = data[0] == 0 ? 1 : (size_t)data[0] * 4;
    if (read_in_pieces(data + 1, size - 1, size) != read_in_pieces(data + 1, size - 1, piece))
        __builtin_trap();
    return 0;
}
