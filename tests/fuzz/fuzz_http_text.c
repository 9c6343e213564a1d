/* Bytes that the HTTP room reads itself: websocket frames, X-Forwarded-For. */
#include "http/client_addr.h"
#include "http/ws_codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frames(pool_t *pool, str_t bytes)
{
    ws_head_t head;
    while (ws_parse_head(bytes, &head) == WS_HEAD_GOOD) {
        bool is_control = head.opcode >= WS_OP_CLOSE;
        if (head.head_len < 6 || head.head_len > 14 ||
            (is_control && (head.payload_len > WS_CONTROL_MAX || !head.is_last)))
            __builtin_trap();
        if (head.payload_len > bytes.len - head.head_len)
            break;
        str_t payload = str_slice(bytes, head.head_len, head.head_len + (size_t)head.payload_len);
        char *copy = pool_cstr(pool, payload);
        ws_unmask(copy, payload.len, head.mask);
        ws_unmask(copy, payload.len, head.mask);
        if (!str_eq(str_make(copy, payload.len), payload))
            __builtin_trap();
        uint8_t built[WS_SERVER_HEAD_MAX];
        if (ws_build_head(built, head.opcode, payload.len) + 4 != head.head_len)
            __builtin_trap();
        bytes = str_slice(bytes, head.head_len + payload.len, bytes.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pool_t *pool = pool_create();
    str_t text = str_make(size != 0 ? (const char *)data : "", size);
    check_frames(pool, text);
    client_addr_set_t *proxies = client_addr_set_create(STR("10.0.0.0/8,fd00::/8,127.0.0.1"));
    str_t found = client_addr_forwarded(proxies, text);
    if (found.len >= CLIENT_ADDR_TEXT_MAX)
        __builtin_trap();
    client_addr_set_destroy(proxies);
    ws_is_key(pool, text);
    pool_destroy(pool);
    return 0;
}
