/* Websocket messages of realtime clients: both serializers, binary frames, the join's parameters, filters.
 * The first byte chooses. What is accepted must survive being written and read again. */
#include "realtime/frame.h"
#include "realtime/inside.h"
#include "realtime/json_slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(pool_t *pool, rt_vsn_t vsn, const rt_message_t *message)
{
    buf_t out;
    rt_message_t again;
    buf_init(&out, pool, 256);
    rt_frame_write(&out, vsn, message->join_ref, message->ref, message->topic, message->event,
                   message->payload);
    if (!str_is_utf8(buf_str(&out)))
        return; /* the websocket has refused such text before */
    if (!rt_frame_parse_text(pool, vsn, buf_str(&out), &again) || !str_eq(again.topic, message->topic) ||
        !str_eq(again.event, message->event) || !str_eq(again.payload, message->payload))
        __builtin_trap();
}

static void read_join(pool_t *pool, str_t payload)
{
    rt_join_config_t config;
    str_t token;
    rt_join_config_parse(pool, payload, &config, &token);
    for (size_t i = 0; i < config.binding_count; i++) {
        buf_t out;
        buf_init(&out, pool, 256);
        buf_append_str(&out, config.bindings[i].json);
        buf_printf(&out, "%s\"id\":%lld}", config.bindings[i].has_members ? "," : "",
                   (long long)config.bindings[i].id);
        if (!json_slice_is_valid(buf_str(&out)) || config.bindings[i].id <= 0)
            __builtin_trap();
        rt_binding_write_debug(&out, &config.bindings[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    pool_t *pool = pool_create();
    str_t rest = str_make((const char *)data + 1, size - 1);
    rt_message_t message;
    rt_filter_t filter;
    str_t why = STR_NULL;
    switch (data[0]) {
    case '1':
    case '2': {
        rt_vsn_t vsn = data[0] == '1' ? RT_VSN_1 : RT_VSN_2;
        if (rt_frame_parse_text(pool, vsn, rest, &message)) {
            read_again(pool, vsn, &message);
            read_join(pool, message.payload);
        }
        break;
    }
    case 'f':
        if (!rt_filter_parse(pool, rest, &filter, &why) && str_is_null(why))
            __builtin_trap();
        break;
    default:
        if (rt_frame_parse_binary(pool, rest, &message) && !message.is_binary &&
            !json_slice_is_valid(message.payload))
            __builtin_trap();
    }
    pool_destroy(pool);
    return 0;
}
