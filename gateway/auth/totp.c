#include "auth/totp.h"

#include "base/buf.h"
#include "base/crypt.h"
#include "base/rand.h"

#include <openssl/evp.h>
#include <qrencode.h>

#define STEP_SECONDS 30
#define SECRET_LEN 32
#define MODULE_PIXELS 5
#define QUIET_MODULES 4

str_t totp_make_secret(pool_t *pool)
{
    str_t secret = rand_base32(pool, SECRET_LEN);
    char *text = pool_cstr(pool, secret);
    for (size_t i = 0; i < secret.len; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] = (char)(text[i] - 32);
    return str_make(text, secret.len);
}

static bool decode_base32(str_t text, uint8_t *out, size_t *len)
{
    uint32_t bits = 0;
    unsigned count = 0;
    *len = 0;
    for (size_t i = 0; i < text.len && text.base[i] != '='; i++) {
        char c = text.base[i];
        int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                    : c >= 'a' && c <= 'z' ? c - 'a'
                    : c >= '2' && c <= '7' ? c - '2' + 26
                                           : -1;
        if (digit < 0 || *len >= 64)
            return false;
        bits = (bits << 5 | (uint32_t)digit) & 0xffff;
        count += 5;
        if (count >= 8) {
            count -= 8;
            out[(*len)++] = (uint8_t)(bits >> count);
        }
    }
    return *len > 0;
}

str_t totp_code(pool_t *pool, str_t secret, int64_t unix_time)
{
    uint8_t key[64], counter[8], mac[EVP_MAX_MD_SIZE];
    size_t key_len = 0, mac_len = 0;
    if (!decode_base32(secret, key, &key_len))
        return STR_NULL;
    uint64_t step = (uint64_t)(unix_time / STEP_SECONDS);
    for (size_t i = 0; i < 8; i++)
        counter[i] = (uint8_t)(step >> (56 - 8 * i));
    EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, key, key_len, counter, sizeof(counter), mac, sizeof(mac),
              &mac_len);
    crypt_wipe(key, sizeof(key));
    size_t at = mac[mac_len - 1] & 15;
    uint32_t value = (uint32_t)(mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 |
                     (uint32_t)mac[at + 2] << 8 | mac[at + 3];
    return pool_printf(pool, "%06u", value % 1000000);
}

bool totp_is_valid(pool_t *pool, str_t secret, str_t code, int64_t unix_time)
{
    bool is_valid = false;
    for (int64_t skew = -1; skew <= 1; skew++) {
        str_t expected = totp_code(pool, secret, unix_time + skew * STEP_SECONDS);
        is_valid |= !str_is_null(expected) && crypt_equal(expected, code);
    }
    return is_valid;
}

static void append_escaped(buf_t *out, str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        strchr("-_.~@", c) != NULL;
        if (is_plain && c != '\0')
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

str_t totp_uri(pool_t *pool, str_t issuer, str_t account, str_t secret)
{
    buf_t out;
    buf_init(&out, pool, 256);
    buf_append_lit(&out, "otpauth://totp/");
    append_escaped(&out, issuer);
    buf_append_char(&out, ':');
    append_escaped(&out, account);
    buf_append_lit(&out, "?algorithm=SHA1&digits=6&issuer=");
    append_escaped(&out, issuer);
    buf_append_lit(&out, "&period=30&secret=");
    buf_append_str(&out, secret);
    return buf_str(&out);
}

str_t totp_qr_svg(pool_t *pool, str_t text)
{
    buf_t out;
    QRcode *code = QRcode_encodeString8bit(pool_cstr(pool, text), 0, QR_ECLEVEL_M);
    if (code == NULL)
        return STR_NULL;
    int side = (code->width + 2 * QUIET_MODULES) * MODULE_PIXELS;
    buf_init(&out, pool, 16 * 1024);
    buf_printf(&out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
               "shape-rendering=\"crispEdges\"><rect width=\"%d\" height=\"%d\" fill=\"#fff\"/><path "
               "fill=\"#000\" d=\"",
               side, side, side, side, side, side);
    for (int y = 0; y < code->width; y++)
        for (int x = 0; x < code->width; x++)
            if ((code->data[y * code->width + x] & 1) != 0)
                buf_printf(&out, "M%d %dh%dv%dh-%dz", (x + QUIET_MODULES) * MODULE_PIXELS,
                           (y + QUIET_MODULES) * MODULE_PIXELS, MODULE_PIXELS, MODULE_PIXELS, MODULE_PIXELS);
    buf_append_lit(&out, "\"/></svg>");
    QRcode_free(code);
    return buf_str(&out);
}
