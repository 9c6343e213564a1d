/* Forged tokens of every kind that has once worked somewhere. None may be accepted. TOKEN_MUTATIONS in the
 * environment sets how many random mutations are tried. */
#include "base/buf.h"
#include "token_keys.h"

#include <openssl/x509.h>

#define ATTACK "{\"role\":\"service_role\"}"

static str_t with_signature(pool_t *pool, str_t input, str_t bytes)
{
    return pool_concat(pool, 3, input, STR("."), crypt_base64url(pool, bytes));
}

/* A public key in all the forms that somebody might hash with. */
static size_t forms_of(pool_t *pool, EVP_PKEY *key, str_t *out)
{
    str_t pem = public_pem(pool, key), der = public_der(pool, key), rest = pem;
    size_t count = 0;
    out[count++] = pem;
    out[count++] = str_trim(pem);
    out[count++] = der;
    out[count++] = crypt_base64(pool, der);
    out[count++] = crypt_base64url(pool, der);
    out[count++] = pool_concat(pool, 2, pem, STR("\n"));
    buf_t crlf;
    buf_init(&crlf, pool, pem.len * 2);
    while (rest.len > 0) {
        buf_append_str(&crlf, str_split(&rest, '\n'));
        buf_append_lit(&crlf, "\r\n");
    }
    out[count++] = buf_str(&crlf);
    BIO *bio = BIO_new(BIO_s_mem());
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        unsigned char *raw = NULL;
        int len = i2d_PublicKey(key, &raw);
        PEM_write_bio(bio, "RSA PUBLIC KEY", "", raw, len);
        char *bytes;
        long size = BIO_get_mem_data(bio, &bytes);
        out[count++] = pool_str(pool, str_make(bytes, (size_t)size));
        out[count++] = pool_str(pool, str_make((char *)raw, (size_t)len));
        out[count++] = bn_base64url(pool, key, OSSL_PKEY_PARAM_RSA_N, 0);
        OPENSSL_free(raw);
    }
    BIO_free(bio);
    return count;
}

static void no_form_of_a_public_key_is_a_secret(void **state)
{
    fixture_t *f = *state;
    static const char *const HEADERS[] = {HS256_HEADER, "{\"alg\":\"HS384\"}", "{\"alg\":\"HS512\"}",
                                          "{\"alg\":\"HS256\",\"kid\":\"k\"}"};
    static const char *const DIGESTS[] = {"SHA256", "SHA384", "SHA512", "SHA256"};
    EVP_PKEY *keys[] = {make_key("RSA", NULL), make_key("EC", "P-256")};
    for (size_t k = 0; k < 2; k++) {
        str_t jwk = k == 0 ? rsa_jwk(f->pool, keys[k], "k") : ec_jwk(f->pool, keys[k], "k");
        str_t set = pool_printf(f->pool, "{\"keys\":[%s]}", jwk.base);
        const str_t configured[] = {public_pem(f->pool, keys[k]), jwk, set};
        for (size_t c = 0; c < 3; c++) {
            token_verifier_t *verifier =
                make_verifier(f->pool, &(token_options_t){.secret = configured[c], .anon_role = STR("anon")});
            str_t forms[16];
            size_t count = forms_of(f->pool, keys[k], forms);
            forms[count++] = jwk;
            forms[count++] = set;
            forms[count++] = configured[c];
            forms[count++] = STR("");
            for (size_t i = 0; i < count; i++)
                for (size_t h = 0; h < 4; h++)
                    assert_refused(verifier, f->pool,
                                   with_hmac(f->pool, DIGESTS[h], forms[i],
                                             signing_input(f->pool, HEADERS[h], STR(ATTACK))),
                                   "PGRST301", NULL);
            token_verifier_destroy(verifier);
        }
        EVP_PKEY_free(keys[k]);
    }
}

static void signatures_that_verify_anything_are_refused(void **state)
{
    fixture_t *f = *state;
    EVP_PKEY *ec = make_key("EC", "P-256"), *rsa = make_key("RSA", NULL);
    token_verifier_t *ec_verifier =
        make_verifier(f->pool, &(token_options_t){.secret = ec_jwk(f->pool, ec, "e")});
    token_verifier_t *rsa_verifier =
        make_verifier(f->pool, &(token_options_t){.secret = public_pem(f->pool, rsa)});
    static const char ORDER[] = "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"
                                "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    char pairs[5][64] = {{0}};
    memcpy(pairs[1], ORDER, 32); /* r = s = n, which is 0 for the curve */
    memcpy(pairs[1] + 32, ORDER, 32);
    pairs[2][31] = 1; /* r = 1, s = 0 */
    pairs[3][63] = 1; /* r = 0, s = 1 */
    memset(pairs[4], 0xff, 64);
    str_t ec_input = signing_input(f->pool, "{\"alg\":\"ES256\"}", STR(ATTACK));
    str_t rsa_input = signing_input(f->pool, "{\"alg\":\"RS256\"}", STR(ATTACK));
    static const size_t LENGTHS[] = {0, 1, 32, 63, 64};
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 5; k++)
            assert_refused(ec_verifier, f->pool,
                           with_signature(f->pool, ec_input, str_make(pairs[i], LENGTHS[k])), "PGRST301",
                           NULL);
    char block[257];
    static const int FILLS[] = {0, 1, 0xff};
    for (size_t i = 0; i < 3; i++)
        for (size_t len = 0; len <= sizeof(block); len += 257 / 4 + (len == 192)) {
            memset(block, FILLS[i], sizeof(block));
            assert_refused(rsa_verifier, f->pool, with_signature(f->pool, rsa_input, str_make(block, len)),
                           "PGRST301", NULL);
        }
    /* what one key signed under the other's algorithm */
    assert_refused(rsa_verifier, f->pool, es256(f->pool, ec, "{\"alg\":\"ES256\"}", ATTACK), "PGRST301",
                   NULL);
    assert_refused(rsa_verifier, f->pool, es256(f->pool, ec, "{\"alg\":\"RS256\"}", ATTACK), "PGRST301",
                   NULL);
    assert_refused(ec_verifier, f->pool, rs256(f->pool, rsa, "{\"alg\":\"RS256\"}", ATTACK), "PGRST301",
                   NULL);
    assert_refused(ec_verifier, f->pool, rs256(f->pool, rsa, "{\"alg\":\"ES256\"}", ATTACK), "PGRST301",
                   NULL);
    assert_role(ec_verifier, f->pool, es256(f->pool, ec, "{\"alg\":\"ES256\"}", ATTACK), "service_role");
    token_verifier_destroy(ec_verifier);
    token_verifier_destroy(rsa_verifier);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(rsa);
}

static void keys_that_a_token_brings_along_are_not_looked_at(void **state)
{
    fixture_t *f = *state;
    EVP_PKEY *own = make_key("RSA", NULL), *stranger = make_key("RSA", NULL);
    token_verifier_t *verifier = make_verifier(
        f->pool, &(token_options_t){.secret = rsa_jwk(f->pool, own, "own"), .anon_role = STR("anon")});
    str_t der = crypt_base64(f->pool, public_der(f->pool, stranger));
    str_t jwk = rsa_jwk(f->pool, stranger, "own");
    static const char *const MEMBERS[] = {"\"jwk\":%s", "\"jku\":\"file:///dev/stdin#%s\"",
                                          "\"x5c\":[\"%s\"]", "\"x5u\":\"http://127.0.0.1/%s\"",
                                          "\"kid\":\"own\",\"x5t\":\"%s\""};
    for (size_t i = 0; i < sizeof(MEMBERS) / sizeof(MEMBERS[0]); i++) {
        char member[4096], header[4200];
        snprintf(member, sizeof(member), MEMBERS[i], i == 0 ? jwk.base : der.base);
        snprintf(header, sizeof(header), "{\"alg\":\"RS256\",%s}", member);
        assert_refused(verifier, f->pool, rs256(f->pool, stranger, header, ATTACK), "PGRST301", NULL);
    }
    token_verifier_destroy(verifier);
    EVP_PKEY_free(own);
    EVP_PKEY_free(stranger);
}

static void a_kid_is_a_name_and_never_a_path(void **state)
{
    fixture_t *f = *state;
    str_t jwk = STR("{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"o\",\"k\":"
                    "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75c\"}");
    token_verifier_t *verifier =
        make_verifier(f->pool, &(token_options_t){.secret = jwk, .anon_role = STR("anon")});
    static const char *const KIDS[] = {
        "/dev/null", "../../../../dev/null", "o\\u0000", "O", "o ", "%6f", "", "o' union select 'x",
        "|id",       "@/etc/passwd",         "o\\n",     "*"};
    for (size_t i = 0; i < sizeof(KIDS) / sizeof(KIDS[0]); i++) {
        str_t header = pool_printf(f->pool, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", KIDS[i]);
        str_t input = signing_input(f->pool, header.base, STR(ATTACK));
        const str_t secrets[] = {STR(""), STR_NULL, STR("x"), str_from_c(KIDS[i]), STR("\0"), jwk};
        for (size_t k = 0; k < 6; k++) {
            str_t secret = str_is_null(secrets[k]) ? STR("") : secrets[k];
            assert_refused(verifier, f->pool, with_hmac(f->pool, "SHA256", secret, input), "PGRST301", NULL);
        }
    }
    token_verifier_destroy(verifier);
}

/* The good token is in the cache while its neighbours come. */
static void no_neighbour_of_a_cached_token_is_accepted(void **state)
{
    fixture_t *f = *state;
    str_t jwt = claims(f->pool, "{\"role\":\"authenticated\",\"sub\":\"u\"}");
    assert_role(f->verifier, f->pool, jwt, "authenticated");
    assert_role(f->verifier, f->pool, jwt, "authenticated");
    for (size_t bit = 0; bit < jwt.len * 8; bit++) {
        pool_t *pool = pool_create();
        char *bytes = pool_cstr(pool, jwt);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
        assert_refused(f->verifier, pool, str_make(bytes, jwt.len), NULL, NULL);
        pool_destroy(pool);
    }
    for (size_t len = 0; len < jwt.len; len++)
        assert_refused(f->verifier, f->pool, str_slice(jwt, 0, len), NULL, NULL);
    static const char *const TAILS[] = {"=", "==", "A", ".", " ", "\n", "%20", ".AAAA", "\t", "AAAA"};
    for (size_t i = 0; i < sizeof(TAILS) / sizeof(TAILS[0]); i++)
        assert_refused(f->verifier, f->pool, pool_concat(f->pool, 2, jwt, str_from_c(TAILS[i])), NULL, NULL);
    assert_role(f->verifier, f->pool, jwt, "authenticated");
}

static void payloads_that_are_no_claims_are_refused(void **state)
{
    fixture_t *f = *state;
    static const char *const PAYLOADS[] = {"",
                                           " ",
                                           "null",
                                           "true",
                                           "1",
                                           "\"x\"",
                                           "[]",
                                           "[{\"role\":\"x\"}]",
                                           "{",
                                           "{\"role\":}",
                                           "{\"role\":\"x\"}{}",
                                           "{\"role\":\"x\"} x",
                                           "{'role':'x'}",
                                           "{role:\"x\"}",
                                           "{\"role\":\"\xff\"}",
                                           "{\"role\":\"x\",}",
                                           "{\"a\":1e999999}",
                                           "{\"a\":\"\\ud800\"}",
                                           "{\"a\":{\"b\":1,\"b\":2}}",
                                           "\xef\xbb\xbf{\"role\":\"x\"}"};
    for (size_t i = 0; i < sizeof(PAYLOADS) / sizeof(PAYLOADS[0]); i++)
        assert_refused(f->verifier, f->pool, claims(f->pool, PAYLOADS[i]), NULL, NULL);
}

/* A role that is no text becomes its JSON text, as at the peer: the name of a role that nobody is granted. */
static void a_role_that_is_no_text_is_no_role_in_it(void **state)
{
    fixture_t *f = *state;
    static const char *const CASES[][2] = {{"{\"role\":[\"service_role\"]}", "[\"service_role\"]"},
                                           {"{\"role\":{\"service_role\":true}}", "{\"service_role\":true}"},
                                           {"{\"role\":1}", "1"},
                                           {"{\"role\":true}", "true"},
                                           {"{\"role\":\"service_role \"}", "service_role "},
                                           {"{\"Role\":\"service_role\"}", "anon"},
                                           {"{\"role\\u0020\":\"service_role\"}", "anon"}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        assert_role(f->verifier, f->pool, claims(f->pool, CASES[i][0]), CASES[i][1]);
}

/* Cuts, repeats and exchanges of bytes, also inside of the decoded parts. */
static str_t mutated(pool_t *pool, str_t jwt, unsigned *seed)
{
    char *bytes = pool_alloc(pool, jwt.len + 64);
    size_t len = jwt.len;
    memcpy(bytes, jwt.base, len);
    for (unsigned round = 1 + (unsigned)rand_r(seed) % 4; round > 0; round--) {
        size_t at = (size_t)rand_r(seed) % len, other = (size_t)rand_r(seed) % len;
        switch (rand_r(seed) % 5) {
        case 0:
            bytes[at] = (char)rand_r(seed);
            break;
        case 1:
            bytes[at] = "ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789-_.="[(size_t)rand_r(seed) % 46];
            break;
        case 2:
            len = at + 1;
            break;
        case 3:
            if (len < jwt.len + 32)
                bytes[len++] = bytes[other];
            break;
        default:
            bytes[at] = bytes[other];
        }
    }
    return str_make(bytes, len);
}

static void no_random_mutation_is_accepted(void **state)
{
    fixture_t *f = *state;
    const char *wanted = getenv("TOKEN_MUTATIONS");
    long count = wanted != NULL ? atol(wanted) : 20000;
    str_t jwt = claims(f->pool, "{\"role\":\"authenticated\",\"sub\":\"u\"}");
    assert_role(f->verifier, f->pool, jwt, "authenticated");
    unsigned seed = 7;
    for (long i = 0; i < count; i++) {
        pool_t *pool = pool_create();
        str_t text = mutated(pool, jwt, &seed);
        identity_t identity;
        err_t *err = token_verify(f->verifier, pool, text, &identity);
        if (err == NULL && !str_eq(text, jwt))
            fail_msg("accepted: %.*s", STR_ARG(text));
        pool_destroy(pool);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(no_form_of_a_public_key_is_a_secret),
        T(signatures_that_verify_anything_are_refused),
        T(keys_that_a_token_brings_along_are_not_looked_at),
        T(a_kid_is_a_name_and_never_a_path),
        T(no_neighbour_of_a_cached_token_is_accepted),
        T(payloads_that_are_no_claims_are_refused),
        T(a_role_that_is_no_text_is_no_role_in_it),
        T(no_random_mutation_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
