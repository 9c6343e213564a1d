/* A JSON body: what is accepted prints and reads back the same; what is refused has a client's status. */
#include "base/read_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pool_t *pool = pool_create();
    const read_json_limits_t limits = {
        .size_max = 4096, .depth_max = 16, .nodes_max = 300, .any_value = true};
    json_t *value, *again;
    err_t *err = read_json(pool, str_make((const char *)data, size), &limits, &value);
    if (err != NULL) {
        if (err->status != 400 && err->status != 413)
            __builtin_trap();
    } else {
        const read_json_limits_t loose = {.size_max = 1 << 20, .depth_max = 32, .any_value = true};
        str_t text = read_json_dump(pool, value);
        err = read_json(pool, text, &loose, &again);
        /* As text: 1.0 is written as 1, which reads back as an integer. */
        if (err != NULL || !str_eq(text, read_json_dump(pool, again)))
            __builtin_trap();
    }
    pool_destroy(pool);
    return 0;
}
