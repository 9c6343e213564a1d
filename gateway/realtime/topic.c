/* Who is on which topic. Public and private channels of one name are different topics. */
#include "realtime/inside.h"

#include <stdlib.h>

static rt_topic_t *find(rt_t *rt, str_t name, bool is_private, pool_t *scratch)
{
    return map_get(rt->topics, pool_concat(scratch, 2, is_private ? STR("1") : STR("0"), name));
}

rt_topic_t *rt_topic_find(rt_t *rt, str_t name, bool is_private)
{
    pool_t *scratch = pool_create();
    rt_topic_t *topic = find(rt, name, is_private, scratch);
    pool_destroy(scratch);
    return topic;
}

static rt_topic_t *create(rt_t *rt, str_t name, bool is_private)
{
    rt_topic_t *topic = calloc(1, sizeof(*topic) + 1 + name.len);
    if (topic == NULL)
        abort();
    char *bytes = (char *)(topic + 1);
    bytes[0] = is_private ? '1' : '0';
    memcpy(bytes + 1, name.base, name.len);
    topic->key = str_make(bytes, 1 + name.len);
    map_put(rt->topics, topic->key, topic);
    return topic;
}

void rt_topic_enter(rt_t *rt, rt_channel_t *channel)
{
    rt_topic_t *topic = rt_topic_find(rt, channel->name, channel->config.is_private);
    if (topic == NULL)
        topic = create(rt, channel->name, channel->config.is_private);
    channel->topic = topic;
    channel->topic_next = topic->channels;
    channel->topic_link = &topic->channels;
    if (topic->channels != NULL)
        topic->channels->topic_link = &channel->topic_next;
    topic->channels = channel;
    topic->count++;
}

void rt_topic_leave(rt_t *rt, rt_channel_t *channel)
{
    rt_topic_t *topic = channel->topic;
    if (topic == NULL)
        return;
    *channel->topic_link = channel->topic_next;
    if (channel->topic_next != NULL)
        channel->topic_next->topic_link = channel->topic_link;
    channel->topic = NULL;
    if (--topic->count == 0) {
        map_remove(rt->topics, topic->key);
        free(topic);
    }
}
