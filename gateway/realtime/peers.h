/* Messages between clients: broadcast and presence. */
#ifndef REALTIME_PEERS_H
#define REALTIME_PEERS_H

#include "api/context.h"
#include "realtime/inside.h"

typedef struct {
    str_t event, metadata; /* metadata: JSON or null */
    str_t payload;         /* JSON; bytes when is_binary */
    bool is_binary;
    str_t whole; /* the payload of a text push, passed on as it is; null string: made from the parts */
} rt_broadcast_t;

/* To everyone on the topic (NULL: nobody is) but `except`. */
void rt_broadcast_send(rt_topic_t *topic, const rt_broadcast_t *broadcast, const rt_channel_t *except);

/* A row of realtime.messages, to whom it is meant for. */
void rt_messages_send(rt_t *rt, str_t row);

/* POST /api/broadcast<path>: answers 202, 401, 403, 404, 415, 422 or 429. */
void rt_rest_broadcast(rt_t *rt, api_context_t *ctx, str_t path);

/* A client's `broadcast` push (text, or kind 3). */
void rt_broadcast_push(rt_channel_t *channel, const rt_message_t *message);

/* A client's `presence` push; the state that follows a join; a channel that goes. */
void rt_presence_push(rt_channel_t *channel, const rt_message_t *message);
void rt_presence_send_state(rt_channel_t *channel);
void rt_presence_drop(rt_channel_t *channel);

#endif
