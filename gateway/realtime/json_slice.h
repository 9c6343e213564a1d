/* JSON without a tree: checks well-formedness and hands out the raw text of members and items. Numbers keep
 * their digits, and what is passed on between clients stays byte for byte what was sent. */
#ifndef REALTIME_JSON_SLICE_H
#define REALTIME_JSON_SLICE_H

#include "base/pool.h"

#define JSON_SLICE_DEPTH_MAX 64

/* Well-formed JSON (RFC 8259) nested at most JSON_SLICE_DEPTH_MAX deep; white space around it is allowed. */
bool json_slice_is_valid(str_t text);

/* The iterators expect text that json_slice_is_valid has accepted; they start with *at = 0. `key` is the raw
 * text between the quotes, values are raw with their quotes. False at the end, or when `text` is no object
 * (array). */
bool json_slice_member(str_t text, size_t *at, str_t *key, str_t *value);
bool json_slice_item(str_t text, size_t *at, str_t *value);

/* Value of the last member of that name (names with escapes are compared unescaped only when equal as
 * written); null string when absent. */
str_t json_slice_get(str_t object, str_t key);

static inline bool json_slice_is_string(str_t value)
{
    return value.len >= 2 && value.base[0] == '"';
}

static inline bool json_slice_is_object(str_t value)
{
    return value.len >= 2 && value.base[0] == '{';
}

/* The content of a raw string, unescaped into `pool` when need be; the null string when `value` is no string.
 */
str_t json_slice_string(pool_t *pool, str_t value);

#endif
