/* Key material: what may verify a token, and with which algorithms. Immutable after loading. */
#ifndef TOKEN_KEYS_H
#define TOKEN_KEYS_H

#include "base/err.h"
#include "token/token.h"

#include <jansson.h>
#include <jwt.h>

/* Algorithms as bits, so that a key can name the few of its own family. Never two families in one key. */
#define TOKEN_ALG_BIT(alg) (1u << (unsigned)(alg))
#define TOKEN_HMAC_ALGS                                                                                      \
    (TOKEN_ALG_BIT(JWT_ALG_HS256) | TOKEN_ALG_BIT(JWT_ALG_HS384) | TOKEN_ALG_BIT(JWT_ALG_HS512))

typedef struct {
    unsigned algs;       /* TOKEN_ALG_BIT of what this key may verify; fixed by the key, never by a token */
    str_t kid;           /* null string: the key answers to any kid */
    str_t material;      /* HMAC: the secret's bytes; RSA and EC: the public key as PEM */
    str_t public_jwk;    /* public members as JSON for the JWKS endpoint; null string for secrets */
    void *private_key;   /* EVP_PKEY of a JWK with its private half, else NULL; freed with the pool */
    bool is_for_signing; /* key_ops names sign */
    bool is_for_verifying_only; /* key_ops names verify alone */
} token_key_t;

typedef struct {
    token_key_t *keys;
    size_t count;
} token_keys_t;

/* Reads options->secret in any of its forms ("@path" reads a file first). No secret: count 0.
 * Everything lives in `pool`, which the caller wipes with the verifier. */
err_t *token_keys_load(pool_t *pool, pool_t *errors, const token_options_t *options,
                       token_keys_t *out) MUST_CHECK;

/* One JWK (oct, RSA, EC). `*is_usable` is false for keys of a kind or use that cannot verify here. */
err_t *token_jwk_load(pool_t *pool, pool_t *errors, const json_t *jwk, token_key_t *out,
                      bool *is_usable) MUST_CHECK;

/* A PEM public key; the algorithms follow from its type and curve. False when it is none of them. */
bool token_pem_load(pool_t *pool, str_t pem, token_key_t *out);

#endif
