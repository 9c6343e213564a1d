/* Presence: who is on a topic, as the clients say themselves. One server holds it all, so a plain list per
 * topic does; everyone on the topic gets the differences. */
#include "base/emit.h"
#include "base/rand.h"
#include "realtime/json_slice.h"
#include "realtime/peers.h"

#include <stdlib.h>

struct rt_presence_meta {
    rt_presence_meta_t *next; /* topic->metas */
    rt_channel_t *channel;
    pool_t *pool;
    str_t key, payload; /* payload: JSON object */
    str_t ref, ref_prev;
};

enum { CALLS_SECONDS = 30 };

/* {"phx_ref":..,"phx_ref_prev":..,<payload>} */
static void write_meta(buf_t *out, const rt_presence_meta_t *meta)
{
    buf_append_lit(out, "{\"phx_ref\":");
    emit_json_string(out, meta->ref);
    if (!str_is_null(meta->ref_prev)) {
        buf_append_lit(out, ",\"phx_ref_prev\":");
        emit_json_string(out, meta->ref_prev);
    }
    str_t inside = str_trim(str_slice(meta->payload, 1, meta->payload.len - 1));
    if (inside.len > 0) {
        buf_append_char(out, ',');
        buf_append_str(out, inside);
    }
    buf_append_char(out, '}');
}

/* {key: {"metas": [meta]}}, or {} for NULL. */
static void write_single(buf_t *out, const rt_presence_meta_t *meta)
{
    buf_append_char(out, '{');
    if (meta != NULL) {
        emit_json_string(out, meta->key);
        buf_append_lit(out, ":{\"metas\":[");
        write_meta(out, meta);
        buf_append_lit(out, "]}");
    }
    buf_append_char(out, '}');
}

static void send_diff(rt_topic_t *topic, const rt_presence_meta_t *joined, const rt_presence_meta_t *left)
{
    buf_t out;
    buf_init(&out, NULL, 512);
    buf_append_lit(&out, "{\"joins\":");
    write_single(&out, joined);
    buf_append_lit(&out, ",\"leaves\":");
    write_single(&out, left);
    buf_append_char(&out, '}');
    for (rt_channel_t *channel = topic->channels; channel != NULL; channel = channel->topic_next) {
        if (!channel->config.is_private || channel->may_read_presence)
            rt_channel_push(channel, STR("presence_diff"), buf_str(&out));
    }
    buf_dispose(&out);
}

static bool is_listed_before(const rt_topic_t *topic, const rt_presence_meta_t *meta)
{
    for (const rt_presence_meta_t *other = topic->metas; other != meta; other = other->next) {
        if (str_eq(other->key, meta->key))
            return true;
    }
    return false;
}

void rt_presence_send_state(rt_channel_t *channel)
{
    buf_t out;
    buf_init(&out, NULL, 512);
    const rt_topic_t *topic = channel->topic;
    buf_append_char(&out, '{');
    for (const rt_presence_meta_t *meta = topic->metas; meta != NULL; meta = meta->next) {
        if (is_listed_before(topic, meta))
            continue;
        buf_append_str(&out, out.len > 1 ? STR(",") : STR(""));
        emit_json_string(&out, meta->key);
        buf_append_lit(&out, ":{\"metas\":[");
        for (const rt_presence_meta_t *same = meta; same != NULL; same = same->next) {
            if (!str_eq(same->key, meta->key))
                continue;
            buf_append_str(&out, same != meta ? STR(",") : STR(""));
            write_meta(&out, same);
        }
        buf_append_lit(&out, "]}");
    }
    buf_append_char(&out, '}');
    rt_channel_push(channel, STR("presence_state"), buf_str(&out));
    buf_dispose(&out);
}

static rt_presence_meta_t *make_meta(rt_channel_t *channel, str_t payload, const rt_presence_meta_t *old)
{
    pool_t *pool = pool_create();
    rt_presence_meta_t *meta = POOL_NEW(pool, rt_presence_meta_t);
    meta->pool = pool;
    meta->channel = channel;
    if (channel->config.presence_key.len == 0)
        channel->config.presence_key = rand_uuid(channel->pool);
    meta->key = pool_str(pool, channel->config.presence_key);
    meta->payload = pool_str(pool, payload);
    meta->ref = rand_hex(pool, 10);
    meta->ref_prev = old != NULL ? pool_str(pool, old->ref) : STR_NULL;
    return meta;
}

static void unlink_meta(rt_topic_t *topic, const rt_presence_meta_t *meta)
{
    for (rt_presence_meta_t **link = &topic->metas; *link != NULL; link = &(*link)->next) {
        if (*link == meta) {
            *link = meta->next;
            return;
        }
    }
}

static void track(rt_channel_t *channel, str_t payload)
{
    rt_presence_meta_t *old = channel->presence;
    if (old != NULL && str_eq(old->payload, payload))
        return;
    rt_presence_meta_t *meta = make_meta(channel, payload, old);
    rt_topic_t *topic = channel->topic;
    if (old != NULL)
        unlink_meta(topic, old);
    meta->next = topic->metas;
    topic->metas = meta;
    channel->presence = meta;
    channel->config.has_presence = true;
    send_diff(topic, meta, old);
    if (old != NULL)
        pool_destroy(old->pool);
}

void rt_presence_drop(rt_channel_t *channel)
{
    rt_presence_meta_t *meta = channel->presence;
    if (meta == NULL)
        return;
    channel->presence = NULL;
    unlink_meta(channel->topic, meta);
    /* The socket may be gone already: the rest of the topic is told. */
    rt_topic_t *topic = channel->topic;
    rt_t *rt = channel->socket->rt;
    if (channel->socket->ws == NULL) {
        rt_topic_leave(rt, channel);
        topic = rt_topic_find(rt, channel->name, channel->config.is_private);
    }
    if (topic != NULL)
        send_diff(topic, NULL, meta);
    pool_destroy(meta->pool);
}

static void reply_error(rt_channel_t *channel, const rt_message_t *message, str_t text)
{
    buf_t out;
    buf_init(&out, NULL, 128);
    if (str_is_null(text)) {
        buf_append_lit(&out, "{}");
    } else {
        buf_append_lit(&out, "{\"reason\":");
        emit_json_string(&out, text);
        buf_append_char(&out, '}');
    }
    rt_socket_reply(channel->socket, message, false, buf_str(&out));
    buf_dispose(&out);
}

void rt_presence_push(rt_channel_t *channel, const rt_message_t *message)
{
    double calls_max =
        (double)config_int(channel->socket->rt->gateway->config, "BASALT_REALTIME_MAX_PRESENCE_CALLS");
    if (channel->presence_calls.burst == 0)
        token_bucket_init(&channel->presence_calls, calls_max / CALLS_SECONDS, calls_max);
    if (!token_bucket_take(&channel->presence_calls, 1, NULL)) {
        rt_channel_shutdown(channel, STR("Client presence rate limit exceeded"));
        return;
    }
    pool_t *pool = pool_create();
    str_t event = json_slice_string(pool, json_slice_get(message->payload, STR("event")));
    str_t payload = json_slice_get(message->payload, STR("payload"));
    bool is_track = str_eq_nocase(event, STR("track"));
    if (str_is_null(payload))
        payload = STR("{}");
    if (message->is_user_broadcast || (!is_track && !str_eq_nocase(event, STR("untrack")))) {
        reply_error(channel, message, STR_NULL);
    } else if (is_track && !json_slice_is_object(payload)) {
        reply_error(channel, message, STR("Presence track payload must be a map"));
    } else if (is_track && channel->config.is_private && !channel->may_write_presence) {
        reply_error(channel, message, STR("Unauthorized"));
    } else {
        rt_socket_reply(channel->socket, message, true, STR("{}"));
        if (is_track)
            track(channel, payload);
        else
            rt_presence_drop(channel);
    }
    pool_destroy(pool);
}
