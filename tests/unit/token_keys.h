/* Keys, and tokens signed with them, for the tests of asymmetric algorithms. */
#ifndef TOKEN_KEYS_H
#define TOKEN_KEYS_H

#include "token_test.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static inline EVP_PKEY *make_key(const char *type, const char *curve)
{
    return curve != NULL ? EVP_PKEY_Q_keygen(NULL, NULL, type, curve)
                         : EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)2048);
}

static inline str_t public_pem(pool_t *pool, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key);
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    str_t pem = pool_str(pool, str_make(bytes, (size_t)len));
    BIO_free(bio);
    return pem;
}

static inline str_t public_der(pool_t *pool, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    str_t out = pool_str(pool, str_make((char *)der, (size_t)len));
    OPENSSL_free(der);
    return out;
}

static inline str_t bn_base64url(pool_t *pool, EVP_PKEY *key, const char *param, int len)
{
    BIGNUM *bn = NULL;
    EVP_PKEY_get_bn_param(key, param, &bn);
    int size = len > 0 ? len : BN_num_bytes(bn);
    unsigned char *bytes = pool_alloc(pool, (size_t)size);
    BN_bn2binpad(bn, bytes, size);
    BN_free(bn);
    return crypt_base64url(pool, str_make((char *)bytes, (size_t)size));
}

static inline str_t rsa_jwk(pool_t *pool, EVP_PKEY *key, const char *kid)
{
    return pool_printf(
        pool, "{\"kty\":\"RSA\",\"alg\":\"RS256\",\"use\":\"sig\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"}",
        kid, bn_base64url(pool, key, OSSL_PKEY_PARAM_RSA_N, 0).base,
        bn_base64url(pool, key, OSSL_PKEY_PARAM_RSA_E, 0).base);
}

static inline str_t ec_jwk(pool_t *pool, EVP_PKEY *key, const char *kid)
{
    return pool_printf(pool, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}",
                       kid, bn_base64url(pool, key, OSSL_PKEY_PARAM_EC_PUB_X, 32).base,
                       bn_base64url(pool, key, OSSL_PKEY_PARAM_EC_PUB_Y, 32).base);
}

static inline str_t digest_sign(pool_t *pool, EVP_PKEY *key, str_t input)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = 0;
    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key);
    EVP_DigestSign(ctx, NULL, &len, (const unsigned char *)input.base, input.len);
    unsigned char *signature = pool_alloc(pool, len);
    EVP_DigestSign(ctx, signature, &len, (const unsigned char *)input.base, input.len);
    EVP_MD_CTX_free(ctx);
    return str_make((char *)signature, len);
}

static inline str_t rs256(pool_t *pool, EVP_PKEY *key, const char *header, const char *payload)
{
    str_t input = signing_input(pool, header, str_from_c(payload));
    return pool_concat(pool, 3, input, STR("."), crypt_base64url(pool, digest_sign(pool, key, input)));
}

static inline str_t es256(pool_t *pool, EVP_PKEY *key, const char *header, const char *payload)
{
    str_t input = signing_input(pool, header, str_from_c(payload));
    str_t der = digest_sign(pool, key, input);
    const unsigned char *at = (const unsigned char *)der.base;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    unsigned char raw[64];
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
    ECDSA_SIG_free(pair);
    return pool_concat(pool, 3, input, STR("."), crypt_base64url(pool, str_make((char *)raw, 64)));
}

#endif
