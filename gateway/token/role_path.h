/* The path to the role inside the claims (PGRST_JWT_ROLE_CLAIM_KEY).
 * Two notations, as PostgREST v16: RFC 9535 (token/json_path.h) and the older ".a.\"b c\"[0]" with the
 * filters
 * ==, !=, ^==, ==^ and *==. */
#ifndef TOKEN_ROLE_PATH_H
#define TOKEN_ROLE_PATH_H

#include "base/err.h"

#include <jansson.h>

typedef struct role_path role_path_t;

/* Parses `text`; the path lives in `pool`. */
err_t *role_path_parse(pool_t *pool, pool_t *errors, str_t text, role_path_t **out) MUST_CHECK;

/* The first value that the path selects, borrowed from `claims`; NULL when there is none. */
const json_t *role_path_find(const role_path_t *path, const json_t *claims);

#endif
