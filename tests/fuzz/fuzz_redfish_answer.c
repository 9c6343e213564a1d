/* What a device answers: status (first two bytes), then a body. Classified, then read as every kind of
 * resource. */
#include "base/read_json.h"
#include "drivers/redfish/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(pool_t *pool, json_t *body)
{
    redfish_identity_t identity;
    redfish_system_t system;
    redfish_identify(body, &identity);
    redfish_parse_system(pool, body, &system);
    (void)redfish_allows_reset(body, STR("On"));
    static const char *const LISTS[] = {"Members", "Fans", "Temperatures", "PowerSupplies"};
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++) {
        str_t word = redfish_rollup(read_json_array(body, LISTS[i]));
        if (!str_is_null(word) && !str_eq(word, STR("OK")) && !str_eq(word, STR("Warning")) &&
            !str_eq(word, STR("Critical")))
            __builtin_trap();
    }
    str_t link = redfish_link_path(read_json_str(body, "Members@odata.nextLink"));
    if (!str_is_null(link) && !str_starts_with(link, STR("/redfish/")))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    pool_t *pool = pool_create();
    json_t *body = NULL;
    int status = 100 + (data[0] << 8 | data[1]) % 500;
    redfish_call_t call = {.method = data[1] & 1 ? STR("GET") : STR("POST"), .path = STR("/redfish/v1/x")};
    fetch_response_t response = {.status = status, .body = str_make((const char *)data + 2, size - 2)};
    err_t *err = redfish_classify(pool, &call, &response, &body);
    if (err == NULL && (status < 200 || status > 299))
        __builtin_trap();
    if (err != NULL && (err->code.len == 0 || err->message.len == 0))
        __builtin_trap();
    if (body != NULL)
        read_all(pool, body);
    pool_destroy(pool);
    return 0;
}
