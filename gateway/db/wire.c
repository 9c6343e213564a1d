#include "db/wire.h"

#include <stdlib.h>

void wire_scratch_init(wire_scratch_t *scratch)
{
    scratch->spare = NULL;
    buf_init(&scratch->text, NULL, 2048);
    buf_init(&scratch->values, NULL, 2048);
    buf_init(&scratch->row, NULL, 1024);
    buf_init(&scratch->texts, NULL, 0);
}

void wire_scratch_dispose(wire_scratch_t *scratch)
{
    buf_dispose(&scratch->text);
    buf_dispose(&scratch->values);
    buf_dispose(&scratch->row);
    buf_dispose(&scratch->texts);
    free(scratch->spare);
    scratch->spare = NULL;
}

/* What is encrypted has to pass through libpq: the bytes on the socket are not the protocol's. */
wire_t *wire_open(PGconn *pg, wire_scratch_t *scratch, bool needs_libpq)
{
    bool is_plain = !PQsslInUse(pg) && !PQgssEncInUse(pg);
    return is_plain && !needs_libpq ? wire_v3_open(pg, scratch) : wire_libpq_open(pg, scratch);
}
