#include "token/sign.h"

#include "base/buf.h"
#include "base/crypt.h"
#include "base/emit.h"
#include "base/read_json.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#define SIGNATURE_MAX 1024
#define COMPONENTS_MAX 8

/* Members of a private JWK and OpenSSL's names for them. */
static const struct {
    const char *member, *param;
} RSA_PARTS[] = {{"n", OSSL_PKEY_PARAM_RSA_N},          {"e", OSSL_PKEY_PARAM_RSA_E},
                 {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
                 {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
                 {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};

static BIGNUM *push_number(pool_t *pool, OSSL_PARAM_BLD *build, const json_t *jwk, const char *member,
                           const char *param)
{
    str_t bytes;
    if (!crypt_unbase64(pool, read_json_str(jwk, member), &bytes) || bytes.len == 0 || bytes.len > 2048)
        return NULL;
    BIGNUM *number = BN_bin2bn((const unsigned char *)bytes.base, (int)bytes.len, NULL);
    crypt_wipe((void *)bytes.base, bytes.len);
    if (OSSL_PARAM_BLD_push_BN(build, param, number) == 1)
        return number;
    BN_clear_free(number);
    return NULL;
}

static EVP_PKEY *pair_from_params(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *pair = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, params) != 1)
        pair = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    ctx = pair != NULL ? EVP_PKEY_CTX_new(pair, NULL) : NULL;
    bool is_pair = ctx != NULL && EVP_PKEY_pairwise_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (is_pair)
        return pair;
    EVP_PKEY_free(pair);
    return NULL;
}

static EVP_PKEY *rsa_pair(pool_t *pool, const json_t *jwk)
{
    BIGNUM *numbers[COMPONENTS_MAX] = {NULL};
    EVP_PKEY *pair = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    size_t pushed = 0;
    for (size_t i = 0; i < COMPONENTS_MAX; i++) {
        numbers[i] = push_number(pool, build, jwk, RSA_PARTS[i].member, RSA_PARTS[i].param);
        pushed += numbers[i] != NULL ? 1 : 0;
    }
    if (pushed == COMPONENTS_MAX)
        pair = pair_from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    for (size_t i = 0; i < COMPONENTS_MAX; i++)
        BN_clear_free(numbers[i]);
    return pair;
}

static EVP_PKEY *ec_pair(pool_t *pool, const json_t *jwk, const char *curve)
{
    str_t x, y;
    EVP_PKEY *pair = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *secret = push_number(pool, build, jwk, "d", OSSL_PKEY_PARAM_PRIV_KEY);
    if (crypt_unbase64(pool, read_json_str(jwk, "x"), &x) &&
        crypt_unbase64(pool, read_json_str(jwk, "y"), &y) && secret != NULL) {
        str_t point = pool_concat(pool, 3, STR("\x04"), x, y);
        if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.base, point.len) == 1)
            pair = pair_from_params("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_clear_free(secret);
    return pair;
}

static void dispose_pair(void *pair)
{
    EVP_PKEY_free(pair);
}

bool token_private_load(pool_t *pool, const json_t *jwk, const char *curve, token_key_t *out)
{
    if (json_object_get(jwk, "d") == NULL)
        return true;
    EVP_PKEY *pair = curve == NULL ? rsa_pair(pool, jwk) : ec_pair(pool, jwk, curve);
    if (pair == NULL)
        return false;
    pool_on_dispose(pool, dispose_pair, pair);
    out->private_key = pair;
    return true;
}

static bool is_secret(const token_key_t *key)
{
    return str_is_null(key->public_jwk) && (key->algs & TOKEN_HMAC_ALGS) != 0;
}

const token_key_t *token_signing_key(const token_keys_t *keys)
{
    const token_key_t *first = NULL;
    for (size_t i = 0; i < keys->count; i++) {
        const token_key_t *key = &keys->keys[i];
        if (key->private_key == NULL && !is_secret(key))
            continue;
        if (key->is_for_signing)
            return key;
        first = first == NULL && !key->is_for_verifying_only ? key : first;
    }
    return first;
}

static jwt_alg_t first_alg(const token_key_t *key)
{
    for (unsigned alg = JWT_ALG_HS256; alg < JWT_ALG_TERM; alg++)
        if ((key->algs & (1u << alg)) != 0)
            return (jwt_alg_t)alg;
    return JWT_ALG_NONE;
}

/* "SHA256" of HS256, RS256, ES256 ...: the digits are the same in all three families. */
static const char *digest_of(jwt_alg_t alg)
{
    const char *name = jwt_alg_str(alg);
    return strcmp(name + 2, "256") == 0 ? "SHA256" : strcmp(name + 2, "384") == 0 ? "SHA384" : "SHA512";
}

/* DER to r || s, each as long as the curve's field. */
static bool flatten_ecdsa(EVP_PKEY *pair, unsigned char *signature, size_t *len)
{
    int half = (EVP_PKEY_get_bits(pair) + 7) / 8;
    const unsigned char *at = signature;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)*len);
    if (parts == NULL)
        return false;
    bool is_ok = BN_bn2binpad(ECDSA_SIG_get0_r(parts), signature, half) == half &&
                 BN_bn2binpad(ECDSA_SIG_get0_s(parts), signature + half, half) == half;
    *len = 2 * (size_t)half;
    ECDSA_SIG_free(parts);
    return is_ok;
}

static bool sign_with_pair(EVP_PKEY *pair, jwt_alg_t alg, str_t input, unsigned char *signature, size_t *len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_ok = EVP_DigestSignInit_ex(ctx, NULL, digest_of(alg), NULL, NULL, pair, NULL) == 1 &&
                 EVP_DigestSign(ctx, signature, len, (const unsigned char *)input.base, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    return is_ok && (EVP_PKEY_get_base_id(pair) != EVP_PKEY_EC || flatten_ecdsa(pair, signature, len));
}

static str_t make_header(pool_t *pool, const token_key_t *key, jwt_alg_t alg)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 96);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "alg", str_from_c(jwt_alg_str(alg)));
    if (!str_is_null(key->kid))
        emit_kv_string(&emit, "kid", key->kid);
    emit_kv_string(&emit, "typ", STR("JWT"));
    emit_object_end(&emit);
    return buf_str(&out);
}

str_t token_sign_with(pool_t *pool, const token_key_t *key, str_t claims_json)
{
    unsigned char signature[SIGNATURE_MAX];
    size_t len = sizeof(signature);
    jwt_alg_t alg = first_alg(key);
    str_t input = pool_concat(pool, 3, crypt_base64url(pool, make_header(pool, key, alg)), STR("."),
                              crypt_base64url(pool, claims_json));
    bool is_ok = key->private_key != NULL
                     ? sign_with_pair(key->private_key, alg, input, signature, &len)
                     : EVP_Q_mac(NULL, "HMAC", NULL, digest_of(alg), NULL, key->material.base,
                                 key->material.len, (const unsigned char *)input.base, input.len, signature,
                                 sizeof(signature), &len) != NULL;
    if (!is_ok)
        return STR_NULL;
    return pool_concat(pool, 3, input, STR("."),
                       crypt_base64url(pool, str_make((const char *)signature, len)));
}
