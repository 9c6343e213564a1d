/* The JWT matrix: what must never be accepted. */
#include "token_keys.h"

static void malformed_tokens_get_the_peers_answers(void **state)
{
    fixture_t *f = *state;
    assert_refused(f->verifier, f->pool, STR(""), "PGRST301", "Empty JWT is sent in Authorization header");
    assert_refused(f->verifier, f->pool, STR("a.b"), "PGRST301", "Expected 3 parts in JWT; got 2");
    assert_refused(f->verifier, f->pool, STR("a.b.c.d.e"), "PGRST301", "Expected 3 parts in JWT; got 5");
    assert_refused(f->verifier, f->pool, STR("quifquirndsjagnrgniur.fonvoienqhhdj.iuqvnvhojah"), "PGRST301",
                   "JWT cryptographic operation failed");
    assert_refused(f->verifier, f->pool, STR(".."), "PGRST301", NULL);
}

static void none_is_never_an_algorithm(void **state)
{
    fixture_t *f = *state;
    static const char *const HEADERS[] = {"{\"alg\":\"none\"}",
                                          "{\"alg\":\"None\"}",
                                          "{\"alg\":\"NONE\"}",
                                          "{\"alg\":\"\"}",
                                          "{\"alg\":null}",
                                          "{\"typ\":\"JWT\"}",
                                          "{\"alg\":[\"HS256\"]}",
                                          "{\"alg\":\"hs256\"}",
                                          "[]",
                                          "{",
                                          "\"HS256\""};
    for (size_t i = 0; i < sizeof(HEADERS) / sizeof(HEADERS[0]); i++) {
        str_t input = signing_input(f->pool, HEADERS[i], STR("{\"role\":\"service_role\"}"));
        assert_refused(f->verifier, f->pool, pool_concat(f->pool, 2, input, STR(".")), "PGRST301", NULL);
        assert_refused(f->verifier, f->pool, with_hmac(f->pool, "SHA256", STR(SECRET), input), "PGRST301",
                       NULL);
        assert_refused(f->verifier, f->pool, with_hmac(f->pool, "SHA256", STR(""), input), "PGRST301", NULL);
    }
    str_t none = signing_input(f->pool, "{\"typ\":\"JWT\",\"alg\":\"none\"}", STR("{}"));
    assert_refused(f->verifier, f->pool, pool_concat(f->pool, 2, none, STR(".AAAA")), "PGRST301",
                   "Wrong or unsupported encoding algorithm");
}

static void a_text_secret_is_hs256_only(void **state)
{
    fixture_t *f = *state;
    str_t input = signing_input(f->pool, "{\"alg\":\"HS512\"}", STR("{\"role\":\"x\"}"));
    assert_refused(f->verifier, f->pool, with_hmac(f->pool, "SHA512", STR(SECRET), input), "PGRST301",
                   "No suitable key or wrong key type");
    str_t short_mac = signing_input(f->pool, HS256_HEADER, STR("{\"role\":\"x\"}"));
    assert_refused(f->verifier, f->pool, with_hmac(f->pool, "SHA512", STR(SECRET), short_mac), "PGRST301",
                   NULL);
    assert_refused(f->verifier, f->pool, with_hmac(f->pool, "SHA256", STR("another-secret"), short_mac),
                   "PGRST301", NULL);
    assert_refused(f->verifier, f->pool, pool_concat(f->pool, 2, short_mac, STR(".")), "PGRST301", NULL);
}

static void a_public_key_is_never_an_hmac_secret(void **state)
{
    fixture_t *f = *state;
    EVP_PKEY *rsa = make_key("RSA", NULL);
    str_t pem = public_pem(f->pool, rsa);
    str_t jwk = rsa_jwk(f->pool, rsa, "k1");
    str_t der = public_der(f->pool, rsa);
    const str_t forms[] = {pem, str_trim(pem), jwk, der};
    const str_t secrets[] = {pem, jwk, pool_printf(f->pool, "{\"keys\":[%.*s]}", STR_ARG(jwk))};
    for (size_t s = 0; s < 3; s++) {
        token_verifier_t *verifier = make_verifier(f->pool, &(token_options_t){.secret = secrets[s]});
        assert_role(verifier, f->pool, rs256(f->pool, rsa, "{\"alg\":\"RS256\"}", "{\"role\":\"ok\"}"), "ok");
        for (size_t i = 0; i < 4; i++) {
            str_t input = signing_input(f->pool, HS256_HEADER, STR("{\"role\":\"service_role\"}"));
            assert_refused(verifier, f->pool, with_hmac(f->pool, "SHA256", forms[i], input), "PGRST301",
                           "No suitable key or wrong key type");
        }
        token_verifier_destroy(verifier);
    }
    EVP_PKEY_free(rsa);
}

static void kid_selects_only_among_configured_keys(void **state)
{
    fixture_t *f = *state;
    EVP_PKEY *rsa = make_key("RSA", NULL), *ec = make_key("EC", "P-256"), *stranger = make_key("RSA", NULL);
    str_t set =
        pool_printf(f->pool, "{\"keys\":[%.*s,%.*s,{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}",
                    STR_ARG(rsa_jwk(f->pool, rsa, "r")), STR_ARG(ec_jwk(f->pool, ec, "e")));
    token_verifier_t *verifier = make_verifier(f->pool, &(token_options_t){.secret = set});
    const char *payload = "{\"role\":\"ok\"}";
    assert_role(verifier, f->pool, rs256(f->pool, rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", payload), "ok");
    assert_role(verifier, f->pool, es256(f->pool, ec, "{\"alg\":\"ES256\",\"kid\":\"e\"}", payload), "ok");
    assert_role(verifier, f->pool, es256(f->pool, ec, "{\"alg\":\"ES256\"}", payload), "ok");
    static const char *const BAD[] = {"{\"alg\":\"RS256\",\"kid\":\"e\"}",
                                      "{\"alg\":\"RS256\",\"kid\":\"../../r\"}",
                                      "{\"alg\":\"RS512\",\"kid\":\"r\"}",
                                      "{\"alg\":\"PS256\",\"kid\":\"r\"}", "{\"alg\":\"RS256\",\"kid\":{}}"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_refused(verifier, f->pool, rs256(f->pool, rsa, BAD[i], payload), "PGRST301", NULL);
    str_t embedded =
        pool_printf(f->pool, "{\"alg\":\"RS256\",\"jwk\":%.*s}", STR_ARG(rsa_jwk(f->pool, stranger, "r")));
    assert_refused(verifier, f->pool, rs256(f->pool, stranger, embedded.base, payload), "PGRST301", NULL);
    assert_refused(verifier, f->pool, rs256(f->pool, stranger, "{\"alg\":\"RS256\",\"kid\":\"r\"}", payload),
                   "PGRST301", NULL);
    str_t shown = token_public_jwks(verifier, f->pool);
    assert_true(str_find(shown, STR("\"kid\":\"e\""), 0) != SIZE_MAX);
    token_verifier_destroy(verifier);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(stranger);
}

/* A JWK with its private half. */
static str_t private_ec_jwk(pool_t *pool, EVP_PKEY *key, const char *kid, const char *ops)
{
    return pool_printf(pool,
                       "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%s\",\"key_ops\":%s,\"x\":\"%s\",\"y\":"
                       "\"%s\",\"d\":\"%s\"}",
                       kid, ops, bn_base64url(pool, key, OSSL_PKEY_PARAM_EC_PUB_X, 32).base,
                       bn_base64url(pool, key, OSSL_PKEY_PARAM_EC_PUB_Y, 32).base,
                       bn_base64url(pool, key, OSSL_PKEY_PARAM_PRIV_KEY, 32).base);
}

static str_t private_rsa_jwk(pool_t *pool, EVP_PKEY *key, const char *kid)
{
    static const char *const PARTS[][2] = {
        {"n", OSSL_PKEY_PARAM_RSA_N},          {"e", OSSL_PKEY_PARAM_RSA_E},
        {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
        {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
        {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};
    str_t jwk = pool_printf(pool, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"key_ops\":[\"sign\",\"verify\"]", kid);
    for (size_t i = 0; i < 8; i++)
        jwk = pool_printf(pool, "%s,\"%s\":\"%s\"", jwk.base, PARTS[i][0],
                          bn_base64url(pool, key, PARTS[i][1], 0).base);
    return pool_printf(pool, "%s}", jwk.base);
}

static void assert_signs(fixture_t *f, const token_options_t *options, const char *header)
{
    token_verifier_t *verifier = make_verifier(f->pool, options);
    str_t jwt = token_sign(verifier, f->pool, STR("{\"role\":\"ok\"}"));
    assert_false(str_is_null(jwt));
    str_t rest = jwt, decoded;
    assert_true(crypt_unbase64(f->pool, str_split(&rest, '.'), &decoded));
    assert_string_equal(pool_cstr(f->pool, decoded), header);
    assert_role(verifier, f->pool, jwt, "ok");
    assert_role(verifier, f->pool, claims(f->pool, "{\"role\":\"old\"}"), "old");
    str_t shown = token_public_jwks(verifier, f->pool);
    assert_true(str_find(shown, STR("\"d\""), 0) == SIZE_MAX &&
                str_find(shown, STR("\"kid\""), 0) != SIZE_MAX);
    token_verifier_destroy(verifier);
}

static void a_key_set_beside_the_secret_signs_and_the_secret_still_verifies(void **state)
{
    fixture_t *f = *state;
    EVP_PKEY *ec = make_key("EC", "P-256"), *rsa = make_key("RSA", NULL), *other = make_key("EC", "P-256");
    str_t keys =
        pool_printf(f->pool, "[%s]", private_ec_jwk(f->pool, ec, "e1", "[\"sign\",\"verify\"]").base);
    token_options_t options = {.secret = STR(SECRET), .more_keys = keys};
    assert_signs(f, &options, "{\"alg\":\"ES256\",\"kid\":\"e1\",\"typ\":\"JWT\"}");
    options.more_keys =
        pool_printf(f->pool, "{\"keys\":[%s,%s]}", private_ec_jwk(f->pool, other, "e2", "[\"verify\"]").base,
                    private_rsa_jwk(f->pool, rsa, "r1").base);
    assert_signs(f, &options, "{\"alg\":\"RS256\",\"kid\":\"r1\",\"typ\":\"JWT\"}");
    options.more_keys = pool_printf(f->pool, "[%s]", private_ec_jwk(f->pool, ec, "e1", "[\"verify\"]").base);
    assert_signs(f, &options, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
    token_verifier_t *verifier = NULL;
    str_t mixed =
        pool_printf(f->pool, "[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\",\"d\":\"%s\"}]",
                    bn_base64url(f->pool, ec, OSSL_PKEY_PARAM_EC_PUB_X, 32).base,
                    bn_base64url(f->pool, ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32).base,
                    bn_base64url(f->pool, other, OSSL_PKEY_PARAM_PRIV_KEY, 32).base);
    assert_non_null(token_verifier_create(
        f->pool, &(token_options_t){.secret = STR(SECRET), .more_keys = mixed}, &verifier));
    assert_non_null(token_verifier_create(
        f->pool, &(token_options_t){.secret = STR(SECRET), .more_keys = STR("nonsense")}, &verifier));
    EVP_PKEY_free(ec);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other);
}

static void symmetric_keys_are_never_shown(void **state)
{
    fixture_t *f = *state;
    str_t jwk = STR("{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"o\",\"k\":"
                    "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75c\"}");
    token_verifier_t *verifier =
        make_verifier(f->pool, &(token_options_t){.secret = jwk, .anon_role = STR("anon")});
    assert_string_equal(pool_cstr(f->pool, token_public_jwks(verifier, f->pool)), "{\"keys\":[]}");
    str_t jwt = token_sign(verifier, f->pool, STR("{\"role\":\"r\"}"));
    assert_role(verifier, f->pool, jwt, "r");
    token_verifier_destroy(verifier);
}

static void unusable_key_material_is_refused_at_start(void **state)
{
    fixture_t *f = *state;
    static const char *const BAD[] = {
        "short",
        "{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"keys\":[]}",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "@/nowhere/at/all"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        token_verifier_t *verifier = NULL;
        assert_non_null(
            token_verifier_create(f->pool, &(token_options_t){.secret = str_from_c(BAD[i])}, &verifier));
    }
}

static void base64_secrets_are_decoded(void **state)
{
    fixture_t *f = *state;
    str_t encoded = crypt_base64(f->pool, STR(SECRET));
    token_verifier_t *verifier =
        make_verifier(f->pool, &(token_options_t){.secret = encoded, .is_secret_base64 = true});
    assert_role(verifier, f->pool, claims(f->pool, "{\"role\":\"r\"}"), "r");
    token_verifier_destroy(verifier);
}

static void unknown_critical_headers_and_duplicates_are_refused(void **state)
{
    fixture_t *f = *state;
    const char *payload = "{\"role\":\"r\"}";
    assert_refused(f->verifier, f->pool,
                   hs256(f->pool, "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", payload),
                   "PGRST301", NULL);
    assert_refused(f->verifier, f->pool, hs256(f->pool, "{\"alg\":\"HS256\",\"crit\":[]}", payload),
                   "PGRST301", NULL);
    assert_refused(f->verifier, f->pool, hs256(f->pool, "{\"alg\":\"none\",\"alg\":\"HS256\"}", payload),
                   "PGRST301", NULL);
    assert_refused(f->verifier, f->pool, claims(f->pool, "{\"role\":\"a\",\"role\":\"service_role\"}"),
                   "PGRST303", NULL);
    assert_refused(f->verifier, f->pool, claims(f->pool, "{\"role\":\"a\\u0000b\"}"), NULL, NULL);
    assert_refused(f->verifier, f->pool, claims(f->pool, "[1]"), "PGRST303", NULL);
}

static void huge_and_deep_tokens_are_refused(void **state)
{
    fixture_t *f = *state;
    char *deep = pool_alloc(f->pool, 4200);
    memset(deep, '[', 2000);
    memset(deep + 2000, ']', 2000);
    str_t nested = pool_printf(f->pool, "{\"role\":\"r\",\"a\":%.4000s}", deep);
    assert_refused(f->verifier, f->pool, claims(f->pool, nested.base), "PGRST303", NULL);
    char *big = pool_alloc(f->pool, 100000);
    memset(big, 'a', 100000);
    str_t huge = pool_printf(f->pool, "{\"role\":\"r\",\"a\":\"%.99999s\"}", big);
    assert_refused(f->verifier, f->pool, claims(f->pool, huge.base), "PGRST301", NULL);
}

static void no_flipped_bit_is_accepted(void **state)
{
    fixture_t *f = *state;
    EVP_PKEY *rsa = make_key("RSA", NULL);
    token_verifier_t *asymmetric =
        make_verifier(f->pool, &(token_options_t){.secret = public_pem(f->pool, rsa)});
    const str_t tokens[] = {claims(f->pool, "{\"role\":\"authenticated\",\"sub\":\"u\"}"),
                            rs256(f->pool, rsa, "{\"alg\":\"RS256\"}", "{\"role\":\"authenticated\"}")};
    token_verifier_t *verifiers[] = {f->verifier, asymmetric};
    for (size_t t = 0; t < 2; t++)
        for (size_t bit = 0; bit < tokens[t].len * 8; bit++) {
            pool_t *pool = pool_create();
            char *bytes = pool_cstr(pool, tokens[t]);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
            identity_t identity;
            assert_non_null(token_verify(verifiers[t], pool, str_make(bytes, tokens[t].len), &identity));
            pool_destroy(pool);
        }
    token_verifier_destroy(asymmetric);
    EVP_PKEY_free(rsa);
}

static void what_we_sign_we_verify(void **state)
{
    fixture_t *f = *state;
    str_t jwt = token_sign(f->verifier, f->pool, STR("{\"role\":\"authenticated\",\"exp\":99999999999}"));
    assert_role(f->verifier, f->pool, jwt, "authenticated");
    str_t text;
    assert_null(token_read_signed(f->verifier, f->pool, claims(f->pool, "{\"exp\":1}"), &text));
    assert_string_equal(pool_cstr(f->pool, text), "{\"exp\":1}");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_text_secret_is_hs256_only),
        T(base64_secrets_are_decoded),
        T(malformed_tokens_get_the_peers_answers),
        T(none_is_never_an_algorithm),
        T(a_public_key_is_never_an_hmac_secret),
        T(kid_selects_only_among_configured_keys),
        T(a_key_set_beside_the_secret_signs_and_the_secret_still_verifies),
        T(symmetric_keys_are_never_shown),
        T(unusable_key_material_is_refused_at_start),
        T(unknown_critical_headers_and_duplicates_are_refused),
        T(huge_and_deep_tokens_are_refused),
        T(no_flipped_bit_is_accepted),
        T(what_we_sign_we_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
