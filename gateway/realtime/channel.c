/* One joined topic on one socket: joining, leaving, tokens, and the ways it ends. */
#include "base/clock.h"
#include "base/emit.h"
#include "realtime/inside.h"
#include "realtime/json_slice.h"
#include "realtime/peers.h"
#include "realtime/private.h"

#include <stdlib.h>

/* A usual channel: the struct, its names, one binding. */
enum { CHANNEL_BYTES = 1536 };

/* A refused join is answered after a while, so that clients that try again at once do no harm. */
typedef struct {
    loop_timer_t timer;
    rt_t *rt;
    rt_socket_t *socket; /* looked up again: it may be gone */
    pool_t *pool;
    rt_message_t message;
    str_t response;
    bool must_close;
} refusal_t;

static bool is_open(const rt_t *rt, const rt_socket_t *socket)
{
    for (const rt_socket_t *open = rt->sockets; open != NULL; open = open->next) {
        if (open == socket)
            return true;
    }
    return false;
}

static void send_refusal(void *arg)
{
    refusal_t *refusal = arg;
    if (is_open(refusal->rt, refusal->socket)) {
        rt_socket_reply(refusal->socket, &refusal->message, false, refusal->response);
        if (refusal->must_close)
            ws_close(refusal->socket->ws, 1000, STR_NULL);
    }
    pool_destroy(refusal->pool);
}

static void refuse(rt_socket_t *socket, const rt_message_t *message, str_t reason, bool must_close)
{
    pool_t *pool = pool_create();
    refusal_t *refusal = POOL_NEW(pool, refusal_t);
    *refusal = (refusal_t){.rt = socket->rt, .socket = socket, .pool = pool, .must_close = must_close};
    refusal->message = (rt_message_t){.join_ref = pool_str(pool, message->join_ref),
                                      .ref = pool_str(pool, message->ref),
                                      .topic = pool_str(pool, message->topic)};
    buf_t response;
    buf_init(&response, pool, reason.len + 32);
    buf_append_lit(&response, "{\"reason\":");
    emit_json_string(&response, reason);
    buf_append_char(&response, '}');
    refusal->response = buf_str(&response);
    gateway_t *gateway = socket->rt->gateway;
    int64_t delay = config_int(gateway->config, "BASALT_REALTIME_ERROR_BACKOFF");
    loop_timer_start(gateway->loop, &refusal->timer, delay, send_refusal, refusal);
}

void rt_channel_push(rt_channel_t *channel, str_t event, str_t payload)
{
    rt_socket_send(channel->socket, STR_NULL, STR_NULL, channel->full_topic, event, payload);
}

void rt_channel_system(rt_channel_t *channel, str_t extension, bool is_ok, str_t text)
{
    buf_t out;
    buf_init(&out, NULL, 256);
    emit_t emit;
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "extension", extension);
    emit_kv_string(&emit, "status", is_ok ? STR("ok") : STR("error"));
    emit_kv_string(&emit, "message", text);
    emit_kv_string(&emit, "channel", channel->name);
    emit_object_end(&emit);
    rt_channel_push(channel, STR("system"), buf_str(&out));
    buf_dispose(&out);
}

void rt_channel_destroy(rt_channel_t *channel)
{
    rt_t *rt = channel->socket->rt;
    rt_probe_cancel(channel->probe);
    rt_presence_drop(channel);
    rt_topic_leave(rt, channel);
    rt_changes_destroy(channel->next_changes);
    rt_changes_destroy(channel->changes);
    *channel->link = channel->next;
    if (channel->next != NULL)
        channel->next->link = channel->link;
    channel->socket->channel_count--;
    rt->channel_count--;
    rt_messages_watch(rt);
    rt_identity_dispose(&channel->identity);
    buf_dispose(&channel->ids);
    pool_destroy(channel->pool);
}

/* phx_close and phx_error carry the join's ref as both refs. */
static void end(rt_channel_t *channel, str_t event)
{
    rt_socket_send(channel->socket, channel->join_ref, channel->join_ref, channel->full_topic, event,
                   STR("{}"));
    rt_channel_destroy(channel);
}

void rt_channel_leave(rt_channel_t *channel, const rt_message_t *message)
{
    rt_socket_reply(channel->socket, message, true, STR("{}"));
    end(channel, STR("phx_close"));
}

void rt_channel_shutdown(rt_channel_t *channel, str_t text)
{
    rt_channel_system(channel, STR("system"), false, text);
    end(channel, STR("phx_close"));
}

void rt_channel_fail(rt_channel_t *channel)
{
    end(channel, STR("phx_error"));
}

void rt_channel_expire(rt_channel_t *channel, int64_t now)
{
    if (channel->identity.exp > now)
        return;
    pool_t *pool = pool_create();
    rt_channel_shutdown(channel, pool_printf(pool, "Token has expired %lld seconds ago",
                                             (long long)(now - channel->identity.exp)));
    pool_destroy(pool);
}

static void set_rights(rt_channel_t *channel, const rt_rights_t *rights)
{
    channel->may_read_broadcast = rights->read_broadcast;
    channel->may_read_presence = rights->read_presence;
    channel->may_write_broadcast = rights->write_broadcast;
    channel->may_write_presence = rights->write_presence;
}

static void on_asked_again(void *arg, const rt_rights_t *rights)
{
    rt_channel_t *channel = arg;
    channel->probe = NULL;
    set_rights(channel, rights);
    if (rights->read_broadcast || rights->read_presence)
        return;
    pool_t *pool = pool_create();
    rt_channel_shutdown(
        channel, pool_printf(pool, "You no longer have permission to read from this Channel topic: %.*s",
                             STR_ARG(channel->name)));
    pool_destroy(pool);
}

/* Another token: what it may do on a private channel is not known yet, and until it is, nothing. */
static void ask_again(rt_channel_t *channel)
{
    if (!channel->config.is_private)
        return;
    rt_probe_cancel(channel->probe);
    set_rights(channel, &(rt_rights_t){0});
    channel->probe = rt_probe_start(channel->socket->rt, &channel->identity, channel->name, true, true,
                                    on_asked_again, channel);
}

void rt_channel_token(rt_channel_t *channel, const rt_message_t *message)
{
    pool_t *pool = pool_create();
    str_t token = json_slice_string(pool, json_slice_get(message->payload, STR("access_token")));
    if (token.len > 0 && !str_starts_with(token, STR("sb_")) && !str_eq(token, channel->identity.token)) {
        rt_identity_t identity;
        str_t code, text;
        if (rt_identity_verify(channel->socket->rt, token, &identity, pool, &code, &text)) {
            rt_identity_dispose(&channel->identity);
            channel->identity = identity;
            ask_again(channel);
            rt_changes_start(channel);
        } else {
            rt_channel_shutdown(channel,
                                str_eq(code, STR("JwtSignatureError")) ? STR(":signature_error") : text);
        }
    }
    pool_destroy(pool);
}

/* --- joining */

static str_t join_response(pool_t *pool, const rt_join_config_t *config)
{
    buf_t out;
    buf_init(&out, pool, 256);
    buf_append_lit(&out, "{\"postgres_changes\":[");
    for (size_t i = 0; i < config->binding_count; i++) {
        const rt_binding_t *binding = &config->bindings[i];
        buf_append_str(&out, i > 0 ? STR(",") : STR(""));
        buf_append_str(&out, binding->json);
        buf_printf(&out, "%s\"id\":%lld}", binding->has_members ? "," : "", (long long)binding->id);
    }
    buf_append_lit(&out, "]}");
    return buf_str(&out);
}

static void link_channel(rt_channel_t *channel)
{
    rt_socket_t *socket = channel->socket;
    channel->next = socket->channels;
    channel->link = &socket->channels;
    if (socket->channels != NULL)
        socket->channels->link = &channel->next;
    socket->channels = channel;
    socket->channel_count++;
    socket->rt->channel_count++;
    rt_topic_enter(socket->rt, channel);
    rt_messages_watch(socket->rt);
}

/* Joined: reply, the end of an earlier instance, then what follows a join. */
static void complete(rt_channel_t *channel, const rt_message_t *message)
{
    rt_channel_t *old = rt_socket_channel(channel->socket, channel->full_topic);
    link_channel(channel);
    rt_socket_reply(channel->socket, message, true, join_response(channel->pool, &channel->config));
    if (old != NULL)
        end(old, STR("phx_close"));
    if (channel->config.has_presence)
        rt_presence_send_state(channel);
    rt_changes_start(channel);
}

static rt_channel_t *create(rt_socket_t *socket, const rt_message_t *message, str_t *token)
{
    pool_t *pool = pool_create_sized(CHANNEL_BYTES);
    rt_channel_t *channel = POOL_NEW(pool, rt_channel_t);
    channel->pool = pool;
    channel->socket = socket;
    channel->full_topic = pool_str(pool, message->topic);
    channel->name = str_slice(channel->full_topic, STR("realtime:").len, channel->full_topic.len);
    channel->join_ref = pool_str(pool, message->join_ref);
    if (str_eq(channel->join_ref, STR("null")))
        channel->join_ref = pool_str(pool, message->ref);
    buf_init(&channel->ids, NULL, 0);
    rt_join_config_parse(pool, message->payload, &channel->config, token);
    return channel;
}

/* Limits that come before the token; the null string when all is well. */
static str_t limit_reached(rt_socket_t *socket, const rt_message_t *message, bool *must_close)
{
    rt_t *rt = socket->rt;
    size_t channels_max = (size_t)config_int(rt->gateway->config, "BASALT_REALTIME_MAX_CHANNELS");
    if (message->topic.len == STR("realtime:").len)
        return STR("TopicNameRequired: You must provide a topic name");
    if (!token_bucket_take(&rt->joins, 1, NULL)) {
        *must_close = true;
        return STR("ClientJoinRateLimitReached: Too many joins per second");
    }
    if (socket->channel_count >= channels_max && rt_socket_channel(socket, message->topic) == NULL)
        return STR("ChannelRateLimitReached: Too many channels");
    return STR_NULL;
}

static bool take_identity(rt_channel_t *channel, str_t token, pool_t *scratch, str_t *reason)
{
    rt_socket_t *socket = channel->socket;
    str_t code, text;
    if (str_is_null(token))
        token = socket->identity.token;
    if (rt_identity_verify(socket->rt, token, &channel->identity, scratch, &code, &text))
        return true;
    *reason = pool_printf(scratch, "%.*s: %.*s", STR_ARG(code), STR_ARG(text));
    return false;
}

/* --- private channels: the join waits for the rights */

struct rt_joining {
    rt_joining_t *next, **link; /* socket->joining */
    rt_channel_t *channel;      /* not yet on the socket */
    rt_message_t message;       /* refs and topic only, in the channel's pool */
    rt_probe_t *probe;
};

static void unlink_joining(rt_joining_t *joining)
{
    *joining->link = joining->next;
    if (joining->next != NULL)
        joining->next->link = joining->link;
}

static void drop_unjoined(rt_channel_t *channel)
{
    rt_identity_dispose(&channel->identity);
    pool_destroy(channel->pool);
}

static void on_rights(void *arg, const rt_rights_t *rights)
{
    rt_joining_t *joining = arg;
    rt_channel_t *channel = joining->channel;
    unlink_joining(joining);
    set_rights(channel, rights);
    if (rights->read_broadcast || rights->read_presence) {
        complete(channel, &joining->message);
        return;
    }
    str_t reason = pool_printf(
        channel->pool, "Unauthorized: You do not have permissions to read from this Channel topic: %.*s",
        STR_ARG(channel->name));
    refuse(channel->socket, &joining->message, reason, false);
    drop_unjoined(channel);
}

static void join_private(rt_channel_t *channel, const rt_message_t *message)
{
    rt_socket_t *socket = channel->socket;
    pool_t *pool = channel->pool;
    rt_joining_t *joining = POOL_NEW(pool, rt_joining_t);
    *joining = (rt_joining_t){.next = socket->joining, .link = &socket->joining, .channel = channel};
    joining->message = (rt_message_t){.join_ref = pool_str(pool, message->join_ref),
                                      .ref = pool_str(pool, message->ref),
                                      .topic = pool_str(pool, message->topic)};
    if (socket->joining != NULL)
        socket->joining->link = &joining->next;
    socket->joining = joining;
    joining->probe = rt_probe_start(socket->rt, &channel->identity, channel->name, true,
                                    channel->config.has_presence, on_rights, joining);
}

void rt_channel_forget_joining(rt_socket_t *socket)
{
    while (socket->joining != NULL) {
        rt_joining_t *joining = socket->joining;
        unlink_joining(joining);
        rt_probe_cancel(joining->probe);
        drop_unjoined(joining->channel);
    }
}

void rt_channel_join(rt_socket_t *socket, const rt_message_t *message)
{
    bool must_close = false;
    str_t reason = limit_reached(socket, message, &must_close);
    if (!str_is_null(reason)) {
        refuse(socket, message, reason, must_close);
        return;
    }
    str_t token;
    rt_channel_t *channel = create(socket, message, &token);
    pool_t *scratch = pool_create();
    bool is_known = take_identity(channel, token, scratch, &reason);
    if (!is_known) {
        refuse(socket, message, reason, false);
        pool_destroy(channel->pool);
    } else if (!channel->config.is_private) {
        complete(channel, message);
    } else if (socket->rt->gateway->internal_pool != NULL) {
        join_private(channel, message);
    } else {
        refuse(socket, message,
               STR("UnableToConnectToProject: Realtime was unable to connect to the project database"),
               false);
        drop_unjoined(channel);
    }
    pool_destroy(scratch);
}
