/* Queries of RFC 9535 ("$.a[0]", "$['a'].*", "$..role", "$.roles[?@.app == 'x' && !@.old]") of which the
 * first value counts. Of the functions there are search() and match(), whose pattern is a literal. */
#ifndef TOKEN_JSON_PATH_H
#define TOKEN_JSON_PATH_H

#include "base/pool.h"

#include <jansson.h>

typedef struct json_path json_path_t;

/* NULL when `text` is no such query; the whole document ("$" alone) is none either. Lives in `pool`. */
json_path_t *json_path_parse(pool_t *pool, str_t text);

/* Borrowed from `root`; NULL when nothing is selected, or when a million values did not lead to one. Numbers
 * are compared as they are when `root` was read with JSON_DECODE_INT_AS_REAL. */
const json_t *json_path_first(const json_path_t *path, const json_t *root);

#endif
