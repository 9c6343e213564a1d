#include "dump_schema.h"

#include "options.h"
#include "schema/dump.h"

#include <stdio.h>

typedef struct {
    loop_t *loop;
    int status;
} reading_t;

static void on_loaded(void *arg, const schema_snapshot_t *snapshot)
{
    reading_t *reading = arg;
    buf_t out;
    buf_init(&out, NULL, 65536);
    schema_dump(snapshot, &out);
    buf_append_char(&out, '\n');
    reading->status = fwrite(out.base, 1, out.len, stdout) == out.len ? 0 : 1;
    buf_dispose(&out);
    loop_stop(reading->loop);
}

static void on_failed(void *arg)
{
    loop_stop(((reading_t *)arg)->loop);
}

int dump_schema(const config_t *config)
{
    static const schema_cache_handlers_t handlers = {.on_loaded = on_loaded, .on_failed = on_failed};
    pool_t *pool = pool_create();
    reading_t reading = {loop_create(), 1};
    db_pool_options_t connection = options_db_pool(config, "request", "PGRST_DB_URI", "PGRST_DB_POOL");
    schema_cache_options_t options = options_schema(pool, config);
    options.channel_conninfo = STR_NULL;
    options.poll_ms = 0;
    db_pool_t *database = db_pool_create(reading.loop, &connection);
    schema_cache_t *schema = schema_cache_create(reading.loop, database, &options, &handlers, &reading);
    loop_run(reading.loop);
    schema_cache_destroy(schema);
    db_pool_destroy(database);
    loop_destroy(reading.loop);
    pool_destroy(pool);
    return reading.status;
}
