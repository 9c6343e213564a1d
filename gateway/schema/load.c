#include "schema/load.h"

#include "db/offload.h"
#include "schema/build.h"

#include <sys/resource.h>

extern const char SCHEMA_SQL_RELATIONS[], SCHEMA_SQL_COLUMNS[], SCHEMA_SQL_CONSTRAINTS[], SCHEMA_SQL_VIEWS[],
    SCHEMA_SQL_ROUTINES[], SCHEMA_SQL_PARAMETERS[], SCHEMA_SQL_RESULTS[], SCHEMA_SQL_FACTS[];

static const char *const STATEMENTS[SCHEMA_ROWS_COUNT] = {
    SCHEMA_SQL_RELATIONS, SCHEMA_SQL_COLUMNS,    SCHEMA_SQL_CONSTRAINTS, SCHEMA_SQL_VIEWS,
    SCHEMA_SQL_ROUTINES,  SCHEMA_SQL_PARAMETERS, SCHEMA_SQL_RESULTS,     SCHEMA_SQL_FACTS,
};
/* How many of (schemas, extra search path, hoisted settings) each statement takes. */
static const size_t PARAM_COUNT[SCHEMA_ROWS_COUNT] = {1, 1, 0, 2, 1, 1, 1, 3};

#define OID_TEXT_ARRAY 1009u
#define NICENESS 10

struct schema_load {
    pool_t *pool;
    loop_t *loop;
    schema_build_t *build;
    db_tx_t *tx;          /* until all rows are there */
    offload_t *finishing; /* from then on */
    schema_snapshot_t *snapshot;
    const schema_cache_options_t *options;
    uint64_t version;
    void (*on_done)(void *arg, schema_snapshot_t *snapshot, const err_t *error);
    void *arg;
    str_t params[3];
    uint32_t types[3];
    db_setting_t settings[4];
    db_stmt_t stmts[SCHEMA_ROWS_COUNT];
    db_tx_spec_t spec;
};

static str_t array_text(pool_t *pool, const str_t *items, size_t count)
{
    buf_t out;
    buf_init(&out, pool, 64);
    buf_append_char(&out, '{');
    for (size_t i = 0; i < count; i++) {
        buf_append(&out, ",\"", i == 0 ? 0 : 1);
        buf_append_char(&out, '"');
        for (size_t k = 0; k < items[i].len; k++) {
            if (items[i].base[k] == '"' || items[i].base[k] == '\\')
                buf_append_char(&out, '\\');
            buf_append_char(&out, items[i].base[k]);
        }
        buf_append_char(&out, '"');
    }
    buf_append_char(&out, '}');
    return buf_str(&out);
}

/* Parts between "/" "*15 " and " 15*" "/" are for PostgreSQL 15 and later. Before the first connection the
 * version is unknown and a new server is assumed: an old one refuses the statement, and the retry knows. */
static str_t for_version(pool_t *pool, const char *sql, int version)
{
    str_t text = str_from_c(sql);
    size_t open = str_find(text, STR("/*15 "), 0);
    size_t close = open == SIZE_MAX ? SIZE_MAX : str_find(text, STR(" 15*/"), open);
    if (close == SIZE_MAX || (version > 0 && version < 150000))
        return text;
    return pool_concat(pool, 3, str_slice(text, 0, open), str_slice(text, open + 5, close),
                       str_slice(text, close + 5, text.len));
}

static void load_free(schema_load_t *load)
{
    schema_build_destroy(load->build);
    pool_destroy(load->pool);
}

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    schema_load_t *load = arg;
    schema_build_row(load->build, (schema_rows_t)stmt, values, count);
}

static void on_retry(void *arg)
{
    schema_load_t *load = arg;
    schema_build_destroy(load->build);
    load->build = schema_build_create(load->options->schemas, load->options->schema_count);
}

static void finish(schema_load_t *load)
{
    load->snapshot = schema_build_finish(load->build, load->version);
    schema_build_destroy(load->build);
    load->build = NULL;
}

/* Deriving keys and relationships of thousands of tables takes tens of milliseconds: on a thread of its own,
 * which gives way to the loop. */
static void run_finish(void *arg)
{
    (void)setpriority(PRIO_PROCESS, 0, NICENESS);
    finish(arg);
}

static void on_finished(void *arg)
{
    schema_load_t *load = arg;
    if (load->snapshot == NULL)
        finish(load); /* there was no thread */
    load->on_done(load->arg, load->snapshot, NULL);
    load_free(load);
}

static void on_dropped(void *arg)
{
    schema_load_t *load = arg;
    schema_unref(load->snapshot);
    load_free(load);
}

static void on_tx_done(void *arg, const err_t *error)
{
    schema_load_t *load = arg;
    load->tx = NULL;
    if (error == NULL) {
        load->finishing = offload_start(load->loop, run_finish, on_finished, on_dropped, load);
        return;
    }
    load->on_done(load->arg, NULL, error);
    load_free(load);
}

schema_load_t *schema_load_start(loop_t *loop, db_pool_t *pool, const schema_cache_options_t *options,
                                 uint64_t version,
                                 void (*on_done)(void *arg, schema_snapshot_t *snapshot, const err_t *error),
                                 void *arg)
{
    pool_t *memory = pool_create();
    schema_load_t *load = POOL_NEW(memory, schema_load_t);
    load->pool = memory;
    load->loop = loop;
    load->version = version;
    load->options = options;
    load->on_done = on_done;
    load->arg = arg;
    load->build = schema_build_create(options->schemas, options->schema_count);
    load->params[0] = array_text(memory, options->schemas, options->schema_count);
    load->params[1] = array_text(memory, options->extra_search_path, options->extra_count);
    load->params[2] = array_text(memory, options->hoisted_settings, options->hoisted_count);
    for (size_t i = 0; i < 3; i++)
        load->types[i] = OID_TEXT_ARRAY;
    for (size_t i = 0; i < SCHEMA_ROWS_COUNT; i++)
        load->stmts[i] = (db_stmt_t){.sql = for_version(memory, STATEMENTS[i], db_pool_server_version(pool)),
                                     .params = load->params,
                                     .types = load->types,
                                     .param_count = PARAM_COUNT[i],
                                     .is_unprepared = true};
    /* an empty search path makes every type and function print with its schema */
    load->settings[0] = (db_setting_t){STR("search_path"), STR("")};
    load->settings[1] =
        (db_setting_t){STR("work_mem"), STR("64MB")}; /* large catalogs are sorted in memory */
    /* neither pays for itself in queries of this length */
    load->settings[2] = (db_setting_t){STR("jit"), STR("off")};
    load->settings[3] = (db_setting_t){STR("max_parallel_workers_per_gather"), STR("0")};
    load->spec = (db_tx_spec_t){.settings = load->settings,
                                .setting_count = 4,
                                .is_read_only = true,
                                .is_exclusive = true,
                                .is_background = true,
                                .stmts = load->stmts,
                                .stmt_count = SCHEMA_ROWS_COUNT};
    if (options->sleep_ms > 0)
        load->spec.pre_request =
            pool_printf(memory, "select pg_catalog.pg_sleep(%d / 1000.0)", options->sleep_ms);
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_retry = on_retry, .on_done = on_tx_done};
    load->tx = db_tx_submit(pool, &load->spec, &handlers, load);
    return load;
}

void schema_load_cancel(schema_load_t *load)
{
    if (load == NULL)
        return;
    if (load->finishing != NULL) {
        offload_abandon(load->finishing); /* frees it */
        return;
    }
    db_tx_cancel(load->tx);
    load_free(load);
}
