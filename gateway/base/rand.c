#include "base/rand.h"

#include "base/crypt.h"

#include <limits.h>
#include <openssl/rand.h>
#include <stdlib.h>

void rand_bytes(void *out, size_t len)
{
    if (len > INT_MAX || RAND_bytes(out, (int)len) != 1)
        abort();
}

uint64_t rand_uint64(void)
{
    uint64_t value;
    rand_bytes(&value, sizeof(value));
    return value;
}

str_t rand_hex(pool_t *pool, size_t bytes)
{
    uint8_t *raw = pool_alloc(pool, bytes);
    rand_bytes(raw, bytes);
    str_t hex = crypt_hex(pool, raw, bytes);
    crypt_wipe(raw, bytes);
    return hex;
}

str_t rand_uuid(pool_t *pool)
{
    uint8_t b[16];
    rand_bytes(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    return pool_printf(pool, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                       b[14], b[15]);
}

str_t rand_base32(pool_t *pool, size_t len)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    char *text = pool_alloc(pool, len + 1);
    rand_bytes(text, len);
    for (size_t i = 0; i < len; i++)
        text[i] = alphabet[(unsigned char)text[i] & 31];
    text[len] = '\0';
    return str_make(text, len);
}
