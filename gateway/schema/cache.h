/* The snapshot in force: loads it at start, again on demand, keeps serving the old one while loading or
 * failing. */
#ifndef SCHEMA_CACHE_H
#define SCHEMA_CACHE_H

#include "base/buf.h"
#include "db/pool.h"
#include "loop/loop.h"
#include "schema/snapshot.h"

typedef struct schema_cache schema_cache_t;

/* Strings are copied. */
typedef struct {
    const str_t *schemas; /* PGRST_DB_SCHEMAS, at least one */
    size_t schema_count;
    const str_t *extra_search_path; /* PGRST_DB_EXTRA_SEARCH_PATH */
    size_t extra_count;
    const str_t
        *hoisted_settings; /* PGRST_DB_HOISTED_TX_SETTINGS: function settings applied to the transaction */
    size_t hoisted_count;
    int sleep_ms;           /* that a load is held up, for tests */
    int poll_ms;            /* between looks at the catalog where no event trigger tells; 0: never */
    str_t channel_conninfo; /* LISTEN connection; null string: no channel (PGRST_DB_CHANNEL_ENABLED=false) */
    str_t channel;          /* PGRST_DB_CHANNEL, "pgrst" */
} schema_cache_options_t;

typedef struct {
    /* A new snapshot is in force. */
    void (*on_loaded)(void *arg, const schema_snapshot_t *snapshot);
    /* NOTIFY <channel>, 'reload config' (or an empty payload, which reloads both), and
     * when the channel is back after it was lost. May be NULL. */
    void (*on_reload_config)(void *arg);
    void (*on_failed)(void *arg);       /* a load failed; it is tried again. May be NULL. */
    void (*on_channel_lost)(void *arg); /* the LISTEN connection broke; it is made anew. May be NULL. */
} schema_cache_handlers_t;

/* Starts loading at once; `pool` is the request pool. Loop thread only, as all below. */
schema_cache_t *schema_cache_create(loop_t *loop, db_pool_t *pool, const schema_cache_options_t *options,
                                    const schema_cache_handlers_t *handlers, void *arg);
void schema_cache_destroy(schema_cache_t *cache);

/* The snapshot in force, or NULL before the first load. Take a reference (schema_ref) to keep it. */
schema_snapshot_t *schema_cache_get(schema_cache_t *cache);

/* Asks for a reload; several requests within 50 ms become one, a request during a load makes another follow
 * it. A failed load is retried after 1 s, doubling to 32 s. */
void schema_cache_reload(schema_cache_t *cache);

/* Changed configuration; implies a reload. */
void schema_cache_set_options(schema_cache_t *cache, const schema_cache_options_t *options);

/* Nothing requested is still outstanding and the last load worked (readiness). */
bool schema_cache_is_current(const schema_cache_t *cache);

/* The LISTEN connection was there and is not any more. */
bool schema_cache_has_lost_channel(const schema_cache_t *cache);

/* {"version":..,"tables":..,"loading":..,...} for admin. */
void schema_cache_inspect(const schema_cache_t *cache, buf_t *out);

#endif
