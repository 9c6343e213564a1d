/* Stored passwords: what the database functions encrypt_password/decrypt_password write and read. */
#ifndef DRIVERS_CREDENTIALS_SECRET_H
#define DRIVERS_CREDENTIALS_SECRET_H

#include "base/pool.h"

/* `key`: base64 of the master key (32 bytes; shorter are filled with zeros, longer cut, as pgcrypto does).
 * `text`: 'enc:v1:' + base64(iv | AES-256-CBC | HMAC), or base64 of AES-256-CBC with a zero vector (existing
 * databases). False for a wrong key, a damaged text or another format; `*out` lives in `pool`, the caller
 * wipes it. */
bool secret_decrypt(pool_t *pool, str_t key, str_t text, str_t *out);

#endif
