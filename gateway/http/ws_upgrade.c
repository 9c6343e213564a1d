#include "base/clock.h"
#include "base/observe.h"
#include "http/ws_internal.h"

#define CODE_IDLE 1000
#define CODE_ABNORMAL 1006

static void refuse(http_request_t *request, int status, const char *reason)
{
    if (status == 426) {
        http_add_header(request, STR("Upgrade"), STR("websocket"));
        http_add_header(request, STR("Sec-WebSocket-Version"), STR("13"));
    }
    str_t body = pool_printf(request->pool, "{\"message\":\"%s\"}", reason);
    http_send(request, status, STR("application/json; charset=utf-8"), body);
}

static bool is_refused(http_request_t *request)
{
    const h2o_req_t *native = request->native;
    str_t upgrade = str_make(native->upgrade.base, native->upgrade.len);
    if (!str_eq(http_method(request), STR("GET")) || native->version != 0x101 || native->entity.len != 0)
        refuse(request, 400, "a websocket begins with a GET of HTTP/1.1 without a body");
    else if (!str_eq_nocase(upgrade, STR("websocket")))
        refuse(request, 426, "expected a websocket upgrade");
    else if (!str_eq(http_header(request, "sec-websocket-version"), STR("13")))
        refuse(request, 426, "only websocket version 13 is spoken here");
    else if (!ws_is_key(request->pool, http_header(request, "sec-websocket-key")))
        refuse(request, 400, "the websocket key is malformed");
    else
        return false;
    return true;
}

/* Looks at the time of the last frame instead of being restarted by each. */
static void on_idle_timer(void *arg)
{
    ws_t *ws = arg;
    int64_t idle_ms = (clock_mono_us() - ws->last_frame_us) / 1000;
    int64_t left_ms = ws->limits.idle_timeout_ms - idle_ms;
    if (left_ms <= 0)
        ws_begin_close(ws, CODE_IDLE, STR("idle"), false);
    else
        loop_timer_start(ws->server->loop, &ws->timer, left_ms, on_idle_timer, ws);
}

ws_t *ws_upgrade(http_request_t *request, const ws_limits_t *limits, const ws_handlers_t *handlers, void *arg)
{
    if (request->state != HTTP_STATE_OPEN) {
        observe(LOG_ERROR, "http_answered_twice", F_INT("status", 101), F_STR("path", request->path));
        return NULL;
    }
    if (is_refused(request))
        return NULL;
    http_conn_t *conn = request->conn;
    ws_t *ws = h2o_mem_alloc(sizeof(*ws));
    *ws = (ws_t){.server = conn->server,
                 .conn = conn,
                 .is_upgrading = true,
                 .handlers = *handlers,
                 .arg = arg,
                 .limits = *limits,
                 .state = WS_STATE_OPENING};
    ws->flush = (http_flush_t){.fn = ws_on_flush, .arg = ws};
    ws->last_frame_us = clock_mono_us();
    str_t addr = str_slice(request->client_addr, 0, sizeof(ws->client_addr) - 1);
    memcpy(ws->client_addr, addr.base, addr.len);
    if (limits->idle_timeout_ms > 0)
        loop_timer_start(conn->server->loop, &ws->timer, limits->idle_timeout_ms, on_idle_timer, ws);
    conn->ws = ws;
    str_t accept = ws_accept_key(request->pool, http_header(request, "sec-websocket-key"));
    http_add_header(request, STR("Upgrade"), STR("websocket"));
    http_add_header(request, STR("Sec-WebSocket-Accept"), accept);
    http_begin_answer(request, 101);
    request->state = HTTP_STATE_ANSWERED;
    http_request_detach_handles(request);
    http_conn_unwatch_client(conn);
    h2o_http1_upgrade(request->native, NULL, 0, ws_on_upgraded, ws);
    return ws;
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    ws_t *ws = sock->data;
    if (err != NULL)
        ws_die(ws, CODE_ABNORMAL);
    else
        ws_receive(ws);
}

void ws_on_upgraded(void *data, h2o_socket_t *sock, size_t request_len)
{
    ws_t *ws = data;
    ws->is_upgrading = false;
    if (sock == NULL) { /* the connection broke, and libh2o has closed it */
        ws_die(ws, CODE_ABNORMAL);
        ws_schedule(ws);
        return;
    }
    ws->sock = sock;
    sock->data = ws;
    h2o_buffer_consume(&sock->input, request_len);
    ws->has_early_input = sock->input->size != 0;
    if (ws->state == WS_STATE_OPENING)
        ws->state = WS_STATE_OPEN;
    if (ws->state != WS_STATE_DEAD)
        h2o_socket_read_start(sock, on_readable);
    ws_schedule(ws); /* frames may lie in the buffer already, and in the queue */
}
