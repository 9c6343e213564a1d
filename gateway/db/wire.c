#include "db/wire.h"

void wire_scratch_init(wire_scratch_t *scratch)
{
    buf_init(&scratch->text, NULL, 2048);
    buf_init(&scratch->values, NULL, 2048);
    buf_init(&scratch->row, NULL, 1024);
}

void wire_scratch_dispose(wire_scratch_t *scratch)
{
    buf_dispose(&scratch->text);
    buf_dispose(&scratch->values);
    buf_dispose(&scratch->row);
}
