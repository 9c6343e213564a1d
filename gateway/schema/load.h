/* Private to schema/: one asynchronous load of the catalog. */
#ifndef SCHEMA_LOAD_H
#define SCHEMA_LOAD_H

#include "db/tx.h"
#include "schema/cache.h"

typedef struct schema_load schema_load_t;

/* Runs the catalog statements in one read-only transaction of the request pool's login, and builds the
 * snapshot on a thread. `on_done` is called exactly once unless cancelled: with a snapshot (the callee owns
 * the reference) or with an error (borrowed). `options` must live until then. */
schema_load_t *schema_load_start(loop_t *loop, db_pool_t *pool, const schema_cache_options_t *options,
                                 uint64_t version,
                                 void (*on_done)(void *arg, schema_snapshot_t *snapshot, const err_t *error),
                                 void *arg);
void schema_load_cancel(schema_load_t *load);

#endif
