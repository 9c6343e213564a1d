/* Change records: the row images that PostgreSQL wrote, cut to what a role may see. Values pass through as
 * text, so numbers keep their digits. */
#include "base/clock.h"
#include "base/emit.h"
#include "realtime/inside.h"
#include "realtime/json_slice.h"

enum { RECORD_MAX = 1024 * 1024, SMALL_VALUE_MAX = 64 };
enum { OID_BYTEA = 17, OID_FLOAT4 = 700, OID_FLOAT8 = 701, OID_NUMERIC = 1700 };

/* Two kinds of value differ from to_json: not-a-numbers are null, bytea has no \x. */
static void write_value(buf_t *out, const rt_column_t *column, str_t value)
{
    bool is_number =
        column->base_oid == OID_FLOAT4 || column->base_oid == OID_FLOAT8 || column->base_oid == OID_NUMERIC;
    if (is_number && json_slice_is_string(value)) {
        buf_append_lit(out, "null");
    } else if (column->base_oid == OID_BYTEA && str_starts_with(value, STR("\"\\\\x"))) {
        buf_append_char(out, '"');
        buf_append_str(out, str_slice(value, 4, value.len));
    } else {
        buf_append_str(out, value);
    }
}

static bool is_wanted(const rt_column_t *column, rt_want_t want)
{
    if (want == RT_WANT_RAW_KEY)
        return column->is_key;
    if (!column->is_visible)
        return false;
    return want == RT_WANT_ALL || (want == RT_WANT_KEY && column->is_key) ||
           (want == RT_WANT_IDENTITY && column->is_identity);
}

void rt_row_write(buf_t *out, const rt_table_t *table, str_t row, rt_want_t want, size_t value_max)
{
    size_t at = 0, next = 0;
    str_t key, value;
    bool has_items = false;
    buf_append_char(out, '{');
    while (json_slice_member(row, &at, &key, &value)) {
        /* Both are in attribute order, so the search goes on from the last column found. */
        size_t i = next;
        while (i < table->column_count && !str_eq(table->columns[i].key, key))
            i++;
        if (i == table->column_count)
            continue; /* dropped or renamed since */
        next = i + 1;
        if (!is_wanted(&table->columns[i], want) || value.len > value_max)
            continue;
        if (has_items)
            buf_append_char(out, ',');
        has_items = true;
        buf_append_char(out, '"');
        buf_append_str(out, key);
        buf_append_lit(out, "\":");
        if (want == RT_WANT_RAW_KEY)
            buf_append_str(out, value);
        else
            write_value(out, &table->columns[i], value);
    }
    buf_append_char(out, '}');
}

bool rt_data_is_bare(const rt_table_t *table, const rt_change_t *change)
{
    return change->op != 'D' && (table->key_count == 0 || !table->is_key_visible);
}

static str_t type_name(char op)
{
    return op == 'I' ? STR("INSERT") : op == 'U' ? STR("UPDATE") : STR("DELETE");
}

static void write_head(buf_t *out, const rt_table_t *table, const rt_change_t *change)
{
    buf_append_lit(out, "{\"schema\":");
    emit_json_string(out, table->schema);
    buf_append_lit(out, ",\"table\":");
    emit_json_string(out, table->name);
    buf_append_lit(out, ",\"type\":\"");
    buf_append_str(out, type_name(change->op));
    buf_append_char(out, '"');
}

static void write_bare(buf_t *out, const rt_table_t *table, const rt_change_t *change)
{
    write_head(out, table, change);
    buf_append_lit(out, ",\"commit_timestamp\":null,\"columns\":[],\"record\":{}");
    if (change->op == 'U')
        buf_append_lit(out, ",\"old_record\":{}");
    buf_append_str(out, table->key_count == 0
                            ? STR(",\"errors\":[\"Error 400: Bad Request, no primary key\"]}")
                            : STR(",\"errors\":[\"Error 401: Unauthorized\"]}"));
}

void rt_data_write(buf_t *out, const rt_table_t *table, const rt_change_t *change)
{
    if (rt_data_is_bare(table, change)) {
        write_bare(out, table, change);
        return;
    }
    bool is_large = change->old_row.len > RECORD_MAX || change->new_row.len > RECORD_MAX;
    size_t value_max = is_large ? SMALL_VALUE_MAX : SIZE_MAX;
    write_head(out, table, change);
    pool_t *pool = pool_create();
    buf_append_lit(out, ",\"commit_timestamp\":\"");
    buf_append_str(out, clock_iso8601(pool, change->commit_ms));
    pool_destroy(pool);
    buf_append_lit(out, "\",\"columns\":");
    buf_append_str(out, table->columns_json);
    if (change->op != 'D') {
        buf_append_lit(out, ",\"record\":");
        rt_row_write(out, table, change->new_row, RT_WANT_ALL, value_max);
    }
    if (change->op != 'I') {
        bool is_cut = change->op == 'D' && table->is_rls;
        buf_append_lit(out, ",\"old_record\":");
        rt_row_write(out, table, change->old_row, is_cut ? RT_WANT_KEY : RT_WANT_IDENTITY, value_max);
    }
    buf_append_str(out, is_large ? STR(",\"errors\":[\"Error 413: Payload Too Large\"]}")
                                 : STR(",\"errors\":null}"));
}
