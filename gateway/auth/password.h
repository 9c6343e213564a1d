/* Passwords: bcrypt through libxcrypt; hashes of other systems are only verified. Hashing takes tens of
 * milliseconds: never on the loop, and endpoints that do it run on gateway->hash_workers, so that a storm of
 * sign-ins leaves everything else alone. */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "auth/scope.h"

#define AUTH_PASSWORD_MAX 72 /* bytes; bcrypt sees no more */

/* $2a$10$... of a fresh salt. The password must be 1..72 bytes without NUL. Null string when libxcrypt
 * refuses. */
str_t password_hash(pool_t *pool, str_t password);

/* True when `password` has the hash: any bcrypt ($2a$, $2b$, $2y$) up to cost 14, Argon2i and Argon2id,
 * Firebase's scrypt.
 * `*is_known` (may be NULL) is false for a hash of another kind. */
bool password_verify(pool_t *pool, str_t password, str_t hash, bool *is_known);

/* Takes as long as a verification at cost 10: for users that do not exist. */
void password_waste_time(pool_t *pool, str_t password);

/* A hash that password_verify knows, for those that an administrator brings along. */
bool password_is_hash(pool_t *pool, str_t hash);
bool password_is_bcrypt(str_t hash);

/* GoTrue's rules: 72 bytes at most (400), then length and required characters (422 weak_password with
 * reasons). */
err_t *password_check_strength(const auth_scope_t *scope, str_t password) MUST_CHECK;

/* 64 random characters with letters and digits, for users who get none. */
str_t password_random(pool_t *pool);

#endif
