/* Canonical JSON for signatures: keys sorted, no white space. Two dialects, since the two known signers
 * differ in escaping and in how they print numbers. */
#ifndef FUNCTIONS_CANONICAL_JSON_H
#define FUNCTIONS_CANONICAL_JSON_H

#include "base/pool.h"

typedef enum {
    CANONICAL_ASCII, /* non-ASCII as \uXXXX; numbers as they were written; keys by code point */
    CANONICAL_UTF8   /* non-ASCII raw; numbers as ECMAScript prints them; keys by UTF-16 unit */
} canonical_t;

/* The null string when `text` is no JSON or nests deeper than 64. The result lives in `pool`. */
str_t canonical_json(pool_t *pool, str_t text, canonical_t dialect);

#endif
