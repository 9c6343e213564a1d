/* A query string of a read or of a routine call (first byte). */
#include "rest/parse.h"
#include "rest/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    pool_t *pool = pool_create();
    rest_settings_t settings;
    rest_request_t request = {.action = data[0] & 1 ? REST_ACTION_CALL_READ : REST_ACTION_READ};
    rest_query_range_t range;
    rest_settings_default(&settings);
    str_t query = str_make((const char *)data + 1, size - 1);
    err_t *err = rest_parse_query(&settings, pool, query, data[0] & 1, &request, &range);
    if (err == NULL)
        err = rest_parse_range(pool, &range, STR_NULL, &request);
    if (err != NULL && (err->status < 400 || err->status > 416))
        __builtin_trap();
    pool_destroy(pool);
    return 0;
}
