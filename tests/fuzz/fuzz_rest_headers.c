/* Prefer, Accept, Content-Type and Range values, split at line ends. */
#include "rest/media.h"
#include "rest/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pool_t *pool = pool_create();
    str_t rest = str_make((const char *)data, size);
    while (size > 0 && !str_is_null(rest)) {
        str_t line = str_split(&rest, '\n');
        rest_preferences_t prefer;
        rest_parse_preferences(true, pool, &line, 1, &prefer);
        uint32_t count;
        const rest_media_t *accept = rest_media_accept(pool, line, &count);
        for (uint32_t i = 0; i < count; i++)
            if (rest_media_content_type(pool, &accept[i]).base == NULL && accept[i].kind != REST_MEDIA_OTHER)
                __builtin_trap();
        rest_request_t request = {.action = REST_ACTION_READ};
        rest_query_range_t range = {0};
        err_t *err = rest_parse_range(pool, &range, line, &request);
        if (err != NULL && err->status != 416)
            __builtin_trap();
    }
    pool_destroy(pool);
    return 0;
}
