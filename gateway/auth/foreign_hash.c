#include "auth/foreign_hash.h"

#include "base/crypt.h"

#include <argon2.h>
#include <openssl/evp.h>

#define ARGON_MEMORY_KIB_MAX (1024 * 1024)
#define ARGON_TIME_MAX 20
#define ARGON_LANES_MAX 16
#define SCRYPT_MEMORY_MAX (256UL * 1024 * 1024)
#define SCRYPT_ROUNDS_MAX 64
#define SCRYPT_LANES_MAX 16
#define SCRYPT_KEY_LEN 32
#define HASH_MAX 128

/* The value of "name=" at the start of `*rest`, up to `end`, which is taken too. */
static bool take_field(str_t *rest, const char *name, char end, str_t *value)
{
    str_t prefix = str_from_c(name);
    if (str_is_null(*rest) || !str_starts_with(*rest, prefix))
        return false;
    *rest = str_slice(*rest, prefix.len, rest->len);
    if (str_find_char(*rest, end, 0) == SIZE_MAX)
        return false;
    *value = str_split(rest, end);
    return true;
}

static bool take_number(str_t *rest, const char *name, char end, int64_t max, int64_t *value)
{
    str_t text;
    return take_field(rest, name, end, &text) && str_to_int64(text, value) && *value > 0 && *value <= max;
}

static bool is_filled_base64(pool_t *pool, str_t text, str_t *bytes)
{
    return text.len > 0 && crypt_unbase64(pool, text, bytes) && bytes->len > 0;
}

bool argon_is_hash(pool_t *pool, str_t hash)
{
    str_t rest = hash, salt, bytes;
    int64_t version = 0, memory = 0, time = 0, lanes = 0;
    if (str_starts_with(rest, STR("$argon2id$")))
        rest = str_slice(rest, 10, rest.len);
    else if (str_starts_with(rest, STR("$argon2i$")))
        rest = str_slice(rest, 9, rest.len);
    else
        return false;
    return take_number(&rest, "v=", '$', 19, &version) && version == 19 &&
           take_number(&rest, "m=", ',', ARGON_MEMORY_KIB_MAX, &memory) &&
           take_number(&rest, "t=", ',', ARGON_TIME_MAX, &time) &&
           take_number(&rest, "p=", '$', ARGON_LANES_MAX, &lanes) && take_field(&rest, "", '$', &salt) &&
           is_filled_base64(pool, salt, &bytes) && is_filled_base64(pool, rest, &bytes) &&
           bytes.len <= HASH_MAX;
}

bool argon_verify(pool_t *pool, str_t password, str_t hash)
{
    argon2_type type = str_starts_with(hash, STR("$argon2id$")) ? Argon2_id : Argon2_i;
    return argon_is_hash(pool, hash) &&
           argon2_verify(pool_cstr(pool, hash), password.base, password.len, type) == ARGON2_OK;
}

typedef struct {
    int64_t log_n, r, p;
    str_t separator, signer, salt, hash;
} firebase_t;

static bool read_firebase(pool_t *pool, str_t hash, firebase_t *out)
{
    str_t rest = hash, separator, signer, salt;
    int64_t version = 0;
    if (!str_starts_with(rest, STR("$fbscrypt$")))
        return false;
    rest = str_slice(rest, 10, rest.len);
    if (!take_number(&rest, "v=", ',', 1, &version) || !take_number(&rest, "n=", ',', 20, &out->log_n) ||
        !take_number(&rest, "r=", ',', SCRYPT_ROUNDS_MAX, &out->r) ||
        !take_number(&rest, "p=", ',', SCRYPT_LANES_MAX, &out->p) ||
        !take_field(&rest, "ss=", ',', &separator) || !take_field(&rest, "sk=", '$', &signer) ||
        !take_field(&rest, "", '$', &salt))
        return false;
    return is_filled_base64(pool, separator, &out->separator) &&
           is_filled_base64(pool, signer, &out->signer) && is_filled_base64(pool, salt, &out->salt) &&
           is_filled_base64(pool, rest, &out->hash) && out->signer.len <= HASH_MAX &&
           out->hash.len == out->signer.len;
}

bool firebase_is_hash(pool_t *pool, str_t hash)
{
    firebase_t parts;
    return read_firebase(pool, hash, &parts);
}

/* The signer key, encrypted by AES-256-CTR under what scrypt makes of the password. */
static bool encrypt_signer(const firebase_t *parts, const unsigned char *key, unsigned char *out)
{
    static const unsigned char ZERO_IV[16] = {0};
    int len = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool is_ok = EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, key, ZERO_IV) == 1 &&
                 EVP_EncryptUpdate(ctx, out, &len, (const unsigned char *)parts->signer.base,
                                   (int)parts->signer.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return is_ok && (size_t)len == parts->signer.len;
}

bool firebase_verify(pool_t *pool, str_t password, str_t hash)
{
    firebase_t parts;
    unsigned char key[SCRYPT_KEY_LEN], encrypted[HASH_MAX + 16];
    if (!read_firebase(pool, hash, &parts))
        return false;
    str_t salt = pool_concat(pool, 2, parts.salt, parts.separator);
    bool is_ok = EVP_PBE_scrypt(password.base, password.len, (const unsigned char *)salt.base, salt.len,
                                1ULL << parts.log_n, (uint64_t)parts.r, (uint64_t)parts.p, SCRYPT_MEMORY_MAX,
                                key, sizeof(key)) == 1 &&
                 encrypt_signer(&parts, key, encrypted);
    crypt_wipe(key, sizeof(key));
    return is_ok && crypt_equal(str_make((const char *)encrypted, parts.signer.len), parts.hash);
}
