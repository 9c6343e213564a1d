#include "realtime/frame.h"

#include "base/emit.h"
#include "realtime/json_slice.h"

enum { KIND_PUSH = 0, KIND_USER_BROADCAST_PUSH = 3, KIND_USER_BROADCAST = 4, PART_MAX = 255 };

/* Refs are strings or null; numbers are let through. */
static bool is_ref(str_t value)
{
    return !str_is_null(value) && value.base[0] != '{' && value.base[0] != '[';
}

static bool parse_object(pool_t *pool, str_t bytes, rt_message_t *out)
{
    str_t topic = json_slice_get(bytes, STR("topic"));
    str_t event = json_slice_get(bytes, STR("event"));
    out->payload = json_slice_get(bytes, STR("payload"));
    out->ref = json_slice_get(bytes, STR("ref"));
    out->join_ref = json_slice_get(bytes, STR("join_ref"));
    if (str_is_null(out->join_ref))
        out->join_ref = STR("null");
    out->topic = json_slice_string(pool, topic);
    out->event = json_slice_string(pool, event);
    return !str_is_null(out->payload);
}

static bool parse_array(pool_t *pool, str_t bytes, rt_message_t *out)
{
    str_t items[5];
    size_t at = 0, count = 0;
    while (count < 5 && json_slice_item(bytes, &at, &items[count]))
        count++;
    if (count < 5)
        return false;
    out->join_ref = items[0];
    out->ref = items[1];
    out->topic = json_slice_string(pool, items[2]);
    out->event = json_slice_string(pool, items[3]);
    out->payload = items[4];
    return true;
}

bool rt_frame_parse_text(pool_t *pool, rt_vsn_t vsn, str_t bytes, rt_message_t *out)
{
    *out = (rt_message_t){0};
    bytes = str_trim(bytes);
    if (!json_slice_is_valid(bytes))
        return false;
    bool is_good = vsn == RT_VSN_1 ? parse_object(pool, bytes, out) : parse_array(pool, bytes, out);
    return is_good && !str_is_null(out->topic) && !str_is_null(out->event) && is_ref(out->ref) &&
           is_ref(out->join_ref);
}

static str_t take(str_t *rest, size_t len)
{
    str_t part = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len, rest->len);
    return part;
}

/* A ref that came as bytes, as raw JSON; empty is null. */
static str_t quote(pool_t *pool, str_t text)
{
    if (text.len == 0)
        return STR("null");
    buf_t out;
    buf_init(&out, pool, text.len + 2);
    emit_json_string(&out, text);
    return buf_str(&out);
}

static bool parse_user_broadcast(pool_t *pool, str_t bytes, rt_message_t *out)
{
    const uint8_t *head = (const uint8_t *)bytes.base;
    if (bytes.len < 7)
        return false;
    size_t total = 7;
    for (int i = 1; i <= 5; i++)
        total += head[i];
    if (bytes.len < total || head[6] > 1)
        return false;
    str_t rest = str_slice(bytes, 7, bytes.len);
    str_t join_ref = take(&rest, head[1]), ref = take(&rest, head[2]);
    out->topic = take(&rest, head[3]);
    out->user_event = take(&rest, head[4]);
    out->metadata = take(&rest, head[5]);
    out->join_ref = quote(pool, join_ref);
    out->ref = quote(pool, ref);
    out->event = STR("broadcast");
    out->is_user_broadcast = true;
    out->is_binary = head[6] == 0;
    out->payload = rest;
    if (!out->is_binary)
        out->payload = rest.len == 0 ? STR("{}") : rest;
    return str_is_utf8(str_slice(bytes, 7, total)) &&
           (out->is_binary || (str_is_utf8(rest) && json_slice_is_valid(out->payload)));
}

/* Phoenix's own push: a JSON payload is expected by everything here but broadcasts, which realtime-js never
 * sends this way. */
static bool parse_push(pool_t *pool, str_t bytes, rt_message_t *out)
{
    const uint8_t *head = (const uint8_t *)bytes.base;
    if (bytes.len < 5)
        return false;
    size_t total = 5;
    for (int i = 1; i <= 4; i++)
        total += head[i];
    if (bytes.len < total || !str_is_utf8(str_slice(bytes, 5, bytes.len)))
        return false;
    str_t rest = str_slice(bytes, 5, bytes.len);
    str_t join_ref = take(&rest, head[1]), ref = take(&rest, head[2]);
    out->topic = take(&rest, head[3]);
    out->event = take(&rest, head[4]);
    out->join_ref = quote(pool, join_ref);
    out->ref = quote(pool, ref);
    out->payload = rest.len == 0 ? STR("{}") : str_trim(rest);
    return json_slice_is_valid(out->payload);
}

bool rt_frame_parse_binary(pool_t *pool, str_t bytes, rt_message_t *out)
{
    *out = (rt_message_t){0};
    if (bytes.len == 0)
        return false;
    if (bytes.base[0] == KIND_USER_BROADCAST_PUSH)
        return parse_user_broadcast(pool, bytes, out);
    return bytes.base[0] == KIND_PUSH && parse_push(pool, bytes, out);
}

static void append_ref(buf_t *out, str_t ref)
{
    buf_append_str(out, str_is_null(ref) ? STR("null") : ref);
}

void rt_frame_write(buf_t *out, rt_vsn_t vsn, str_t join_ref, str_t ref, str_t topic, str_t event,
                    str_t payload)
{
    if (vsn == RT_VSN_1) {
        buf_append_lit(out, "{\"topic\":");
        emit_json_string(out, topic);
        buf_append_lit(out, ",\"event\":");
        emit_json_string(out, event);
        buf_append_lit(out, ",\"payload\":");
        buf_append_str(out, payload);
        buf_append_lit(out, ",\"ref\":");
        append_ref(out, ref);
        buf_append_char(out, '}');
        return;
    }
    buf_append_char(out, '[');
    append_ref(out, join_ref);
    buf_append_char(out, ',');
    append_ref(out, ref);
    buf_append_char(out, ',');
    emit_json_string(out, topic);
    buf_append_char(out, ',');
    emit_json_string(out, event);
    buf_append_char(out, ',');
    buf_append_str(out, payload);
    buf_append_char(out, ']');
}

bool rt_frame_write_broadcast(buf_t *out, str_t topic, str_t event, str_t metadata, bool is_binary,
                              str_t payload)
{
    if (topic.len > PART_MAX || event.len > PART_MAX || metadata.len > PART_MAX)
        return false;
    buf_append_char(out, KIND_USER_BROADCAST);
    buf_append_char(out, (char)topic.len);
    buf_append_char(out, (char)event.len);
    buf_append_char(out, (char)metadata.len);
    buf_append_char(out, is_binary ? 0 : 1);
    buf_append_str(out, topic);
    buf_append_str(out, event);
    buf_append_str(out, metadata);
    buf_append_str(out, payload);
    return true;
}
