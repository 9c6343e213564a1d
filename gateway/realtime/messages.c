/* Broadcast from SQL: rows inserted into realtime.messages go to the channels of their topic. They travel
 * with the change feed, watched like any table while somebody could hear them. */
#include "base/crypt.h"
#include "realtime/json_slice.h"
#include "realtime/peers.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 5000 };

static const char FIND_SQL[] = "select basalt.feed_mode(c.oid), c.oid from pg_catalog.pg_class c "
                               "where c.oid = pg_catalog.to_regclass('realtime.messages')";

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    rt_t *rt = arg;
    int64_t relid;
    (void)stmt, (void)count;
    if (!str_is_null(values[0]) && str_to_int64(values[1], &relid))
        rt->messages_root = (uint32_t)relid;
}

static void on_found(void *arg, const err_t *error)
{
    rt_t *rt = arg;
    (void)error; /* a database without the bootstrap has no messages */
    rt->messages_tx = NULL;
    if (rt->messages_root == 0)
        return;
    rt_feed_want(rt->feed, rt->messages_root);
    rt_feed_nudge(rt->feed);
    rt_messages_watch(rt); /* the last channel may have gone meanwhile */
}

void rt_messages_watch(rt_t *rt)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_done = on_found};
    static const db_stmt_t stmt = {.sql = {FIND_SQL, sizeof(FIND_SQL) - 1}};
    if (rt->feed == NULL || rt->messages_tx != NULL)
        return;
    if (rt->channel_count == 0 && rt->messages_root != 0) {
        rt_feed_unwant(rt->feed, rt->messages_root);
        rt->messages_root = 0;
    } else if (rt->channel_count > 0 && rt->messages_root == 0) {
        db_tx_spec_t spec = {.is_read_only = true, .stmts = &stmt, .stmt_count = 1, .timeout_ms = TIMEOUT_MS};
        rt->messages_tx = db_tx_submit(rt->gateway->internal_pool, &spec, &handlers, rt);
    }
}

void rt_messages_send(rt_t *rt, str_t row)
{
    pool_t *pool = pool_create();
    str_t topic = json_slice_string(pool, json_slice_get(row, STR("topic")));
    bool is_private = str_eq(json_slice_get(row, STR("private")), STR("true"));
    str_t bytes = json_slice_string(pool, json_slice_get(row, STR("binary_payload")));
    str_t payload = json_slice_get(row, STR("payload"));
    rt_broadcast_t broadcast = {
        .event = json_slice_string(pool, json_slice_get(row, STR("event"))),
        .metadata = pool_concat(pool, 3, STR("{\"id\":"), json_slice_get(row, STR("id")), STR("}")),
        .payload = str_eq(payload, STR("null")) ? STR("{}") : payload};
    broadcast.is_binary =
        bytes.len > 2 && crypt_unhex(pool, str_slice(bytes, 2, bytes.len), &broadcast.payload);
    if (!str_is_null(topic) && !str_is_null(broadcast.event))
        rt_broadcast_send(rt_topic_find(rt, topic, is_private), &broadcast, NULL);
    pool_destroy(pool);
}
