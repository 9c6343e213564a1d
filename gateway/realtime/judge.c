#include "realtime/judge.h"

#include "db/ident.h"

static bool is_listed(const rt_filter_t *const *filters, size_t filter, size_t cond)
{
    str_t column = filters[filter]->conds[cond].column;
    for (size_t f = 0; f <= filter; f++) {
        size_t end = f == filter ? cond : filters[f]->count;
        for (size_t c = 0; c < end; c++) {
            if (str_eq(filters[f]->conds[c].column, column))
                return true;
        }
    }
    return false;
}

/* The record's columns, each once, as "name" type. */
static void write_record(buf_t *sql, const rt_table_t *table, const rt_filter_t *const *filters, size_t count)
{
    bool has_items = false;
    for (size_t f = 0; f < count; f++) {
        for (size_t c = 0; c < filters[f]->count; c++) {
            const rt_column_t *column = rt_table_column(table, filters[f]->conds[c].column);
            if (column == NULL || is_listed(filters, f, c))
                continue;
            buf_append_str(sql, has_items ? STR(", ") : STR(""));
            has_items = true;
            ident_append(sql, column->name);
            buf_append_char(sql, ' ');
            buf_append_str(sql, column->sql);
        }
    }
}

static size_t write_filter(buf_t *sql, const rt_table_t *table, const rt_filter_t *filter, size_t used,
                           str_t *params)
{
    for (size_t c = 0; c < filter->count; c++) {
        const rt_cond_t *cond = &filter->conds[c];
        const rt_column_t *column = rt_table_column(table, cond->column);
        buf_append_str(sql, c > 0 ? STR(" and ") : STR(""));
        if (column == NULL) { /* dropped since it was subscribed */
            buf_append_lit(sql, "false");
            continue;
        }
        if (rt_cond_write(sql, cond, column->sql, used + 2))
            params[used++] = cond->value;
    }
    return used;
}

size_t rt_judge_filter_sql(buf_t *sql, const rt_table_t *table, const rt_filter_t *const *filters,
                           size_t count, str_t *params)
{
    size_t used = 0;
    bool has_columns = false;
    buf_append_lit(sql, "select e.n");
    for (size_t f = 0; f < count; f++) {
        buf_append_lit(sql, ", (");
        used = write_filter(sql, table, filters[f], used, params);
        buf_append_char(sql, ')');
        for (size_t c = 0; c < filters[f]->count; c++)
            has_columns |= rt_table_column(table, filters[f]->conds[c].column) != NULL;
    }
    buf_append_lit(sql,
                   " from pg_catalog.json_array_elements($1::pg_catalog.json) with ordinality as e (j, n)");
    if (has_columns) {
        buf_append_lit(sql, ", lateral pg_catalog.json_to_record(e.j) as r (");
        write_record(sql, table, filters, count);
        buf_append_char(sql, ')');
    }
    return used;
}

void rt_judge_policy_sql(buf_t *sql, const rt_table_t *table)
{
    buf_append_lit(
        sql,
        "select e.n from pg_catalog.json_array_elements($1::pg_catalog.json) with ordinality as e (j, n), "
        "lateral pg_catalog.json_to_record(e.j) as k (");
    bool has_items = false;
    for (size_t i = 0; i < table->column_count; i++) {
        if (!table->columns[i].is_key)
            continue;
        buf_append_str(sql, has_items ? STR(", ") : STR(""));
        has_items = true;
        ident_append(sql, table->columns[i].name);
        buf_append_char(sql, ' ');
        buf_append_str(sql, table->columns[i].sql);
    }
    buf_append_lit(sql, ") where exists (select from ");
    ident_append_qualified(sql, table->schema, table->name);
    buf_append_lit(sql, " as t where ");
    has_items = false;
    for (size_t i = 0; i < table->column_count; i++) {
        if (!table->columns[i].is_key)
            continue;
        buf_append_str(sql, has_items ? STR(" and t.") : STR("t."));
        has_items = true;
        ident_append(sql, table->columns[i].name);
        buf_append_lit(sql, " = k.");
        ident_append(sql, table->columns[i].name);
    }
    buf_append_char(sql, ')');
}

static bool is_any_of(str_t name, const str_t *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(name, names[i]))
            return true;
    }
    return false;
}

/* How error messages call the types that people try patterns on. */
static str_t spoken_type(const rt_column_t *column)
{
    static const str_t names[][2] = {
        {STR("varchar"), STR("character varying")},
        {STR("int4"), STR("integer")},
        {STR("int8"), STR("bigint")},
        {STR("int2"), STR("smallint")},
        {STR("bool"), STR("boolean")},
        {STR("float8"), STR("double precision")},
        {STR("float4"), STR("real")},
        {STR("timestamptz"), STR("timestamp with time zone")},
        {STR("timestamp"), STR("timestamp without time zone")},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_eq(column->type, names[i][0]))
            return names[i][1];
    }
    return column->type;
}

const char *rt_judge_refusal(pool_t *pool, const rt_table_t *table, const rt_filter_t *filter)
{
    static const str_t textual[] = {STR("text"), STR("bpchar"), STR("name"), STR("bytea")};
    for (size_t c = 0; c < filter->count; c++) {
        const rt_cond_t *cond = &filter->conds[c];
        const rt_column_t *column = rt_table_column(table, cond->column);
        if (column == NULL || !column->is_visible)
            return pool_printf(pool, "ERROR P0001 (raise_exception) invalid column for filter %.*s",
                               STR_ARG(cond->column))
                .base;
        size_t fitting = cond->op == RT_OP_LIKE ? 4 : 3;
        if (rt_op_is_pattern(cond->op) && !is_any_of(column->type, textual, fitting))
            return pool_printf(pool,
                               "ERROR P0001 (raise_exception) operator %.*s requires a text-compatible "
                               "column type, got "
                               "%.*s",
                               STR_ARG(rt_op_name(cond->op)), STR_ARG(spoken_type(column)))
                .base;
        if (cond->op == RT_OP_IS && !str_eq(cond->value, STR("null")) && !str_eq(column->type, STR("bool")))
            return pool_printf(
                       pool,
                       "ERROR P0001 (raise_exception) operator is with value %.*s requires a boolean column "
                       "type, got %.*s",
                       STR_ARG(cond->value), STR_ARG(spoken_type(column)))
                .base;
    }
    return NULL;
}

size_t rt_judge_settings(const rt_viewer_t *viewer, db_setting_t settings[RT_VIEWER_SETTINGS])
{
    settings[0] = (db_setting_t){STR("request.jwt.claims"), viewer->claims_json};
    settings[1] = (db_setting_t){STR("request.jwt.claim.sub"), viewer->sub};
    settings[2] = (db_setting_t){STR("search_path"), STR("pg_catalog, public, extensions")};
    return RT_VIEWER_SETTINGS;
}

bool rt_judge_can_delete(const rt_table_t *table, const rt_filter_t *filter)
{
    for (size_t c = 0; c < filter->count; c++) {
        const rt_column_t *column = rt_table_column(table, filter->conds[c].column);
        if (column == NULL || !column->is_identity)
            return false;
    }
    return true;
}
