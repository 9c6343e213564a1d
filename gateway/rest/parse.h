/* The parts of rest_parse: each turns one aspect of the HTTP request into its part of rest_request_t. */
#ifndef REST_PARSE_H
#define REST_PARSE_H

#include "rest/stages.h"

/* Query string. `is_call_read`: parameters without an operator are arguments. Fills select, filters, logic,
 * orders, columns, on_conflict, params, canonical_query, and the ranges as the query string alone gives them.
 * Errors: PGRST100. */
typedef struct {
    bool has_limit, has_offset; /* of the root; given, whether it parsed or not */
    bool has_limit_value, has_offset_value;
    int64_t limit, offset;
} rest_query_range_t;

err_t *rest_parse_query(const rest_settings_t *settings, pool_t *pool, str_t query, bool is_call_read,
                        rest_request_t *out, rest_query_range_t *range) MUST_CHECK;

/* limit/offset and the Range header (GET only) together. Errors: PGRST103, PGRST114 (PUT). */
err_t *rest_parse_range(pool_t *pool, const rest_query_range_t *query, str_t range_header,
                        rest_request_t *out) MUST_CHECK;

/* All Prefer headers in order. Never fails: unknown ones are listed in `invalid`. */
void rest_parse_preferences(bool is_tx_overridable, pool_t *pool, const str_t *values, size_t count,
                            rest_preferences_t *out);

/* Body, by content type and action. Errors: PGRST102. */
err_t *rest_parse_payload(const rest_settings_t *settings, pool_t *pool, str_t body,
                          rest_request_t *out) MUST_CHECK;

/* Keys of an object, or of all objects of an array when they are equal; sorted and unique. */
typedef enum {
    REST_BODY_OBJECT,
    REST_BODY_ARRAY,  /* of objects with equal keys */
    REST_BODY_EMPTY,  /* an empty array, or a scalar */
    REST_BODY_UNEVEN, /* array with differing keys or something else than objects */
    REST_BODY_INVALID /* no JSON, or too deep */
} rest_body_t;
rest_body_t rest_check_json(pool_t *pool, str_t text, uint32_t depth_max, const str_t **keys,
                            uint32_t *key_count);

/* The first character that is not blank is '{'. */
bool rest_begins_object(str_t text);

/* CSV with a header line to a JSON array of objects with string values ("NULL" is null). Fields may point
 * into `csv`, the result lives as long as the pool. Null string: malformed. */
str_t rest_csv_to_json(pool_t *pool, str_t csv);

/* a=1&b=2 with '+' as a space. Of more than `max` pairs one too many is read. */
const rest_pair_t *rest_parse_form(pool_t *pool, str_t text, uint32_t max, uint32_t *count);

/* Cuts the next `name=value` off a query string: up to '&' or ';'. */
str_t rest_next_pair(str_t *rest);

/* Percent decoding that leaves malformed sequences as they are. */
str_t rest_url_decode(pool_t *pool, str_t text, bool is_plus_space);
/* Everything but letters, digits and "-_.~" is encoded. */
void rest_url_encode(buf_t *out, str_t text);

#endif
