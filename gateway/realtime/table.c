/* What delivery knows of a published table, as one role sees it. */
#include "base/clock.h"
#include "base/emit.h"
#include "base/read_json.h"
#include "realtime/inside.h"

static str_t make_cache_key(pool_t *pool, uint32_t relid, str_t role)
{
    return pool_printf(pool, "%u/%.*s", relid, STR_ARG(role));
}

/* The name as it stands between quotes in a JSON object that PostgreSQL wrote. */
static str_t json_key(pool_t *pool, str_t name)
{
    buf_t out;
    buf_init(&out, pool, name.len + 8);
    emit_json_string(&out, name);
    return str_slice(buf_str(&out), 1, out.len - 1);
}

static void load_column(rt_table_t *table, const json_t *json, rt_column_t *column)
{
    pool_t *pool = table->pool;
    column->name = pool_str(pool, read_json_str(json, "name"));
    column->key = json_key(pool, column->name);
    column->type = pool_str(pool, read_json_str(json, "type"));
    column->sql = pool_str(pool, read_json_str(json, "sql"));
    column->base_oid = (uint32_t)read_json_int(json, "base", 0);
    column->is_key = read_json_bool(json, "key", false);
    column->is_identity = read_json_bool(json, "identity", false);
    column->is_visible = read_json_bool(json, "visible", false);
    if (column->is_key) {
        table->key_count++;
        table->is_key_visible &= column->is_visible;
    }
}

static str_t build_columns_json(rt_table_t *table)
{
    buf_t out;
    buf_init(&out, table->pool, 64 * table->column_count + 2);
    emit_t emit;
    emit_init(&emit, &out);
    emit_array_begin(&emit);
    for (size_t i = 0; i < table->column_count; i++) {
        if (!table->columns[i].is_visible)
            continue;
        emit_object_begin(&emit);
        emit_kv_string(&emit, "name", table->columns[i].name);
        emit_kv_string(&emit, "type", table->columns[i].type);
        emit_object_end(&emit);
    }
    emit_array_end(&emit);
    return buf_str(&out);
}

static rt_table_t *parse(pool_t *scratch, str_t text, str_t role)
{
    json_t *json = NULL;
    if (read_json(scratch, text, NULL, &json) != NULL)
        return NULL;
    json_t *columns = read_json_array(json, "columns");
    pool_t *pool = pool_create();
    rt_table_t *table = POOL_NEW(pool, rt_table_t);
    table->pool = pool;
    table->refs = 1;
    table->role = pool_str(pool, role);
    table->relid = (uint32_t)read_json_int(json, "relid", 0);
    table->root = (uint32_t)read_json_int(json, "root", 0);
    table->schema = pool_str(pool, read_json_str(json, "schema"));
    table->name = pool_str(pool, read_json_str(json, "table"));
    table->is_rls = read_json_bool(json, "rls", false);
    table->is_full = read_json_bool(json, "full", false);
    table->actions = pool_str(pool, read_json_str(json, "actions"));
    table->column_count = json_array_size(columns);
    table->columns = POOL_ARRAY(pool, rt_column_t, table->column_count);
    table->is_key_visible = true;
    for (size_t i = 0; i < table->column_count; i++)
        load_column(table, json_array_get(columns, i), &table->columns[i]);
    table->columns_json = build_columns_json(table);
    table->cache_key = make_cache_key(pool, table->relid, role);
    table->loaded_us = clock_mono_us();
    return table;
}

rt_table_t *rt_table_load(rt_t *rt, str_t json, str_t role)
{
    pool_t *scratch = pool_create();
    rt_table_t *table = parse(scratch, json, role);
    pool_destroy(scratch);
    if (table == NULL)
        return NULL;
    table->refs++; /* one for the cache, one for the caller */
    rt_table_t *old = map_remove(rt->tables, table->cache_key);
    if (old != NULL)
        rt_table_unref(old);
    map_put(rt->tables, table->cache_key, table);
    return table;
}

rt_table_t *rt_table_find(rt_t *rt, uint32_t relid, str_t role)
{
    pool_t *scratch = pool_create();
    rt_table_t *table = map_get(rt->tables, make_cache_key(scratch, relid, role));
    pool_destroy(scratch);
    return table;
}

void rt_table_unref(rt_table_t *table)
{
    if (table != NULL && --table->refs == 0)
        pool_destroy(table->pool);
}

const rt_column_t *rt_table_column(const rt_table_t *table, str_t name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (str_eq(table->columns[i].name, name))
            return &table->columns[i];
    }
    return NULL;
}
