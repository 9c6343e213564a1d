/* Signing keys: JWKs with their private half. */
#ifndef TOKEN_SIGN_H
#define TOKEN_SIGN_H

#include "token/keys.h"

/* Reads the private half of an RSA or EC JWK into out->private_key, freed with `pool`. An RSA key needs its
 * primes too. Without "d" nothing happens; false when the halves do not belong together. `curve` is OpenSSL's
 * name, NULL for RSA. */
bool token_private_load(pool_t *pool, const json_t *jwk, const char *curve, token_key_t *out);

/* The key that signs: the first that says so in its key_ops, else the first that can. NULL: none. */
const token_key_t *token_signing_key(const token_keys_t *keys);

/* header.payload.signature; null string on failure. */
str_t token_sign_with(pool_t *pool, const token_key_t *key, str_t claims_json);

#endif
