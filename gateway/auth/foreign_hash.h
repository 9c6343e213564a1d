/* Password hashes that came from elsewhere: Argon2 and Firebase's scrypt, in the spellings that GoTrue takes.
 */
#ifndef AUTH_FOREIGN_HASH_H
#define AUTH_FOREIGN_HASH_H

#include "base/pool.h"

/* $argon2i$ / $argon2id$ v=19 with m <= 1 GiB, t <= 20, p <= 16. */
bool argon_is_hash(pool_t *pool, str_t hash);
bool argon_verify(pool_t *pool, str_t password, str_t hash);

/* $fbscrypt$v=1,n=<log2 N>,r=..,p=..,ss=<salt separator>,sk=<signer key>$<salt>$<hash> */
bool firebase_is_hash(pool_t *pool, str_t hash);
bool firebase_verify(pool_t *pool, str_t password, str_t hash);

#endif
