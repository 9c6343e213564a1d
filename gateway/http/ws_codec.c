#include "http/ws_codec.h"

#include "base/crypt.h"

#include <openssl/sha.h>

ws_head_result_t ws_parse_head(str_t bytes, ws_head_t *out)
{
    if (bytes.len < 2)
        return WS_HEAD_INCOMPLETE;
    const uint8_t *b = (const uint8_t *)bytes.base;
    unsigned opcode = b[0] & 0x0f, short_len = b[1] & 0x7f;
    bool is_control = opcode >= WS_OP_CLOSE;
    out->opcode = (ws_opcode_t)opcode;
    out->is_last = (b[0] & 0x80) != 0;
    bool is_known = opcode <= WS_OP_BINARY || (is_control && opcode <= WS_OP_PONG);
    if ((b[0] & 0x70) != 0 || !is_known || (b[1] & 0x80) == 0)
        return WS_HEAD_BAD;
    if (is_control && (!out->is_last || short_len > WS_CONTROL_MAX))
        return WS_HEAD_BAD;
    size_t len_bytes = short_len == 127 ? 8 : short_len == 126 ? 2 : 0;
    out->head_len = 2 + len_bytes + 4;
    if (bytes.len < out->head_len)
        return WS_HEAD_INCOMPLETE;
    out->payload_len = len_bytes == 0 ? short_len : 0;
    for (size_t i = 0; i < len_bytes; i++)
        out->payload_len = out->payload_len << 8 | b[2 + i];
    bool is_shortest =
        len_bytes == 0 || (len_bytes == 2 && out->payload_len > 125) || out->payload_len > 0xffff;
    if (!is_shortest || out->payload_len >> 63 != 0)
        return WS_HEAD_BAD;
    memcpy(out->mask, b + 2 + len_bytes, 4);
    return WS_HEAD_GOOD;
}

void ws_unmask(char *bytes, size_t len, const uint8_t mask[4])
{
    uint64_t wide, word;
    memcpy(&wide, mask, 4);
    memcpy((char *)&wide + 4, mask, 4);
    size_t at = 0;
    for (; at + sizeof(word) <= len; at += sizeof(word)) {
        memcpy(&word, bytes + at, sizeof(word));
        word ^= wide;
        memcpy(bytes + at, &word, sizeof(word));
    }
    for (; at < len; at++)
        bytes[at] = (char)(bytes[at] ^ mask[at & 3]);
}

size_t ws_build_head(uint8_t out[WS_SERVER_HEAD_MAX], ws_opcode_t opcode, size_t payload_len)
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (payload_len <= 125) {
        out[1] = (uint8_t)payload_len;
        return 2;
    }
    size_t len_bytes = payload_len <= 0xffff ? 2 : 8;
    out[1] = len_bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < len_bytes; i++)
        out[2 + i] = (uint8_t)((uint64_t)payload_len >> (8 * (len_bytes - 1 - i)));
    return 2 + len_bytes;
}

bool ws_is_close_code(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

bool ws_is_key(pool_t *pool, str_t key)
{
    str_t bytes;
    return key.len == 24 && crypt_unbase64(pool, key, &bytes) && bytes.len == 16;
}

str_t ws_accept_key(pool_t *pool, str_t key)
{
    str_t text = pool_concat(pool, 2, key, STR("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1((const unsigned char *)text.base, text.len, digest);
    return crypt_base64(pool, str_make((const char *)digest, sizeof(digest)));
}
