/* A body under a content type (first byte) for a write or a call. */
#include "rest/media.h"
#include "rest/parse.h"
#include "rest/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const rest_media_kind_t KINDS[] = {REST_MEDIA_JSON, REST_MEDIA_CSV, REST_MEDIA_FORM,
                                              REST_MEDIA_TEXT};
    if (size == 0)
        return 0;
    pool_t *pool = pool_create();
    rest_settings_t settings;
    rest_settings_default(&settings);
    rest_request_t request = {.action = data[0] & 4 ? REST_ACTION_CALL : REST_ACTION_CREATE,
                              .content_type.kind = KINDS[data[0] & 3]};
    err_t *err = rest_parse_payload(&settings, pool, str_make((const char *)data + 1, size - 1), &request);
    if (err != NULL && err->status != 400)
        __builtin_trap();
    /* What became JSON on the way (CSV, forms) must be JSON. */
    const str_t *keys;
    uint32_t count;
    if (err == NULL && request.payload.kind == REST_PAYLOAD_JSON &&
        rest_check_json(pool, request.payload.text, settings.json_depth_max, &keys, &count) ==
            REST_BODY_INVALID)
        __builtin_trap();
    pool_destroy(pool);
    return 0;
}
