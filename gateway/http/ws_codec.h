/* The bytes of RFC 6455: frame heads, masks, close codes, the handshake's answer. No state, no I/O. */
#ifndef HTTP_WS_CODEC_H
#define HTTP_WS_CODEC_H

#include "base/pool.h"

typedef enum {
    WS_OP_CONTINUATION = 0,
    WS_OP_TEXT = 1,
    WS_OP_BINARY = 2,
    WS_OP_CLOSE = 8,
    WS_OP_PING = 9,
    WS_OP_PONG = 10
} ws_opcode_t;

#define WS_CONTROL_MAX 125
#define WS_SERVER_HEAD_MAX 10

typedef struct {
    ws_opcode_t opcode;
    bool is_last;
    size_t head_len;
    uint64_t payload_len;
    uint8_t mask[4];
} ws_head_t;

typedef enum { WS_HEAD_INCOMPLETE, WS_HEAD_GOOD, WS_HEAD_BAD } ws_head_result_t;

/* Reads the head of a client's frame. Bad (close with 1002): reserved bits, unknown opcode, no mask, length
 * not in its shortest form, long or fragmented control frame. */
ws_head_result_t ws_parse_head(str_t bytes, ws_head_t *out);

/* Takes the mask off, in place. */
void ws_unmask(char *bytes, size_t len, const uint8_t mask[4]);

/* Head of an unmasked, unfragmented frame; returns its length. */
size_t ws_build_head(uint8_t out[WS_SERVER_HEAD_MAX], ws_opcode_t opcode, size_t payload_len);

/* Codes that may stand in a close frame (section 7.4). */
bool ws_is_close_code(uint16_t code);

/* Sec-WebSocket-Key must be the base64 of 16 bytes. */
bool ws_is_key(pool_t *pool, str_t key);
str_t ws_accept_key(pool_t *pool, str_t key);

#endif
