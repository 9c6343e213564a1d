/* One websocket: frames in, replies out, and the channels that hang on it. */
#include "realtime/inside.h"
#include "realtime/peers.h"

#include "base/observe.h"

#include <stdlib.h>

enum { IDLE_MS = 60000 };

void rt_socket_send(rt_socket_t *socket, str_t join_ref, str_t ref, str_t topic, str_t event, str_t payload)
{
    buf_t *out = &socket->rt->scratch;
    buf_clear(out);
    rt_frame_write(out, socket->vsn, join_ref, ref, topic, event, payload);
    ws_send(socket->ws, true, buf_str(out));
}

void rt_socket_reply(rt_socket_t *socket, const rt_message_t *message, bool is_ok, str_t response)
{
    buf_t payload;
    buf_init(&payload, NULL, response.len + 40);
    buf_append_str(&payload, is_ok ? STR("{\"status\":\"ok\",\"response\":")
                                   : STR("{\"status\":\"error\",\"response\":"));
    buf_append_str(&payload, response);
    buf_append_char(&payload, '}');
    rt_socket_send(socket, message->join_ref, message->ref, message->topic, STR("phx_reply"),
                   buf_str(&payload));
    buf_dispose(&payload);
}

rt_channel_t *rt_socket_channel(rt_socket_t *socket, str_t topic)
{
    for (rt_channel_t *channel = socket->channels; channel != NULL; channel = channel->next) {
        if (str_eq(channel->full_topic, topic))
            return channel;
    }
    return NULL;
}

static void reply_unmatched(rt_socket_t *socket, const rt_message_t *message)
{
    rt_message_t bare = *message;
    bare.join_ref = STR_NULL;
    rt_socket_reply(socket, &bare, false, STR("{\"reason\":\"unmatched topic\"}"));
}

static void on_unjoined(rt_socket_t *socket, const rt_message_t *message)
{
    if (str_eq(message->topic, STR("phoenix"))) {
        if (str_eq(message->event, STR("heartbeat")))
            rt_socket_reply(socket, message, true, STR("{}"));
    } else if (str_eq(message->event, STR("phx_leave"))) {
        rt_socket_reply(socket, message, true, STR("{}"));
    } else {
        reply_unmatched(socket, message);
    }
}

static void on_joined(rt_channel_t *channel, const rt_message_t *message)
{
    /* A push of an earlier join of the same topic. */
    if (!str_eq(message->join_ref, STR("null")) && !str_eq(message->join_ref, channel->join_ref))
        return;
    if (str_eq(message->event, STR("phx_leave")))
        rt_channel_leave(channel, message);
    else if (str_eq(message->event, STR("access_token")))
        rt_channel_token(channel, message);
    else if (str_eq(message->event, STR("broadcast")))
        rt_broadcast_push(channel, message);
    else if (str_eq(message->event, STR("presence")))
        rt_presence_push(channel, message);
}

static void dispatch(rt_socket_t *socket, const rt_message_t *message)
{
    if (str_eq(message->event, STR("phx_join"))) {
        if (str_starts_with(message->topic, STR("realtime:")))
            rt_channel_join(socket, message);
        else
            reply_unmatched(socket, message);
        return;
    }
    rt_channel_t *channel = rt_socket_channel(socket, message->topic);
    if (channel == NULL)
        on_unjoined(socket, message);
    else
        on_joined(channel, message);
}

static void on_message(void *arg, ws_t *ws, bool is_text, str_t bytes)
{
    rt_socket_t *socket = arg;
    (void)ws;
    pool_t *pool = pool_create();
    rt_message_t message;
    bool is_good = is_text ? rt_frame_parse_text(pool, socket->vsn, bytes, &message)
                           : socket->vsn == RT_VSN_2 && rt_frame_parse_binary(pool, bytes, &message);
    if (is_good)
        dispatch(socket, &message);
    else
        observe(LOG_DEBUG, "realtime_frame_dropped", F_INT("bytes", (int64_t)bytes.len));
    pool_destroy(pool);
}

static void on_closed(void *arg, uint16_t code)
{
    rt_socket_t *socket = arg;
    (void)code;
    socket->ws = NULL;
    rt_channel_forget_joining(socket);
    while (socket->channels != NULL)
        rt_channel_destroy(socket->channels);
    *socket->link = socket->next;
    if (socket->next != NULL)
        socket->next->link = socket->link;
    socket->rt->socket_count--;
    rt_identity_dispose(&socket->identity);
    free(socket);
}

static void on_drain(void *arg, ws_t *ws)
{
    rt_socket_t *socket = arg;
    rt_socket_send(
        socket, STR_NULL, STR_NULL, STR("phoenix"), STR("system"),
        STR("{\"extension\":\"system\",\"status\":\"ok\",\"message\":\"Server requested disconnect\"}"));
    ws_close(ws, 1012, STR("server restart"));
}

void rt_socket_open(rt_t *rt, http_request_t *request, rt_vsn_t vsn, const rt_identity_t *identity)
{
    static const ws_handlers_t handlers = {
        .on_message = on_message, .on_closed = on_closed, .on_drain = on_drain};
    const config_t *config = rt->gateway->config;
    ws_limits_t limits = {.message_max = (size_t)config_int(config, "BASALT_REALTIME_MAX_MESSAGE"),
                          .queue_max = (size_t)config_int(config, "BASALT_REALTIME_QUEUE_MAX"),
                          .idle_timeout_ms = IDLE_MS};
    rt_socket_t *socket = calloc(1, sizeof(*socket));
    if (socket == NULL)
        abort();
    *socket = (rt_socket_t){.rt = rt, .vsn = vsn, .identity = *identity};
    socket->ws = ws_upgrade(request, &limits, &handlers, socket);
    if (socket->ws == NULL) {
        rt_identity_dispose(&socket->identity);
        free(socket);
        return;
    }
    socket->next = rt->sockets;
    socket->link = &rt->sockets;
    if (rt->sockets != NULL)
        rt->sockets->link = &socket->next;
    rt->sockets = socket;
    rt->socket_count++;
}
