/* What the token tests share: a verifier, and tokens made by hand. */
#ifndef TOKEN_TEST_H
#define TOKEN_TEST_H

#include "base/crypt.h"
#include "token/token.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECRET "a-secret-of-more-than-thirty-two-bytes!"
#define HS256_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

typedef struct {
    pool_t *pool;
    token_verifier_t *verifier;
} fixture_t;

static inline token_verifier_t *make_verifier(pool_t *pool, const token_options_t *options)
{
    token_verifier_t *verifier = NULL;
    err_t *err = token_verifier_create(pool, options, &verifier);
    if (err != NULL)
        fail_msg("%.*s", STR_ARG(err->message));
    return verifier;
}

static inline int set_up(void **state)
{
    fixture_t *fixture = calloc(1, sizeof(*fixture));
    fixture->pool = pool_create();
    fixture->verifier = make_verifier(
        fixture->pool, &(token_options_t){.secret = STR(SECRET), .anon_role = STR("anon"), .cache_max = 4});
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    fixture_t *fixture = *state;
    token_verifier_destroy(fixture->verifier);
    pool_destroy(fixture->pool);
    free(fixture);
    return 0;
}

/* header.payload, both as base64url */
static inline str_t signing_input(pool_t *pool, const char *header, str_t payload)
{
    return pool_concat(pool, 3, crypt_base64url(pool, str_from_c(header)), STR("."),
                       crypt_base64url(pool, payload));
}

static inline str_t with_hmac(pool_t *pool, const char *digest, str_t key, str_t input)
{
    unsigned char mac[64];
    size_t len = 0;
    EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, key.base, key.len, (const unsigned char *)input.base,
              input.len, mac, sizeof(mac), &len);
    str_t signature = crypt_base64url(pool, str_make((char *)mac, len));
    return pool_concat(pool, 3, input, STR("."), signature);
}

static inline str_t hs256(pool_t *pool, const char *header, const char *payload)
{
    return with_hmac(pool, "SHA256", STR(SECRET), signing_input(pool, header, str_from_c(payload)));
}

static inline str_t claims(pool_t *pool, const char *payload)
{
    return hs256(pool, HS256_HEADER, payload);
}

static inline void assert_refused(token_verifier_t *verifier, pool_t *pool, str_t jwt, const char *code,
                                  const char *message)
{
    identity_t identity;
    err_t *err = token_verify(verifier, pool, jwt, &identity);
    assert_non_null(err);
    assert_int_equal(err->status, 401);
    if (code != NULL)
        assert_string_equal(pool_cstr(pool, err->code), code);
    if (message != NULL)
        assert_string_equal(pool_cstr(pool, err->message), message);
    assert_false(str_is_null(err->headers));
    assert_false(identity.has_token);
}

static inline void assert_role(token_verifier_t *verifier, pool_t *pool, str_t jwt, const char *role)
{
    identity_t identity;
    err_t *err = token_verify(verifier, pool, jwt, &identity);
    if (err != NULL)
        fail_msg("refused: %.*s", STR_ARG(err->message));
    assert_string_equal(pool_cstr(pool, identity.role), role);
}

#endif
