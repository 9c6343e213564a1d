#include "http/ws.h"

#include "base/clock.h"
#include "base/observe.h"
#include "http/ws_internal.h"

#include <stdlib.h>

#define FRAMES_PER_WRITE 64
#define CLOSE_TIMEOUT_MS 3000
#define CODE_ABNORMAL 1006
#define CODE_OVERFLOW 1013

/* --- frames --- */

ws_frame_t *ws_frame_make(ws_opcode_t opcode, str_t payload)
{
    uint8_t head[WS_SERVER_HEAD_MAX];
    size_t head_len = ws_build_head(head, opcode, payload.len);
    ws_frame_t *frame = h2o_mem_alloc(sizeof(*frame) + head_len + payload.len);
    frame->refs = 1;
    frame->len = head_len + payload.len;
    memcpy(frame->bytes, head, head_len);
    if (payload.len != 0)
        memcpy(frame->bytes + head_len, payload.base, payload.len);
    return frame;
}

ws_frame_t *ws_frame_create(bool is_text, str_t payload)
{
    return ws_frame_make(is_text ? WS_OP_TEXT : WS_OP_BINARY, payload);
}

ws_frame_t *ws_frame_ref(ws_frame_t *frame)
{
    frame->refs++;
    return frame;
}

void ws_frame_unref(ws_frame_t *frame)
{
    if (frame != NULL && --frame->refs == 0)
        free(frame);
}

/* --- the queue --- */

static ws_frame_t **ring_at(const ws_t *ws, size_t index)
{
    return &ws->ring[(ws->ring_first + index) & (ws->ring_size - 1)];
}

/* Takes over the reference. */
static void ring_push(ws_t *ws, ws_frame_t *frame)
{
    if (ws->ring_count == ws->ring_size) {
        size_t size = ws->ring_size != 0 ? ws->ring_size * 2 : 4;
        ws_frame_t **ring = h2o_mem_alloc(size * sizeof(ws_frame_t *));
        for (size_t i = 0; i < ws->ring_count; i++)
            ring[i] = *ring_at(ws, i);
        free(ws->ring);
        ws->ring = ring;
        ws->ring_size = size;
        ws->ring_first = 0;
    }
    ws->ring_count++;
    *ring_at(ws, ws->ring_count - 1) = frame;
    ws->queued_bytes += frame->len;
}

static void ring_shift(ws_t *ws, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ws_frame_t *frame = *ring_at(ws, 0);
        ws->queued_bytes -= frame->len;
        ws->ring_first = (ws->ring_first + 1) & (ws->ring_size - 1);
        ws->ring_count--;
        ws_frame_unref(frame);
    }
    if (ws->ring_count == 0) { /* an idle socket holds no memory for its queue */
        free(ws->ring);
        ws->ring = NULL;
        ws->ring_size = ws->ring_first = 0;
    }
}

/* Drops what is not being written. */
static void ring_cut(ws_t *ws)
{
    while (ws->ring_count > ws->in_flight) {
        ws_frame_t *frame = *ring_at(ws, ws->ring_count - 1);
        ws->queued_bytes -= frame->len;
        ws->ring_count--;
        ws_frame_unref(frame);
    }
}

void ws_schedule(ws_t *ws)
{
    http_server_schedule_flush(ws->server, &ws->flush);
}

void ws_send_frame(ws_t *ws, ws_frame_t *frame)
{
    if (ws->state > WS_STATE_OPEN)
        return;
    if (ws->queued_bytes + frame->len > ws->limits.queue_max) {
        observe(LOG_INFO, "ws_slow_consumer", F_CSTR("client", ws->client_addr),
                F_INT("queued_bytes", (int64_t)ws->queued_bytes));
        ws_begin_close(ws, CODE_OVERFLOW, STR("too slow"), true);
        return;
    }
    ring_push(ws, ws_frame_ref(frame));
    ws_schedule(ws);
}

void ws_send(ws_t *ws, bool is_text, str_t payload)
{
    if (ws->state > WS_STATE_OPEN)
        return;
    ws_frame_t *frame = ws_frame_create(is_text, payload);
    ws_send_frame(ws, frame);
    ws_frame_unref(frame);
}

size_t ws_queued_bytes(const ws_t *ws)
{
    return ws->queued_bytes;
}

str_t ws_client_addr(const ws_t *ws)
{
    return str_from_c(ws->client_addr);
}

/* --- closing --- */

void ws_die(ws_t *ws, uint16_t code)
{
    if (ws->state == WS_STATE_DEAD)
        return;
    if (ws->close_code == 0)
        ws->close_code = code;
    ws->state = WS_STATE_DEAD;
    loop_timer_stop(&ws->timer);
    if (ws->sock != NULL && h2o_socket_is_reading(ws->sock))
        h2o_socket_read_stop(ws->sock);
    ws_schedule(ws);
}

static void on_close_timeout(void *arg)
{
    ws_t *ws = arg;
    ws_die(ws, ws->close_code);
}

void ws_begin_close(ws_t *ws, uint16_t code, str_t reason, bool drop_queue)
{
    if (ws->state > WS_STATE_OPEN)
        return;
    if (ws->close_code == 0)
        ws->close_code = code;
    if (drop_queue)
        ring_cut(ws);
    char payload[WS_CONTROL_MAX];
    size_t len = 0;
    if (code != 1005) { /* "no code": an empty frame */
        payload[0] = (char)(code >> 8);
        payload[1] = (char)(code & 0xff);
        str_t cut = str_slice(reason, 0, WS_CONTROL_MAX - 2);
        if (cut.len != 0)
            memcpy(payload + 2, cut.base, cut.len);
        len = 2 + cut.len;
    }
    ring_push(ws, ws_frame_make(WS_OP_CLOSE, str_make(payload, len)));
    ws->state = WS_STATE_CLOSING;
    loop_timer_start(ws->server->loop, &ws->timer, CLOSE_TIMEOUT_MS, on_close_timeout, ws);
    ws_schedule(ws);
}

void ws_close(ws_t *ws, uint16_t code, str_t reason)
{
    ws_begin_close(ws, code, reason, false);
}

void ws_on_conn_gone(ws_t *ws)
{
    ws->conn = NULL;
    ws->sock = NULL;
}

void ws_drain(ws_t *ws)
{
    if (ws->state > WS_STATE_OPEN)
        return;
    if (ws->handlers.on_drain != NULL)
        ws->handlers.on_drain(ws->arg, ws);
    else
        ws_begin_close(ws, 1001, STR("shutting down"), false);
}

static void ws_free(ws_t *ws)
{
    http_conn_t *conn = ws->conn;
    loop_timer_stop(&ws->timer);
    if (h2o_linklist_is_linked(&ws->flush.link))
        h2o_linklist_unlink(&ws->flush.link);
    if (conn != NULL)
        conn->ws = NULL;
    if (ws->sock != NULL)
        h2o_socket_close(ws->sock); /* libh2o lets go of the bytes in flight here */
    ws->in_flight = 0;
    ring_cut(ws);
    free(ws->ring);
    ws_frame_unref(ws->pong);
    buf_dispose(&ws->message);
    ws->handlers.on_closed(ws->arg, ws->close_code != 0 ? ws->close_code : CODE_ABNORMAL);
    free(ws);
}

/* --- writing --- */

static void on_written(h2o_socket_t *sock, const char *err)
{
    ws_t *ws = sock->data;
    ring_shift(ws, ws->in_flight);
    ws->in_flight = 0;
    if (err != NULL)
        ws_die(ws, CODE_ABNORMAL);
    else if (ws->is_close_sent && ws->is_close_received)
        ws_die(ws, ws->close_code);
    else if (ws->is_close_sent && ws->is_deaf)
        shutdown(h2o_socket_get_fd(sock), SHUT_WR);
    else if (ws->ring_count != 0 || ws->pong != NULL)
        ws_schedule(ws);
}

static void write_queue(ws_t *ws)
{
    if (ws->pong != NULL && ws->state == WS_STATE_OPEN) {
        ring_push(ws, ws->pong);
        ws->pong = NULL;
    }
    h2o_iovec_t parts[FRAMES_PER_WRITE];
    size_t count = 0;
    while (count < ws->ring_count && count < FRAMES_PER_WRITE) {
        ws_frame_t *frame = *ring_at(ws, count);
        parts[count++] = h2o_iovec_init(frame->bytes, frame->len);
    }
    if (count == 0)
        return;
    ws->in_flight = count;
    ws->is_close_sent = ws->state == WS_STATE_CLOSING && count == ws->ring_count;
    h2o_socket_write(ws->sock, parts, count, on_written);
}

void ws_on_flush(void *arg)
{
    ws_t *ws = arg;
    if (ws->has_early_input && ws->sock != NULL) {
        ws->has_early_input = false;
        ws_receive(ws);
    }
    if (ws->state == WS_STATE_DEAD && !ws->is_upgrading)
        ws_free(ws);
    else if (ws->state != WS_STATE_DEAD && ws->sock != NULL && ws->in_flight == 0)
        write_queue(ws);
}
