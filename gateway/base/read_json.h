/* JSON in, with caps: jansson behind limits on size, depth and number of nodes. */
#ifndef BASE_READ_JSON_H
#define BASE_READ_JSON_H

#include "base/err.h"
#include "base/pool.h"

#include <jansson.h>

typedef struct {
    size_t size_max;  /* bytes; 0: 8 MiB */
    size_t depth_max; /* nesting; 0: 64 */
    size_t nodes_max; /* values and members; 0: 500,000 */
    bool any_value;   /* accept scalars at top level */
} read_json_limits_t;

/* Parses `text`. On success `*out` is owned by `pool` (json_decref at its end). The error (400, 413 when
 * too large, code empty) has jansson's text with the position in details. Duplicate keys: the last wins, as
 * in PostgreSQL's jsonb. */
err_t *read_json(pool_t *pool, str_t text, const read_json_limits_t *limits, json_t **out) MUST_CHECK;

/* Members of an object; null strings/defaults when absent, null or of another type. Borrowed from `object`.
 */
str_t read_json_str(const json_t *object, const char *key);
int64_t read_json_int(const json_t *object, const char *key, int64_t absent);
bool read_json_bool(const json_t *object, const char *key, bool absent);
json_t *read_json_object(const json_t *object, const char *key); /* NULL when no object */
json_t *read_json_array(const json_t *object, const char *key);  /* NULL when no array */

/* Compact text of a value, in the pool. */
str_t read_json_dump(pool_t *pool, const json_t *value);

#endif
