/* Who is calling: verification of JWTs with the algorithm fixed by the key, never by the token's header.
 * Traps covered: algorithm confusion, "none", missing time checks, crit, caches outliving exp. */
#ifndef TOKEN_TOKEN_H
#define TOKEN_TOKEN_H

#include "base/err.h"
#include "base/pool.h"

typedef struct token_verifier token_verifier_t;

/* The caller. Strings live in the pool given to token_verify. */
typedef struct {
    str_t role;            /* role claim by the role path, or the anonymous role */
    str_t claims_json;     /* all claims, compact: the value of request.jwt.claims */
    str_t session_claims;  /* the same with the role in force as the claim "role" */
    str_t sub, session_id; /* null strings when absent */
    int64_t exp;           /* 0: none */
    bool has_token;
} identity_t;

typedef struct {
    str_t secret;          /* text secret, a JWK, a JWK set, or a PEM public key (PGRST_JWT_SECRET) */
    bool is_secret_base64; /* PGRST_JWT_SECRET_IS_BASE64 */
    str_t more_keys;       /* JWK set or array beside the secret (GOTRUE_JWT_KEYS), may be null */
    str_t audience;        /* PGRST_JWT_AUD; null string: any */
    str_t role_claim_key;  /* ".role" by default; JSON path of PostgREST */
    str_t anon_role;       /* null string: a token is required */
    size_t cache_max;      /* entries; 0: no cache */
} token_options_t;

/* Error (family auth) when the key material is unusable. */
err_t *token_verifier_create(pool_t *errors, const token_options_t *options,
                             token_verifier_t **out) MUST_CHECK;
void token_verifier_destroy(token_verifier_t *verifier);

/* Verifies `jwt` (null string: the anonymous caller). Errors are PostgREST's PGRST300-PGRST303 with 401/500
 * and a WWW-Authenticate header in err->headers. exp, nbf, iat are checked against the clock on every call
 * (30 s leeway). */
err_t *token_verify(token_verifier_t *verifier, pool_t *pool, str_t jwt, identity_t *out) MUST_CHECK;

/* Form, key and signature only; no rule about time, audience or role. For rooms with rules of their own
 * (auth). */
err_t *token_read_signed(token_verifier_t *verifier, pool_t *pool, str_t jwt, str_t *claims_json) MUST_CHECK;

/* The public keys as a JWK set, symmetric ones left out: {"keys":[..]}. */
str_t token_public_jwks(const token_verifier_t *verifier, pool_t *pool);

/* Signs claims (a JSON object) with the key whose key_ops names sign, else the first that can: a secret, or a
 * JWK with its private half. Null string when no key can sign. */
str_t token_sign(token_verifier_t *verifier, pool_t *pool, str_t claims_json);

#endif
