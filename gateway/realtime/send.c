/* From judged changes to frames: one message per channel and change, built once for channels that get the
 * same. */
#include "realtime/batch.h"
#include "realtime/peers.h"

#include <stdlib.h>

typedef struct {
    rt_channel_t *channel;
    rt_judged_t *judged;
} touched_t;

/* The frame that was sent last, in case the next channel gets the same. */
typedef struct {
    ws_frame_t *frame;
    const rt_judged_t *judged;
    rt_vsn_t vsn;
    str_t topic, ids;
} last_frame_t;

static unsigned event_bit(char op)
{
    return op == 'I' ? RT_EVENT_INSERT : op == 'U' ? RT_EVENT_UPDATE : RT_EVENT_DELETE;
}

static bool is_visible(const rt_judged_t *judged, const rt_sub_t *sub, const rt_change_t *change, size_t at)
{
    if (rt_data_is_bare(judged->table, change))
        return true;
    const rt_filter_t *filter = &sub->binding->filter;
    if (filter->count > 0) {
        size_t number = (size_t)map_get(judged->filter_at, filter->text);
        if (number == 0 || !judged->filter_says[(number - 1) * judged->change_count + at])
            return false;
        if (change->op == 'D' && !rt_judge_can_delete(judged->table, filter))
            return false;
    }
    if (!judged->table->is_rls || change->op == 'D')
        return true;
    size_t number = (size_t)map_get(judged->viewer_at, sub->changes->viewer->key);
    return number != 0 && judged->viewer_sees[(number - 1) * judged->change_count + at];
}

static rt_judged_t *judged_of(rt_batch_t *batch, const rt_sub_t *sub, uint32_t relid)
{
    for (size_t i = 0; i < batch->judged_count; i++) {
        rt_judged_t *judged = &batch->judged[i];
        if (judged->relid == relid && str_eq(judged->role, sub->changes->viewer->role))
            return judged->table != NULL ? judged : NULL;
    }
    return NULL;
}

/* Position of a change among its table's. */
static size_t position_of(const rt_judged_t *judged, size_t change)
{
    size_t low = 0, high = judged->change_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (judged->changes[middle] < change)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t touch(rt_batch_t *batch, size_t number, rt_watch_t *watch, touched_t *touched)
{
    const rt_change_t *change = &batch->changes[number];
    size_t count = 0;
    for (size_t i = 0; i < watch->count; i++) {
        const rt_sub_t *sub = watch->subs[i];
        if ((sub->binding->events & event_bit(change->op)) == 0)
            continue;
        rt_judged_t *judged = judged_of(batch, sub, change->relid);
        if (judged == NULL || str_find_char(judged->table->actions, change->op, 0) == SIZE_MAX ||
            !is_visible(judged, sub, change, position_of(judged, number)))
            continue;
        rt_channel_t *channel = sub->changes->channel;
        if (channel->ids.len == 0)
            touched[count++] = (touched_t){channel, judged};
        else
            buf_append_char(&channel->ids, ',');
        buf_append_int(&channel->ids, sub->binding->id);
    }
    return count;
}

static bool is_same(const last_frame_t *last, const touched_t *touched)
{
    const rt_channel_t *channel = touched->channel;
    return last->frame != NULL && last->judged == touched->judged && last->vsn == channel->socket->vsn &&
           str_eq(last->topic, channel->full_topic) && str_eq(last->ids, buf_str(&channel->ids));
}

static void send_one(rt_batch_t *batch, const touched_t *touched, str_t data, last_frame_t *last)
{
    rt_channel_t *channel = touched->channel;
    if (!is_same(last, touched)) {
        buf_t payload, *out = &batch->rt->scratch;
        buf_init(&payload, NULL, data.len + channel->ids.len + 32);
        buf_append_lit(&payload, "{\"ids\":[");
        buf_append_str(&payload, buf_str(&channel->ids));
        buf_append_lit(&payload, "],\"data\":");
        buf_append_str(&payload, data);
        buf_append_char(&payload, '}');
        buf_clear(out);
        rt_frame_write(out, channel->socket->vsn, STR_NULL, STR_NULL, channel->full_topic,
                       STR("postgres_changes"), buf_str(&payload));
        buf_dispose(&payload);
        if (last->frame != NULL)
            ws_frame_unref(last->frame);
        *last = (last_frame_t){.frame = ws_frame_create(true, buf_str(out)),
                               .judged = touched->judged,
                               .vsn = channel->socket->vsn,
                               .topic = channel->full_topic,
                               .ids = pool_str(batch->pool, buf_str(&channel->ids))};
    }
    ws_send_frame(channel->socket->ws, last->frame);
    buf_clear(&channel->ids);
}

static void send_change(rt_batch_t *batch, size_t number, touched_t *touched)
{
    const rt_change_t *change = &batch->changes[number];
    rt_watch_t *watch = rt_watch_find(batch->rt, change->relid);
    if (watch == NULL)
        return;
    size_t count = touch(batch, number, watch, touched);
    last_frame_t last = {0};
    buf_t data;
    buf_init(&data, NULL, 1024);
    for (size_t j = 0; j < batch->judged_count; j++) {
        buf_clear(&data);
        for (size_t i = 0; i < count; i++) {
            if (touched[i].judged != &batch->judged[j])
                continue;
            if (data.len == 0)
                rt_data_write(&data, batch->judged[j].table, change);
            send_one(batch, &touched[i], buf_str(&data), &last);
        }
    }
    buf_dispose(&data);
    if (last.frame != NULL)
        ws_frame_unref(last.frame);
}

void rt_batch_send(rt_batch_t *batch)
{
    size_t most = 0;
    for (size_t i = 0; i < batch->count; i++) {
        rt_watch_t *watch = rt_watch_find(batch->rt, batch->changes[i].relid);
        if (watch != NULL && watch->count > most)
            most = watch->count;
    }
    touched_t *touched = POOL_ARRAY(batch->pool, touched_t, most + 1);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->changes[i].op == 'M')
            rt_messages_send(batch->rt, batch->changes[i].new_row);
        else if (batch->changes[i].op == 'X')
            rt_gap(batch->rt, batch->changes[i].relid, STR("A change of this table could not be recorded"));
        else
            send_change(batch, i, touched);
    }
}

void rt_gap(rt_t *rt, uint32_t relid, str_t why)
{
    size_t count = 0;
    rt_channel_t **channels = malloc((rt->channel_count + 1) * sizeof(*channels));
    if (channels == NULL)
        abort();
    for (rt_socket_t *socket = rt->sockets; socket != NULL; socket = socket->next) {
        for (rt_channel_t *channel = socket->channels; channel != NULL; channel = channel->next) {
            bool is_hit = channel->changes != NULL && relid == 0;
            for (size_t i = 0; relid != 0 && channel->changes != NULL && i < channel->changes->sub_count; i++)
                is_hit |= channel->changes->subs[i].watch->relid == relid;
            if (is_hit)
                channels[count++] = channel;
        }
    }
    for (size_t i = 0; i < count; i++) {
        rt_channel_system(channels[i], STR("postgres_changes"), false, why);
        rt_channel_fail(channels[i]);
    }
    free(channels);
}
