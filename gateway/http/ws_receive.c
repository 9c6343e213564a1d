#include "base/clock.h"
#include "http/ws_internal.h"

#define CODE_NORMAL 1000
#define CODE_PROTOCOL 1002
#define CODE_NONE 1005
#define CODE_BAD_TEXT 1007
#define CODE_TOO_BIG 1009

static void fail(ws_t *ws, uint16_t code, str_t reason)
{
    ws->is_deaf = true; /* closing at once would reset the connection under our close frame */
    ws_begin_close(ws, code, reason, true);
}

static void deliver(ws_t *ws, ws_opcode_t opcode, str_t bytes)
{
    if (opcode == WS_OP_TEXT && !str_is_utf8(bytes)) {
        fail(ws, CODE_BAD_TEXT, STR("text is not UTF-8"));
        return;
    }
    ws->handlers.on_message(ws->arg, ws, opcode == WS_OP_TEXT, bytes);
}

static void on_data_frame(ws_t *ws, const ws_head_t *head, str_t payload)
{
    bool is_first = head->opcode != WS_OP_CONTINUATION;
    bool has_begun = ws->message_opcode != WS_OP_CONTINUATION;
    if (is_first == has_begun) {
        fail(ws, CODE_PROTOCOL, STR("fragments out of order"));
        return;
    }
    if (is_first && head->is_last) {
        deliver(ws, head->opcode, payload);
        return;
    }
    if (is_first)
        ws->message_opcode = head->opcode;
    buf_append_str(&ws->message, payload);
    if (!head->is_last)
        return;
    ws_opcode_t opcode = ws->message_opcode;
    buf_t message = ws->message; /* the callback may close the socket */
    buf_init(&ws->message, NULL, 0);
    ws->message_opcode = WS_OP_CONTINUATION;
    deliver(ws, opcode, buf_str(&message));
    buf_dispose(&message);
}

static void on_close_frame(ws_t *ws, str_t payload)
{
    uint16_t code = CODE_NONE;
    if (payload.len >= 2)
        code = (uint16_t)((uint8_t)payload.base[0] << 8 | (uint8_t)payload.base[1]);
    bool is_bad = payload.len == 1 || (payload.len >= 2 && !ws_is_close_code(code));
    if (is_bad || !str_is_utf8(str_slice(payload, 2, payload.len)))
        code = is_bad ? CODE_PROTOCOL : CODE_BAD_TEXT;
    ws->is_close_received = true;
    if (ws->state == WS_STATE_OPEN)
        ws_begin_close(ws, code, STR(""), false);
    else if (ws->is_close_sent && ws->in_flight == 0)
        ws_die(ws, ws->close_code);
}

static void on_control_frame(ws_t *ws, const ws_head_t *head, str_t payload)
{
    if (head->opcode == WS_OP_CLOSE) {
        on_close_frame(ws, payload);
    } else if (head->opcode == WS_OP_PING && ws->state == WS_STATE_OPEN) {
        ws_frame_unref(ws->pong);
        ws->pong = ws_frame_make(WS_OP_PONG, payload);
        ws_schedule(ws);
    }
}

/* Takes one whole frame from the front of the buffer; false when there is none (yet). */
static bool receive_frame(ws_t *ws)
{
    h2o_buffer_t *input = ws->sock->input;
    ws_head_t head;
    ws_head_result_t result = ws_parse_head(str_make(input->bytes, input->size), &head);
    if (result == WS_HEAD_INCOMPLETE)
        return false;
    if (result == WS_HEAD_BAD) {
        fail(ws, CODE_PROTOCOL, STR("bad frame"));
        return false;
    }
    bool is_data = head.opcode < WS_OP_CLOSE;
    if (is_data && head.payload_len > ws->limits.message_max - ws->message.len) {
        fail(ws, CODE_TOO_BIG, STR("message too big"));
        return false;
    }
    size_t frame_len = head.head_len + (size_t)head.payload_len;
    if (input->size < frame_len)
        return false;
    str_t payload = str_make(input->bytes + head.head_len, (size_t)head.payload_len);
    ws_unmask(input->bytes + head.head_len, payload.len, head.mask);
    if (!is_data)
        on_control_frame(ws, &head, payload);
    else if (ws->state == WS_STATE_OPEN)
        on_data_frame(ws, &head, payload);
    h2o_buffer_consume(&ws->sock->input, frame_len);
    ws->last_frame_us = clock_mono_us();
    return true;
}

void ws_receive(ws_t *ws)
{
    while (ws->state != WS_STATE_DEAD && !ws->is_close_received && !ws->is_deaf && ws->sock->input->size != 0)
        if (!receive_frame(ws))
            break;
    if ((ws->is_close_received || ws->is_deaf) && ws->sock->input->size != 0)
        h2o_buffer_consume(&ws->sock->input, ws->sock->input->size);
}
