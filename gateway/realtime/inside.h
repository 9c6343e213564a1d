/* What the files of this room share.
 *
 *   rt_t          the room: one per process
 *   rt_socket_t   owns its channels; is gone after the websocket's on_closed
 *   rt_channel_t  one joined topic on one socket; owns its rt_changes_t (in force, and the one that will
 * replace it) rt_changes_t  the postgres_changes of one join or token: resolved, armed, then in force between
 * two batches rt_viewer_t   a role with claims, counted: policies are asked once per viewer and batch
 *   rt_table_t    what delivery knows of a table as one role sees it, counted and immutable
 *
 * Everything runs on the loop's thread. */
#ifndef REALTIME_INSIDE_H
#define REALTIME_INSIDE_H

#include "api/gateway.h"
#include "base/map.h"
#include "base/token_bucket.h"
#include "db/tx.h"
#include "http/ws.h"
#include "realtime/change_filter.h"
#include "realtime/frame.h"

typedef struct rt rt_t;
typedef struct rt_socket rt_socket_t;
typedef struct rt_channel rt_channel_t;
typedef struct rt_changes rt_changes_t;
typedef struct rt_topic rt_topic_t;
typedef struct rt_feed rt_feed_t;
typedef struct rt_presence_meta rt_presence_meta_t;
typedef struct rt_joining rt_joining_t;
typedef struct rt_probe rt_probe_t;

struct rt {
    gateway_t *gateway;
    pool_t *pool;    /* life of the process */
    map_t *topics;   /* rt_topic_t by its key */
    map_t *viewers;  /* rt_viewer_t by role and claims */
    map_t *tables;   /* rt_table_t by table and role */
    map_t *watches;  /* rt_watch_t by table */
    rt_feed_t *feed; /* NULL without an internal pool */
    rt_socket_t *sockets;
    size_t socket_count, channel_count;
    uint32_t messages_root; /* realtime.messages while it is watched; 0: not */
    db_tx_t *messages_tx;   /* looking for it */
    token_bucket_t joins, events;
    char published[33]; /* digest of the publication's list of tables; empty: not known yet */
    bool is_published_new;
    int64_t published_checked_at;
    db_tx_t *published_tx;
    struct rt_batch *batch; /* the one under way */
    rt_changes_t *waiting;  /* until their tables are held and the next read is over */
    loop_timer_t janitor;
    buf_t scratch; /* frames are built here */
};

/* --- who is calling (identity.c) */

typedef struct {
    pool_t *pool; /* owns the strings */
    str_t token, role, claims_json, sub, session_id;
    int64_t exp;
} rt_identity_t;

/* Verifies; on failure false and *code, *text are the peer's: "InvalidJWTToken", "Token has expired 3 seconds
 * ago". `out` is filled (own pool) on success only. */
bool rt_identity_verify(rt_t *rt, str_t token, rt_identity_t *out, pool_t *errors, str_t *code, str_t *text);
void rt_identity_dispose(rt_identity_t *identity);
bool rt_identity_copy(const rt_identity_t *from, rt_identity_t *to);

enum { RT_VIEWER_SETTINGS = 3 }; /* of a statement under a viewer */

typedef struct rt_viewer {
    size_t refs;
    str_t key, role, claims_json, sub; /* own memory, one piece with the struct */
} rt_viewer_t;

rt_viewer_t *rt_viewer_get(rt_t *rt, const rt_identity_t *identity); /* counted */
void rt_viewer_unref(rt_t *rt, rt_viewer_t *viewer);

/* --- tables (table.c) */

typedef struct {
    str_t name, key;   /* key: the name as it stands between quotes in JSON */
    str_t type, sql;   /* pg_type.typname; quoted type name without a length */
    uint32_t base_oid; /* what a domain stands on */
    bool is_key, is_identity, is_visible;
} rt_column_t;

typedef struct {
    size_t refs;
    pool_t *pool;
    str_t cache_key, role;
    uint32_t relid, root;
    str_t schema, name;
    bool is_rls, is_full;
    str_t actions; /* published ones, of "IUD" */
    rt_column_t *columns;
    size_t column_count, key_count;
    bool is_key_visible; /* every key column may be selected */
    str_t columns_json;  /* [{"name","type"}..] of the visible ones */
    int64_t loaded_us;
} rt_table_t;

/* From one object of basalt.feed_describe; replaces the cached one. NULL: not understood. Counted for the
 * caller. */
rt_table_t *rt_table_load(rt_t *rt, str_t json, str_t role);
rt_table_t *rt_table_find(rt_t *rt, uint32_t relid, str_t role); /* borrowed; NULL: not cached */
void rt_table_unref(rt_table_t *table);
const rt_column_t *rt_table_column(const rt_table_t *table, str_t name);

/* --- subscriptions (binding.c, changes.c) */

enum { RT_EVENT_INSERT = 1, RT_EVENT_UPDATE = 2, RT_EVENT_DELETE = 4, RT_EVENT_ALL = 7 };

/* One element of config.postgres_changes. */
typedef struct {
    str_t json; /* as sent, without its closing brace: the reply adds the id */
    bool has_members;
    int64_t id; /* of the parameters: equal on all sockets */
    unsigned events;
    str_t event, schema, table; /* schema and table: "*" is any */
    rt_filter_t filter;
    str_t problem; /* not the null string: why it cannot be subscribed */
} rt_binding_t;

void rt_binding_parse(pool_t *pool, str_t json, rt_binding_t *out);
/* [event: *, schema: public, table: t, filters: [], select: nil] */
void rt_binding_write_debug(buf_t *out, const rt_binding_t *binding);

typedef struct rt_watch rt_watch_t;

typedef struct {
    rt_changes_t *changes;
    const rt_binding_t *binding;
    rt_watch_t *watch;
    size_t position; /* in the watch */
} rt_sub_t;

/* Everyone who is in force on one table. */
struct rt_watch {
    uint32_t relid;
    rt_sub_t **subs;
    size_t count, capacity;
};

typedef enum {
    RT_CHANGES_RESOLVING, /* a transaction is under way: db_tx_t of the changes */
    RT_CHANGES_CHECKING,  /* filters are being tried */
    RT_CHANGES_ARMING,    /* in rt->waiting until its roots are held */
    RT_CHANGES_SETTLING,  /* in rt->waiting until a read that began after that is over */
    RT_CHANGES_IN_FORCE,
    RT_CHANGES_FAILED
} rt_changes_state_t;

struct rt_changes {
    rt_changes_state_t state;
    rt_t *rt;
    rt_channel_t *channel;
    pool_t *pool, *scratch; /* scratch: until it is in force */
    rt_viewer_t *viewer;
    db_tx_t *tx;
    rt_changes_t *next, **link; /* rt->waiting */
    rt_sub_t *subs;
    size_t sub_count, sub_capacity;
    uint32_t *roots;
    size_t root_count;
    uint64_t settle_read;
    size_t check_at;     /* RT_CHANGES_CHECKING: index of the sub whose filter is tried */
    rt_table_t **tables; /* of the subs, while checking */
    str_t params[2];
    db_stmt_t stmt;
    db_setting_t settings[RT_VIEWER_SETTINGS];
};

/* The database is away or overloaded: the error says nothing about what was asked. */
bool rt_error_is_passing(const err_t *error);

/* Begins to subscribe what the channel asked for, with its present identity. What was in force stays so until
 * the new one takes its place. */
void rt_changes_start(rt_channel_t *channel);
/* Starts anew what failed because the database was away, when it is time. */
void rt_changes_retry(rt_channel_t *channel, int64_t now);
void rt_changes_destroy(rt_changes_t *changes);
/* A batch is over: puts waiting ones in force. `read` counts the feed's reads. */
void rt_changes_advance(rt_t *rt, uint64_t reads_begun, uint64_t reads_done);
rt_watch_t *rt_watch_find(rt_t *rt, uint32_t relid);

/* --- feed (feed.c, batch.c) */

rt_feed_t *rt_feed_create(rt_t *rt);
void rt_feed_destroy(rt_feed_t *feed);             /* NULL is allowed */
void rt_feed_want(rt_feed_t *feed, uint32_t root); /* counted */
void rt_feed_unwant(rt_feed_t *feed, uint32_t root);
bool rt_feed_holds(const rt_feed_t *feed, uint32_t root);
/* Watches realtime.messages while there are channels that could hear. */
void rt_messages_watch(rt_t *rt);
void rt_feed_nudge(rt_feed_t *feed); /* something is waiting for a read */
void rt_feed_inspect(const rt_feed_t *feed, buf_t *out);

typedef struct {
    uint32_t relid;
    char op;                /* I, U, D or X */
    str_t old_row, new_row; /* JSON objects or null strings */
    int64_t commit_ms;
} rt_change_t;

/* Some changes are lost to these channels: they are told and fail, so that clients join and read anew.
 * `relid` 0: all channels with changes in force. */
void rt_gap(rt_t *rt, uint32_t relid, str_t why);

/* Delivers `changes` (in `pool`, which the batch takes) in order, then calls `done`. One at a time. */
void rt_batch_run(rt_t *rt, pool_t *pool, rt_change_t *changes, size_t count, void (*done)(void *arg),
                  void *arg);
void rt_batch_abandon(rt_t *rt); /* shutting down: what is asked is not waited for */

/* The "data" object of one change as the table's role sees it (record.c). */
void rt_data_write(buf_t *out, const rt_table_t *table, const rt_change_t *change);
/* Whether subscribers get the bare error form instead: 400 without a key, 401 when the key may not be read.
 */
bool rt_data_is_bare(const rt_table_t *table, const rt_change_t *change);
/* Members of a row as an object: those the role may see, as clients get them (values longer than `value_max`
 * left out); or the whole key as PostgreSQL wrote it, to ask the database with. */
typedef enum { RT_WANT_KEY, RT_WANT_IDENTITY, RT_WANT_ALL, RT_WANT_RAW_KEY } rt_want_t;
void rt_row_write(buf_t *out, const rt_table_t *table, str_t row, rt_want_t want, size_t value_max);

/* --- sockets and channels */

struct rt_socket {
    rt_t *rt;
    ws_t *ws;
    rt_socket_t *next, **link;
    rt_vsn_t vsn;
    rt_identity_t identity; /* of the apikey */
    rt_channel_t *channels;
    size_t channel_count;
    rt_joining_t *joining; /* private channels whose rights are being asked for */
};

typedef struct {
    bool is_private, has_ack, has_self;
    bool has_presence;
    str_t presence_key;
    rt_binding_t *bindings;
    size_t binding_count;
} rt_join_config_t;

struct rt_channel {
    rt_socket_t *socket;
    rt_channel_t *next, **link; /* socket->channels */
    rt_topic_t *topic;
    rt_channel_t *topic_next, **topic_link;
    pool_t *pool;           /* of the join */
    str_t full_topic, name; /* with and without "realtime:" */
    str_t join_ref;         /* raw JSON */
    rt_join_config_t config;
    rt_identity_t identity;
    rt_changes_t *changes, *next_changes;
    int64_t retry_changes_at; /* wall clock; 0: no need */
    rt_presence_meta_t *presence;
    token_bucket_t presence_calls;
    buf_t ids;         /* while a change is sent: ids that match */
    rt_probe_t *probe; /* private: rights are asked for again */
    bool may_read_broadcast, may_read_presence, may_write_broadcast, may_write_presence; /* private */
};

/* Everyone on one topic of one privacy (topic.c). */
struct rt_topic {
    str_t key; /* '0' or '1' for private, then the name */
    rt_channel_t *channels;
    size_t count;
    rt_presence_meta_t *metas; /* tracked presences */
};

void rt_topic_enter(rt_t *rt, rt_channel_t *channel);
void rt_topic_leave(rt_t *rt, rt_channel_t *channel);
rt_topic_t *rt_topic_find(rt_t *rt, str_t name, bool is_private);

/* socket.c */
/* Switches protocols; takes the identity. */
void rt_socket_open(rt_t *rt, http_request_t *request, rt_vsn_t vsn, const rt_identity_t *identity);
void rt_socket_send(rt_socket_t *socket, str_t join_ref, str_t ref, str_t topic, str_t event, str_t payload);
void rt_socket_reply(rt_socket_t *socket, const rt_message_t *message, bool is_ok, str_t response);
rt_channel_t *rt_socket_channel(rt_socket_t *socket, str_t topic);

/* channel.c */
void rt_channel_join(rt_socket_t *socket, const rt_message_t *message);
/* The socket goes: joins under way are forgotten. */
void rt_channel_forget_joining(rt_socket_t *socket);
void rt_channel_leave(rt_channel_t *channel, const rt_message_t *message);
void rt_channel_token(rt_channel_t *channel, const rt_message_t *message);
void rt_channel_destroy(rt_channel_t *channel);
void rt_channel_push(rt_channel_t *channel, str_t event, str_t payload);
/* The `system` message; extension is "postgres_changes" or "system". */
void rt_channel_system(rt_channel_t *channel, str_t extension, bool is_ok, str_t text);
/* system error, phx_close, gone. */
void rt_channel_shutdown(rt_channel_t *channel, str_t text);
/* phx_error, gone: the client joins again. */
void rt_channel_fail(rt_channel_t *channel);
/* Closes channels whose token has expired. */
void rt_channel_expire(rt_channel_t *channel, int64_t now);

/* join_config.c */
void rt_join_config_parse(pool_t *pool, str_t payload, rt_join_config_t *out, str_t *token);

#endif
