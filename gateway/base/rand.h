/* Randomness from OpenSSL's generator. A failure ends the process: there is no safe way on. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "base/pool.h"

void rand_bytes(void *out, size_t len);
uint64_t rand_uint64(void);
str_t rand_hex(pool_t *pool, size_t bytes); /* 2 x bytes characters */
str_t rand_uuid(pool_t *pool);              /* version 4, lower case */
/* `len` characters of a-z2-7, for tokens that people may have to type. */
str_t rand_base32(pool_t *pool, size_t len);

#endif
