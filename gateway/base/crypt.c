#include "base/crypt.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

void crypt_init(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

void crypt_sha256(str_t data, uint8_t out[CRYPT_SHA256_LEN])
{
    if (EVP_Digest(data.len != 0 ? data.base : "", data.len, out, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

void crypt_hmac_sha256(str_t key, str_t data, uint8_t out[CRYPT_SHA256_LEN])
{
    unsigned len;
    if (key.len > INT_MAX ||
        HMAC(EVP_sha256(), key.len != 0 ? key.base : "", (int)key.len,
             (const unsigned char *)(data.len != 0 ? data.base : ""), data.len, out, &len) == NULL)
        abort();
}

str_t crypt_sha256_hex(pool_t *pool, str_t data)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    crypt_sha256(data, digest);
    return crypt_hex(pool, digest, sizeof(digest));
}

str_t crypt_hmac_sha256_hex(pool_t *pool, str_t key, str_t data)
{
    uint8_t mac[CRYPT_SHA256_LEN];
    crypt_hmac_sha256(key, data, mac);
    return crypt_hex(pool, mac, sizeof(mac));
}

str_t crypt_md5_hex(pool_t *pool, str_t data)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len;
    if (EVP_Digest(data.len != 0 ? data.base : "", data.len, digest, &len, EVP_md5(), NULL) != 1)
        abort();
    return crypt_hex(pool, digest, len);
}

bool crypt_equal(str_t a, str_t b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.base, b.base, a.len) == 0);
}

str_t crypt_hex(pool_t *pool, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = pool_alloc(pool, len * 2 + 1);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[len * 2] = '\0';
    return str_make(text, len * 2);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool crypt_unhex(pool_t *pool, str_t hex, str_t *out)
{
    if (hex.len % 2 != 0)
        return false;
    char *bytes = pool_alloc(pool, hex.len / 2 + 1);
    for (size_t i = 0; i < hex.len / 2; i++) {
        int high = hex_digit(hex.base[2 * i]), low = hex_digit(hex.base[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (char)(high << 4 | low);
    }
    bytes[hex.len / 2] = '\0';
    *out = str_make(bytes, hex.len / 2);
    return true;
}

static str_t encode64(pool_t *pool, str_t data, const char *alphabet, bool is_padded)
{
    char *text = pool_alloc(pool, data.len / 3 * 4 + 5);
    char *to = text;
    const unsigned char *from = (const unsigned char *)data.base;
    size_t left = data.len;
    for (; left >= 3; left -= 3, from += 3) {
        *to++ = alphabet[from[0] >> 2];
        *to++ = alphabet[(from[0] & 3) << 4 | from[1] >> 4];
        *to++ = alphabet[(from[1] & 15) << 2 | from[2] >> 6];
        *to++ = alphabet[from[2] & 63];
    }
    if (left != 0) {
        *to++ = alphabet[from[0] >> 2];
        *to++ = alphabet[(from[0] & 3) << 4 | (left == 2 ? from[1] >> 4 : 0)];
        if (left == 2)
            *to++ = alphabet[(from[1] & 15) << 2];
        for (size_t pad = left; is_padded && pad < 3; pad++)
            *to++ = '=';
    }
    *to = '\0';
    return str_make(text, (size_t)(to - text));
}

str_t crypt_base64(pool_t *pool, str_t data)
{
    return encode64(pool, data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

str_t crypt_base64url(pool_t *pool, str_t data)
{
    return encode64(pool, data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool crypt_unbase64(pool_t *pool, str_t text, str_t *out)
{
    if (text.len % 4 == 0 && text.len > 0 && text.base[text.len - 1] == '=')
        text.len -= text.base[text.len - 2] == '=' ? 2 : 1;
    if (text.len % 4 == 1)
        return false;
    uint8_t *bytes = pool_alloc(pool, text.len / 4 * 3 + 4);
    size_t len = 0;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.base[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            bytes[len++] = (uint8_t)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    if (bits != 0) /* left-over bits must be zero: one encoding per value (RFC 4648 section 3.5) */
        return false;
    bytes[len] = '\0';
    *out = str_make((const char *)bytes, len);
    return true;
}

static bool aes256_cbc(pool_t *pool, str_t key, str_t iv, str_t in, str_t *out, bool is_encrypting)
{
    if (key.len != 32 || iv.len != 16 || in.len > INT_MAX - 32)
        return false;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL)
        abort();
    unsigned char *bytes = pool_alloc(pool, in.len + 33);
    int len = 0, tail = 0;
    bool is_good = EVP_CipherInit_ex(ctx, EVP_aes_256_cbc(), NULL, (const unsigned char *)key.base,
                                     (const unsigned char *)iv.base, is_encrypting) == 1 &&
                   EVP_CipherUpdate(ctx, bytes, &len, (const unsigned char *)(in.len != 0 ? in.base : ""),
                                    (int)in.len) == 1 &&
                   EVP_CipherFinal_ex(ctx, bytes + len, &tail) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!is_good) {
        crypt_wipe(bytes, in.len + 33);
        return false;
    }
    bytes[len + tail] = '\0';
    *out = str_make((const char *)bytes, (size_t)(len + tail));
    return true;
}

bool crypt_aes256_cbc_encrypt(pool_t *pool, str_t key, str_t iv, str_t plain, str_t *out)
{
    return aes256_cbc(pool, key, iv, plain, out, true);
}

bool crypt_aes256_cbc_decrypt(pool_t *pool, str_t key, str_t iv, str_t cipher, str_t *out)
{
    return aes256_cbc(pool, key, iv, cipher, out, false);
}

void crypt_wipe(void *memory, size_t len)
{
    OPENSSL_cleanse(memory, len);
}

char *crypt_keep(str_t secret)
{
    char *copy = malloc(secret.len + 1);
    if (copy == NULL)
        abort();
    if (secret.len > 0)
        memcpy(copy, secret.base, secret.len);
    copy[secret.len] = '\0';
    return copy;
}

void crypt_forget(char *secret)
{
    if (secret == NULL)
        return;
    crypt_wipe(secret, strlen(secret));
    free(secret);
}
