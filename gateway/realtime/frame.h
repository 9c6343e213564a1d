/* Phoenix messages on the wire: serializer 1.0.0 (one JSON object) and 2.0.0 (JSON array, binary user
 * broadcasts). Source: docs/contract of realtime-js; facts in docs/realtime.md. */
#ifndef REALTIME_FRAME_H
#define REALTIME_FRAME_H

#include "base/buf.h"

typedef enum { RT_VSN_1 = 1, RT_VSN_2 = 2 } rt_vsn_t;

/* What a client sent. Slices of the frame or of the pool. Refs are raw JSON ("\"7\"" or "null"), because they
 * are echoed and compared, never understood. */
typedef struct {
    str_t join_ref, ref;    /* raw JSON */
    str_t topic, event;     /* unescaped */
    str_t payload;          /* raw JSON; a binary broadcast's bytes when is_binary */
    bool is_user_broadcast; /* kind 3: event is "broadcast", user_event its name */
    bool is_binary;         /* kind 3 with encoding 0 */
    str_t user_event, metadata;
} rt_message_t;

/* False when the frame is to be dropped: not JSON, a member is missing or of the wrong type. */
bool rt_frame_parse_text(pool_t *pool, rt_vsn_t vsn, str_t bytes, rt_message_t *out);
bool rt_frame_parse_binary(pool_t *pool, str_t bytes, rt_message_t *out); /* 2.0.0 only; kinds 0 and 3 */

/* Appends a text frame. `join_ref` and `ref` are raw JSON; null strings stand for null. `payload` is JSON. */
void rt_frame_write(buf_t *out, rt_vsn_t vsn, str_t join_ref, str_t ref, str_t topic, str_t event,
                    str_t payload);

/* Appends a kind 4 frame (user broadcast to a 2.0.0 client). False when a part exceeds 255 bytes. */
bool rt_frame_write_broadcast(buf_t *out, str_t topic, str_t event, str_t metadata, bool is_binary,
                              str_t payload);

#endif
