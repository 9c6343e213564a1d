#include "rest/errors.h"
#include "rest/parse.h"

/* Rows [lower, upper]; upper < 0 with has_upper: nothing at all. */
typedef struct {
    int64_t lower, upper;
    bool has_upper;
} span_t;

static bool is_empty(span_t span)
{
    return span.has_upper && span.upper < span.lower;
}

static span_t intersect(span_t a, span_t b)
{
    if (is_empty(a))
        return a;
    if (is_empty(b))
        return b;
    span_t out = {.lower = a.lower > b.lower ? a.lower : b.lower};
    out.has_upper = a.has_upper || b.has_upper;
    out.upper = !a.has_upper ? b.upper : !b.has_upper ? a.upper : a.upper < b.upper ? a.upper : b.upper;
    return out;
}

/* "0-9" or "5-"; anything else means everything. */
static span_t parse_header(str_t header)
{
    span_t all = {0};
    size_t dash = str_find_char(header, '-', 0);
    if (str_is_null(header) || dash == SIZE_MAX || dash == 0)
        return all;
    for (size_t i = 0; i < header.len; i++)
        if (i != dash && (header.base[i] < '0' || header.base[i] > '9'))
            return all;
    span_t out = {0};
    if (!str_to_int64(str_slice(header, 0, dash), &out.lower))
        return all;
    out.has_upper = str_to_int64(str_slice(header, dash + 1, header.len), &out.upper);
    return out;
}

/* An unreadable limit counts as none, except together with an offset, where the peer takes it as 0. */
static span_t query_span(const rest_query_range_t *query)
{
    span_t out = {.lower = query->has_offset_value ? query->offset : 0};
    if (!query->has_limit || (!query->has_limit_value && !query->has_offset))
        return out;
    int64_t limit = query->has_limit_value ? query->limit : 0;
    out.has_upper = true;
    if (__builtin_add_overflow(out.lower, limit - 1, &out.upper))
        out.has_upper = false;
    return out;
}

err_t *rest_parse_range(pool_t *pool, const rest_query_range_t *query, str_t range_header,
                        rest_request_t *out)
{
    span_t header = parse_header(range_header);
    span_t from_query = query_span(query);
    bool is_limit_zero = from_query.has_upper && from_query.upper == -1;
    if (is_limit_zero) {
        out->range = (rest_range_t){0, 0};
    } else {
        span_t both = intersect(header, from_query);
        if (is_empty(both)) {
            err_t *err = rest_error(pool, REST_ERR_RANGE, STR_NULL);
            return is_empty(header)
                       ? err_details(
                             pool, err,
                             "The lower boundary must be lower than or equal to the upper boundary in "
                             "the Range header.")
                       : err_details(pool, err, "Limit should be greater than or equal to zero.");
        }
        int64_t count; /* of rows; more than there can be is no limit */
        bool is_open = !both.has_upper || __builtin_add_overflow(both.upper - both.lower, 1, &count);
        out->range = (rest_range_t){both.lower, is_open ? -1 : count};
    }
    if (out->action == REST_ACTION_UPSERT && !rest_range_is_all(out->range))
        return rest_error(pool, REST_ERR_PUT_LIMIT, STR_NULL);
    return NULL;
}
