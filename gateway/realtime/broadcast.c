/* Broadcast: what one client sends goes to everyone else on the topic, unchanged. */
#include "base/emit.h"
#include "realtime/json_slice.h"
#include "realtime/peers.h"

enum { PAYLOAD_MAX = 3000 * 1000 + 500 };

/* The same message in the forms that subscribers understand; each is built when the first of its kind comes.
 */
typedef struct {
    const rt_broadcast_t *broadcast;
    ws_frame_t *text[3]; /* by serializer */
    ws_frame_t *binary;
    bool is_binary_tried;
} forms_t;

/* {"type":"broadcast","event":..,"payload":..[,"meta":..]} */
static void write_payload(buf_t *out, const rt_broadcast_t *broadcast)
{
    if (!str_is_null(broadcast->whole)) {
        buf_append_str(out, broadcast->whole);
        return;
    }
    buf_append_lit(out, "{\"type\":\"broadcast\",\"event\":");
    emit_json_string(out, broadcast->event);
    buf_append_lit(out, ",\"payload\":");
    buf_append_str(out, broadcast->payload);
    if (broadcast->metadata.len > 0) {
        buf_append_lit(out, ",\"meta\":");
        buf_append_str(out, broadcast->metadata);
    }
    buf_append_char(out, '}');
}

static ws_frame_t *text_form(forms_t *forms, rt_vsn_t vsn, str_t full_topic)
{
    if (forms->text[vsn] == NULL) {
        buf_t payload, out;
        buf_init(&payload, NULL, forms->broadcast->payload.len + 128);
        buf_init(&out, NULL, forms->broadcast->payload.len + 256);
        write_payload(&payload, forms->broadcast);
        rt_frame_write(&out, vsn, STR_NULL, STR_NULL, full_topic, STR("broadcast"), buf_str(&payload));
        forms->text[vsn] = ws_frame_create(true, buf_str(&out));
        buf_dispose(&payload);
        buf_dispose(&out);
    }
    return forms->text[vsn];
}

static ws_frame_t *binary_form(forms_t *forms, str_t full_topic)
{
    const rt_broadcast_t *broadcast = forms->broadcast;
    if (!forms->is_binary_tried) {
        forms->is_binary_tried = true;
        buf_t out;
        buf_init(&out, NULL, broadcast->payload.len + 512);
        if (rt_frame_write_broadcast(&out, full_topic, broadcast->event, broadcast->metadata,
                                     broadcast->is_binary, broadcast->payload))
            forms->binary = ws_frame_create(false, buf_str(&out));
        buf_dispose(&out);
    }
    return forms->binary;
}

/* NULL: this subscriber cannot get it. */
static ws_frame_t *form_for(forms_t *forms, const rt_channel_t *channel)
{
    bool is_user = str_is_null(forms->broadcast->whole);
    if (channel->socket->vsn == RT_VSN_2 && is_user) {
        ws_frame_t *frame = binary_form(forms, channel->full_topic);
        if (frame != NULL)
            return frame;
    }
    return forms->broadcast->is_binary ? NULL : text_form(forms, channel->socket->vsn, channel->full_topic);
}

void rt_broadcast_send(rt_topic_t *topic, const rt_broadcast_t *broadcast, const rt_channel_t *except)
{
    forms_t forms = {.broadcast = broadcast};
    for (rt_channel_t *channel = topic != NULL ? topic->channels : NULL; channel != NULL;
         channel = channel->topic_next) {
        if (channel == except || (channel->config.is_private && !channel->may_read_broadcast))
            continue;
        ws_frame_t *frame = form_for(&forms, channel);
        if (frame != NULL)
            ws_send_frame(channel->socket->ws, frame);
    }
    ws_frame_t *all[] = {forms.text[RT_VSN_1], forms.text[RT_VSN_2], forms.binary};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] != NULL)
            ws_frame_unref(all[i]);
    }
}

void rt_broadcast_push(rt_channel_t *channel, const rt_message_t *message)
{
    if (!token_bucket_take(&channel->socket->rt->events, 1, NULL)) {
        rt_channel_shutdown(channel, STR("Too many messages per second"));
        return;
    }
    if (channel->config.is_private && !channel->may_write_broadcast)
        return; /* not even an error: nothing tells that somebody could be there */
    bool is_too_large = message->payload.len > PAYLOAD_MAX;
    if (!is_too_large) {
        rt_broadcast_t broadcast = {.event = message->user_event,
                                    .metadata = STR_NULL,
                                    .payload = message->payload,
                                    .is_binary = message->is_binary,
                                    .whole = message->is_user_broadcast ? STR_NULL : message->payload};
        rt_broadcast_send(channel->topic, &broadcast, channel->config.has_self ? NULL : channel);
    }
    if (channel->config.has_ack)
        rt_socket_reply(channel->socket, message, !is_too_large,
                        is_too_large ? STR("\"payload_size_exceeded\"") : STR("{}"));
}
