#include "base/crypt.h"
#include "base/read_json.h"
#include "token/keys.h"
#include "token/sign.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#define RSA_BITS_MIN 2048
#define EC_COORDINATE_MAX 66 /* P-521 */

/* Curve, the one algorithm that goes with it, and its names in the two worlds. */
static const struct {
    const char *jwk_name, *openssl_name;
    size_t coordinate_len;
    jwt_alg_t alg;
} CURVES[] = {
    {"P-256", "prime256v1", 32, JWT_ALG_ES256},
    {"P-384", "secp384r1", 48, JWT_ALG_ES384},
    {"P-521", "secp521r1", 66, JWT_ALG_ES512},
};
#define CURVE_COUNT (sizeof(CURVES) / sizeof(CURVES[0]))

#define RSA_ALGS (TOKEN_ALG_BIT(JWT_ALG_RS256) | TOKEN_ALG_BIT(JWT_ALG_RS384) | TOKEN_ALG_BIT(JWT_ALG_RS512))

static bool pkey_to_pem(pool_t *pool, EVP_PKEY *pkey, str_t *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool is_ok = bio != NULL && PEM_write_bio_PUBKEY(bio, pkey) == 1;
    if (is_ok) {
        char *bytes = NULL;
        long len = BIO_get_mem_data(bio, &bytes);
        *out = pool_str(pool, str_make(bytes, (size_t)len));
    }
    BIO_free(bio);
    return is_ok;
}

/* True when the public half is a valid key of a size that is still safe. */
static bool is_sound_key(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool is_sound = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_sound && (EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA || EVP_PKEY_bits(pkey) >= RSA_BITS_MIN);
}

static EVP_PKEY *pkey_from_params(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    if (pkey != NULL && !is_sound_key(pkey)) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    return pkey;
}

static EVP_PKEY *rsa_from_jwk(pool_t *pool, const json_t *jwk)
{
    str_t n, e;
    if (!crypt_unbase64(pool, read_json_str(jwk, "n"), &n) ||
        !crypt_unbase64(pool, read_json_str(jwk, "e"), &e) || n.len == 0 || e.len == 0 || n.len > 2048 ||
        e.len > 8)
        return NULL;
    BIGNUM *modulus = BN_bin2bn((const unsigned char *)n.base, (int)n.len, NULL);
    BIGNUM *exponent = BN_bin2bn((const unsigned char *)e.base, (int)e.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        pkey = pkey_from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return pkey;
}

static EVP_PKEY *ec_from_jwk(pool_t *pool, const json_t *jwk, size_t curve)
{
    str_t x, y;
    size_t len = CURVES[curve].coordinate_len;
    if (!crypt_unbase64(pool, read_json_str(jwk, "x"), &x) ||
        !crypt_unbase64(pool, read_json_str(jwk, "y"), &y) || x.len != len || y.len != len)
        return NULL;
    unsigned char point[1 + 2 * EC_COORDINATE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, x.base, len);
    memcpy(point + 1 + len, y.base, len);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, CURVES[curve].openssl_name, 0) ==
            1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * len) == 1)
        pkey = pkey_from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

/* The members that may be shown to the world, in a fixed order. */
static str_t public_members(pool_t *pool, const json_t *jwk)
{
    static const char *const PUBLIC[] = {"kty", "kid", "alg", "use", "crv", "n", "e", "x", "y"};
    json_t *shown = json_object();
    for (size_t i = 0; i < sizeof(PUBLIC) / sizeof(PUBLIC[0]); i++) {
        json_t *value = json_object_get(jwk, PUBLIC[i]);
        if (json_is_string(value))
            json_object_set(shown, PUBLIC[i], value);
    }
    json_object_set_new(shown, "key_ops", json_pack("[s]", "verify"));
    str_t text = read_json_dump(pool, shown);
    json_decref(shown);
    return text;
}

static bool has_op(const json_t *ops, const char *name)
{
    size_t i;
    json_t *op;
    json_array_foreach((json_t *)ops, i, op)
    {
        if (json_is_string(op) && strcmp(json_string_value(op), name) == 0)
            return true;
    }
    return false;
}

/* "use":"enc", or key_ops that name neither verify nor sign, take a key out of the game. */
static bool is_for_signatures(const json_t *jwk, token_key_t *out)
{
    str_t use = read_json_str(jwk, "use");
    json_t *ops = read_json_array(jwk, "key_ops");
    if (!str_is_null(use) && !str_eq(use, STR("sig")))
        return false;
    if (ops == NULL || json_array_size(ops) == 0)
        return true;
    out->is_for_signing = has_op(ops, "sign");
    out->is_for_verifying_only = !out->is_for_signing;
    return out->is_for_signing || has_op(ops, "verify");
}

/* Narrows `family` to the JWK's "alg" when it has one; 0 when that is of another family or unknown. */
static unsigned narrow_algs(const json_t *jwk, unsigned family)
{
    str_t alg = read_json_str(jwk, "alg");
    if (str_is_null(alg))
        return family;
    jwt_alg_t known = jwt_str_alg(alg.base);
    return known == JWT_ALG_INVAL || known == JWT_ALG_NONE || !str_eq(alg, str_from_c(jwt_alg_str(known)))
               ? 0
               : family & TOKEN_ALG_BIT(known);
}

static bool load_oct(pool_t *pool, const json_t *jwk, token_key_t *out)
{
    out->algs = narrow_algs(jwk, TOKEN_HMAC_ALGS);
    return crypt_unbase64(pool, read_json_str(jwk, "k"), &out->material) && out->material.len >= 32;
}

static bool load_public(pool_t *pool, const json_t *jwk, EVP_PKEY *pkey, token_key_t *out)
{
    bool is_ok = pkey != NULL && pkey_to_pem(pool, pkey, &out->material);
    EVP_PKEY_free(pkey);
    out->public_jwk = is_ok ? public_members(pool, jwk) : STR_NULL;
    return is_ok;
}

err_t *token_jwk_load(pool_t *pool, pool_t *errors, const json_t *jwk, token_key_t *out, bool *is_usable)
{
    *out = (token_key_t){0};
    *is_usable = false;
    str_t kty = read_json_str(jwk, "kty");
    str_t kid = read_json_str(jwk, "kid");
    if (str_is_null(kty))
        return err_make(errors, 500, ERR_FAMILY_AUTH, "PGRST300", "A JWK without \"kty\"");
    if (!is_for_signatures(jwk, out))
        return NULL;
    bool is_loaded = true;
    if (str_eq(kty, STR("oct"))) {
        is_loaded = load_oct(pool, jwk, out);
    } else if (str_eq(kty, STR("RSA"))) {
        out->algs = narrow_algs(jwk, RSA_ALGS);
        is_loaded =
            load_public(pool, jwk, rsa_from_jwk(pool, jwk), out) && token_private_load(pool, jwk, NULL, out);
    } else if (str_eq(kty, STR("EC"))) {
        for (size_t i = 0; i < CURVE_COUNT; i++)
            if (str_eq(read_json_str(jwk, "crv"), str_from_c(CURVES[i].jwk_name))) {
                out->algs = narrow_algs(jwk, TOKEN_ALG_BIT(CURVES[i].alg));
                is_loaded = load_public(pool, jwk, ec_from_jwk(pool, jwk, i), out) &&
                            token_private_load(pool, jwk, CURVES[i].openssl_name, out);
            }
    }
    if (!is_loaded)
        return err_make(errors, 500, ERR_FAMILY_AUTH, "PGRST300",
                        "A JWK of type %.*s is malformed or too weak", STR_ARG(kty));
    out->kid = str_is_null(kid) ? STR_NULL : pool_str(pool, kid);
    *is_usable = out->algs != 0;
    return NULL;
}

bool token_pem_load(pool_t *pool, str_t pem, token_key_t *out)
{
    *out = (token_key_t){0};
    BIO *bio = BIO_new_mem_buf(pem.base, (int)pem.len);
    EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (pkey == NULL)
        return false;
    if (is_sound_key(pkey) && EVP_PKEY_base_id(pkey) == EVP_PKEY_RSA)
        out->algs = RSA_ALGS;
    if (is_sound_key(pkey) && EVP_PKEY_base_id(pkey) == EVP_PKEY_EC) {
        char name[64] = "";
        EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name), NULL);
        for (size_t i = 0; i < CURVE_COUNT; i++)
            if (strcmp(name, CURVES[i].openssl_name) == 0)
                out->algs = TOKEN_ALG_BIT(CURVES[i].alg);
    }
    bool is_ok = out->algs != 0 && pkey_to_pem(pool, pkey, &out->material);
    EVP_PKEY_free(pkey);
    return is_ok;
}
