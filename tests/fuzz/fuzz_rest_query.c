/* A query string of a read or of a routine call (first byte). Parsing without bookkeeping comes to the same
 * end. */
#include "rest/grammar.h"
#include "rest/parse.h"
#include "rest/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool run(scan_t *scan, const rest_settings_t *settings, int rule)
{
    rest_select_t *items;
    rest_order_t order;
    rest_logic_t logic;
    filter_expr_t expr;
    uint32_t count;
    switch (rule) {
    case 0:
        return rest_scan_select(scan, settings, &items, &count);
    case 1:
        return rest_scan_order(scan, settings, &order);
    case 2:
        return rest_scan_logic(scan, settings, &logic);
    default:
        return filter_parse(scan, FILTER_VALUE_WHOLE, settings->list_max, &expr);
    }
}

static void compare_scans(pool_t *pool, const rest_settings_t *settings, str_t text)
{
    for (int rule = 0; rule < 4; rule++) {
        scan_t loud, quiet;
        scan_init(&loud, pool, text);
        scan_init_quiet(&quiet, pool, text);
        bool is_read = run(&loud, settings, rule);
        if (run(&quiet, settings, rule) != is_read || loud.at != quiet.at ||
            loud.is_over_limit != quiet.is_over_limit)
            __builtin_trap();
    }
}

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
    str_t parts = query;
    while (str_is_utf8(query) && !str_is_null(parts))
        compare_scans(pool, &settings, str_split(&parts, '='));
    err_t *err = rest_parse_query(&settings, pool, query, data[0] & 1, &request, &range);
    if (err == NULL)
        err = rest_parse_range(pool, &range, STR_NULL, &request);
    if (err != NULL && (err->status < 400 || err->status > 416))
        __builtin_trap();
    pool_destroy(pool);
    return 0;
}
