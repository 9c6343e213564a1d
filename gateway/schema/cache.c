#include "schema/cache.h"

#include "base/clock.h"
#include "base/emit.h"
#include "base/metrics.h"
#include "base/observe.h"
#include "db/listen.h"
#include "schema/load.h"
#include "schema/poll.h"

#include <stdlib.h>

#define DEBOUNCE_MS 50
#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 32000

struct schema_cache {
    loop_t *loop;
    db_pool_t *pool;
    pool_t *memory; /* of `options` */
    schema_cache_options_t options;
    schema_cache_handlers_t handlers;
    void *arg;
    schema_snapshot_t *current;
    schema_load_t *load; /* running, else NULL */
    bool is_wanted;      /* asked for again since the running load began */
    bool has_failed;
    int retry_ms;
    uint64_t version;
    int64_t started_us, took_us;
    loop_timer_t timer;
    db_listen_t *listen;
    bool has_listened;
    schema_poll_t *poll;
};

static void start_load(void *arg);

/* Under the peer's names. */
static void count_load(bool has_worked, int64_t took_us)
{
    static const char NAME[] = "pgrst_schema_cache_loads_total";
    static const char HELP[] = "The total number of times the schema cache was loaded";
    metric_add(metric_counter(NAME, HELP, has_worked ? "status=\"SUCCESS\"" : "status=\"FAIL\""), 1);
    if (has_worked)
        metric_set(metric_gauge_us("pgrst_schema_cache_query_time_seconds",
                                   "The query time in seconds of the last schema cache load", ""),
                   took_us);
}

static void on_loaded(void *arg, schema_snapshot_t *snapshot, const err_t *error)
{
    schema_cache_t *c = arg;
    c->load = NULL;
    c->took_us = clock_mono_us() - c->started_us;
    count_load(snapshot != NULL, c->took_us);
    if (snapshot == NULL) {
        c->has_failed = true;
        observe(LOG_ERROR, "schema_load_failed", F_STR("code", error->code), F_STR("message", error->message),
                F_INT("retry_ms", c->retry_ms));
        loop_timer_start(c->loop, &c->timer, c->retry_ms, start_load, c);
        c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
        if (c->handlers.on_failed != NULL)
            c->handlers.on_failed(c->arg);
        return;
    }
    schema_snapshot_t *old = c->current;
    c->current = snapshot;
    schema_unref(old);
    c->has_failed = false;
    c->retry_ms = RETRY_FIRST_MS;
    observe(LOG_INFO, "schema_loaded", F_INT("tables", (int64_t)snapshot->table_count),
            F_INT("relationships", (int64_t)snapshot->relation_count),
            F_INT("routines", (int64_t)snapshot->overload_count), F_INT("us", c->took_us));
    if (c->handlers.on_loaded != NULL)
        c->handlers.on_loaded(c->arg, snapshot);
    if (c->is_wanted)
        loop_timer_start(c->loop, &c->timer, DEBOUNCE_MS, start_load, c);
}

static void start_load(void *arg)
{
    schema_cache_t *c = arg;
    if (c->load != NULL) {
        c->is_wanted = true;
        return;
    }
    c->is_wanted = false;
    c->started_us = clock_mono_us();
    c->load = schema_load_start(c->loop, c->pool, &c->options, ++c->version, on_loaded, c);
}

void schema_cache_reload(schema_cache_t *c)
{
    c->is_wanted = true;
    c->retry_ms = RETRY_FIRST_MS;
    if (c->load == NULL)
        loop_timer_start(c->loop, &c->timer, DEBOUNCE_MS, start_load, c);
}

/* ---- the channel ---- */

static void on_ready(void *arg)
{
    schema_cache_t *c = arg;
    observe(LOG_INFO, "db_listening", F_STR("channel", c->options.channel));
    /* notifications of both kinds may have been lost while the connection was away */
    if (c->has_listened && c->handlers.on_reload_config != NULL)
        c->handlers.on_reload_config(c->arg);
    c->has_listened = true;
    if (c->current != NULL)
        schema_cache_reload(c);
}

static void on_notify(void *arg, str_t channel, str_t payload)
{
    schema_cache_t *c = arg;
    bool is_all = payload.len == 0;
    bool is_config = is_all || str_eq(payload, STR("reload config"));
    bool is_schema = is_all || str_eq(payload, STR("reload schema"));
    if (is_config || is_schema)
        observe(LOG_INFO, "reload_notified", F_STR("channel", channel), F_STR("payload", payload));
    if (is_config && c->handlers.on_reload_config != NULL)
        c->handlers.on_reload_config(c->arg);
    if (is_schema)
        schema_cache_reload(c);
}

static void on_lost(void *arg)
{
    schema_cache_t *c = arg;
    if (c->handlers.on_channel_lost != NULL)
        c->handlers.on_channel_lost(c->arg);
}

static void start_listening(schema_cache_t *c)
{
    static const db_listen_handlers_t handlers = {
        .on_ready = on_ready, .on_notify = on_notify, .on_lost = on_lost};
    if (!str_is_null(c->options.channel_conninfo) && c->options.channel_conninfo.len > 0)
        c->listen =
            db_listen_create(c->loop, c->options.channel_conninfo, &c->options.channel, 1, &handlers, c);
}

static void on_catalog_changed(void *arg)
{
    schema_cache_reload(arg);
}

static void start_polling(schema_cache_t *c)
{
    schema_poll_destroy(c->poll);
    c->poll = c->options.poll_ms > 0
                  ? schema_poll_create(c->loop, c->pool, c->options.poll_ms, on_catalog_changed, c)
                  : NULL;
}

/* ---- options and life ---- */

static const str_t *copy_strings(pool_t *pool, const str_t *items, size_t count)
{
    str_t *copy = POOL_ARRAY(pool, str_t, count + 1);
    for (size_t i = 0; i < count; i++)
        copy[i] = pool_str(pool, items[i]);
    return copy;
}

static void copy_options(schema_cache_t *c, const schema_cache_options_t *o)
{
    c->memory = pool_create();
    c->options = (schema_cache_options_t){
        .schemas = copy_strings(c->memory, o->schemas, o->schema_count),
        .schema_count = o->schema_count,
        .extra_search_path = copy_strings(c->memory, o->extra_search_path, o->extra_count),
        .extra_count = o->extra_count,
        .hoisted_settings = copy_strings(c->memory, o->hoisted_settings, o->hoisted_count),
        .hoisted_count = o->hoisted_count,
        .sleep_ms = o->sleep_ms,
        .poll_ms = o->poll_ms,
        .channel_conninfo =
            str_is_null(o->channel_conninfo) ? STR_NULL : pool_str(c->memory, o->channel_conninfo),
        .channel = pool_str(c->memory, str_is_null(o->channel) ? STR("pgrst") : o->channel),
    };
}

schema_cache_t *schema_cache_create(loop_t *loop, db_pool_t *pool, const schema_cache_options_t *options,
                                    const schema_cache_handlers_t *handlers, void *arg)
{
    schema_cache_t *c = calloc(1, sizeof(*c));
    if (c == NULL)
        abort();
    c->loop = loop;
    c->pool = pool;
    c->handlers = *handlers;
    c->arg = arg;
    c->retry_ms = RETRY_FIRST_MS;
    copy_options(c, options);
    start_listening(c);
    start_polling(c);
    start_load(c);
    return c;
}

void schema_cache_destroy(schema_cache_t *c)
{
    if (c == NULL)
        return;
    loop_timer_stop(&c->timer);
    schema_poll_destroy(c->poll);
    schema_load_cancel(c->load);
    if (c->listen != NULL)
        db_listen_destroy(c->listen);
    schema_unref(c->current);
    pool_destroy(c->memory);
    free(c);
}

void schema_cache_set_options(schema_cache_t *c, const schema_cache_options_t *options)
{
    bool is_same_channel =
        str_eq(c->options.channel_conninfo, options->channel_conninfo) &&
        str_eq(c->options.channel, str_is_null(options->channel) ? STR("pgrst") : options->channel);
    if (!is_same_channel && c->listen != NULL) {
        db_listen_destroy(c->listen);
        c->listen = NULL;
    }
    /* a running load reads the old options; it is not worth finishing */
    schema_load_cancel(c->load);
    c->load = NULL;
    bool is_same_poll = c->options.poll_ms == options->poll_ms;
    pool_t *old = c->memory;
    copy_options(c, options);
    pool_destroy(old);
    if (!is_same_poll)
        start_polling(c);
    if (!is_same_channel)
        start_listening(c);
    schema_cache_reload(c);
}

schema_snapshot_t *schema_cache_get(schema_cache_t *c)
{
    return c->current;
}

bool schema_cache_is_current(const schema_cache_t *c)
{
    return c->current != NULL && !c->has_failed && !c->is_wanted && c->load == NULL;
}

static bool is_listening(const schema_cache_t *c)
{
    return c->listen == NULL || db_listen_is_up(c->listen);
}

bool schema_cache_has_lost_channel(const schema_cache_t *c)
{
    return c->has_listened && !is_listening(c);
}

void schema_cache_inspect(const schema_cache_t *c, buf_t *out)
{
    emit_t e;
    emit_init(&e, out);
    emit_object_begin(&e);
    emit_kv_int(&e, "version", c->current != NULL ? (int64_t)c->current->version : 0);
    emit_kv_int(&e, "tables", c->current != NULL ? (int64_t)c->current->table_count : 0);
    emit_kv_int(&e, "relationships", c->current != NULL ? (int64_t)c->current->relation_count : 0);
    emit_kv_int(&e, "routines", c->current != NULL ? (int64_t)c->current->overload_count : 0);
    emit_kv_bool(&e, "loading", c->load != NULL);
    emit_kv_bool(&e, "failed", c->has_failed);
    emit_kv_bool(&e, "listening", is_listening(c));
    emit_kv_int(&e, "load_us", c->took_us);
    emit_object_end(&e);
}
