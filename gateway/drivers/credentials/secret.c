#include "drivers/credentials/secret.h"

#include "base/crypt.h"

enum { IV_LEN = 16, KEY_LEN = 32 };

static const char PREFIX[] = "enc:v1:";

/* PostgreSQL breaks base64 after 76 characters. */
static str_t without_space(pool_t *pool, str_t text)
{
    char *out = pool_alloc(pool, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.base[i] != '\n' && text.base[i] != '\r' && text.base[i] != ' ')
            out[len++] = text.base[i];
    return str_make(out, len);
}

static bool unbase64(pool_t *pool, str_t text, str_t *out)
{
    return crypt_unbase64(pool, without_space(pool, text), out);
}

static void derive(str_t master, str_t purpose, pool_t *pool, uint8_t out[CRYPT_SHA256_LEN])
{
    crypt_hmac_sha256(master, pool_concat(pool, 2, STR("basalt secret v1 "), purpose), out);
}

static bool decrypt_v1(pool_t *pool, str_t master, str_t raw, str_t *out)
{
    uint8_t key[CRYPT_SHA256_LEN], mac[CRYPT_SHA256_LEN];
    if (raw.len < IV_LEN + 16 + CRYPT_SHA256_LEN)
        return false;
    str_t body = str_slice(raw, 0, raw.len - CRYPT_SHA256_LEN);
    derive(master, STR("authentication"), pool, key);
    crypt_hmac_sha256(str_make((char *)key, sizeof(key)), body, mac);
    bool is_good = crypt_equal(str_make((char *)mac, sizeof(mac)), str_slice(raw, body.len, raw.len));
    derive(master, STR("encryption"), pool, key);
    is_good = is_good &&
              crypt_aes256_cbc_decrypt(pool, str_make((char *)key, sizeof(key)), str_slice(body, 0, IV_LEN),
                                       str_slice(body, IV_LEN, body.len), out);
    crypt_wipe(key, sizeof(key));
    return is_good;
}

static bool decrypt_legacy(pool_t *pool, str_t master, str_t raw, str_t *out)
{
    static const char ZERO_IV[IV_LEN];
    char key[KEY_LEN] = {0};
    if (master.len <= 24) /* AES-128 and -192 keys: no installation has ever made one */
        return false;
    memcpy(key, master.base, master.len < KEY_LEN ? master.len : KEY_LEN);
    bool is_good =
        crypt_aes256_cbc_decrypt(pool, str_make(key, KEY_LEN), str_make(ZERO_IV, IV_LEN), raw, out) &&
        str_is_utf8(*out);
    crypt_wipe(key, sizeof(key));
    return is_good;
}

bool secret_decrypt(pool_t *pool, str_t key, str_t text, str_t *out)
{
    str_t master, raw, prefix = str_from_c(PREFIX);
    if (key.len == 0 || text.len == 0 || !unbase64(pool, key, &master))
        return false;
    bool is_v1 = str_starts_with(text, prefix);
    bool is_good = unbase64(pool, is_v1 ? str_slice(text, prefix.len, text.len) : text, &raw) &&
                   (is_v1 ? decrypt_v1(pool, master, raw, out) : decrypt_legacy(pool, master, raw, out));
    crypt_wipe((char *)master.base, master.len);
    return is_good;
}
