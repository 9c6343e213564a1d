#include "rest/openapi.h"

#include "base/read_json.h"

/* ---- definitions ---- */

/* The first relationship over this column alone, tables before views. */
static const schema_relation_t *foreign_key(const schema_table_t *table, str_t column)
{
    for (int wants_view = 0; wants_view < 2; wants_view++) {
        for (size_t i = 0; i < table->relation_count; i++) {
            const schema_relation_t *r = table->relations[i];
            bool is_key = r->kind == SCHEMA_REL_M2O || (r->kind == SCHEMA_REL_O2O && !r->is_parent);
            if (is_key && r->foreign_is_view == (wants_view == 1) && r->pair_count == 1 &&
                str_eq(r->pairs[0].from, column) && str_eq(r->foreign.schema, table->schema))
                return r;
        }
    }
    return NULL;
}

static bool is_key_column(const schema_table_t *table, str_t column)
{
    for (size_t i = 0; i < table->primary_key_count; i++)
        if (str_eq(table->primary_key[i], column))
            return true;
    return false;
}

static str_t describe(pool_t *pool, const schema_table_t *table, const schema_column_t *column)
{
    const schema_relation_t *key = foreign_key(table, column->name);
    bool is_key = is_key_column(table, column->name);
    if (key == NULL && !is_key)
        return column->comment;
    buf_t out;
    buf_init(&out, pool, 128);
    if (!str_is_null(column->comment)) {
        buf_append_str(&out, column->comment);
        buf_append_lit(&out, "\n\n");
    }
    buf_append_lit(&out, "Note:");
    if (is_key)
        buf_append_lit(&out, "\nThis is a Primary Key.<pk/>");
    if (key != NULL)
        buf_printf(&out, "\nThis is a Foreign Key to `%.*s.%.*s`.<fk table='%.*s' column='%.*s'/>",
                   STR_ARG(key->foreign.name), STR_ARG(key->pairs[0].to), STR_ARG(key->foreign.name),
                   STR_ARG(key->pairs[0].to));
    return buf_str(&out);
}

/* A default that is a constant, as JSON; the null string when it is an expression. */
static str_t constant_default(pool_t *pool, const schema_column_t *column)
{
    str_t text = column->default_value;
    if (str_is_null(text))
        return STR_NULL;
    const char *name = openapi_type_name(column->base_type);
    if (name != NULL && strcmp(name, "string") == 0) {
        str_t suffix = pool_concat(pool, 2, STR("::"), column->base_type);
        if (str_ends_with(text, suffix)) {
            text = str_slice(text, 0, text.len - suffix.len);
            while (text.len > 0 && text.base[0] == '\'')
                text = str_slice(text, 1, text.len);
            while (text.len > 0 && text.base[text.len - 1] == '\'')
                text.len--;
        }
        text = pool_concat(pool, 3, STR("\""), text, STR("\""));
    }
    json_t *value = NULL;
    read_json_limits_t limits = {.any_value = true};
    return read_json(pool, text, &limits, &value) == NULL ? text : STR_NULL;
}

static void emit_property(emit_t *e, pool_t *pool, const schema_table_t *table, const schema_column_t *column)
{
    str_t description = describe(pool, table, column);
    str_t constant = constant_default(pool, column);
    emit_key(e, column->name);
    emit_object_begin(e);
    if (!str_is_null(constant))
        emit_kv_raw(e, "default", constant);
    if (!str_is_null(description))
        emit_kv_string(e, "description", description);
    if (column->enum_count > 0) {
        emit_key(e, STR("enum"));
        emit_array_begin(e);
        for (size_t i = 0; i < column->enum_count; i++)
            emit_string(e, column->enum_values[i]);
        emit_array_end(e);
    }
    openapi_type(e, column->base_type);
    if (column->max_length > 0)
        emit_kv_int(e, "maxLength", column->max_length);
    emit_object_end(e);
}

void openapi_definition(emit_t *e, pool_t *pool, const schema_table_t *table)
{
    bool has_required = false;
    emit_key(e, table->name);
    emit_object_begin(e);
    if (!str_is_null(table->comment))
        emit_kv_string(e, "description", table->comment);
    emit_kv_string(e, "type", STR("object"));
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].is_nullable)
            continue;
        if (!has_required) {
            emit_key(e, STR("required"));
            emit_array_begin(e);
        }
        has_required = true;
        emit_string(e, table->columns[i].name);
    }
    if (has_required)
        emit_array_end(e);
    if (table->column_count > 0) {
        emit_key(e, STR("properties"));
        emit_object_begin(e);
        for (size_t i = 0; i < table->column_count; i++)
            emit_property(e, pool, table, &table->columns[i]);
        emit_object_end(e);
    }
    emit_object_end(e);
}

/* ---- paths ---- */

static void emit_ref(emit_t *e, pool_t *pool, const char *to, str_t name)
{
    emit_object_begin(e);
    emit_kv_string(e, "$ref", pool_printf(pool, "#/%s%.*s", to, STR_ARG(name)));
    emit_object_end(e);
}

static void emit_filters(emit_t *e, pool_t *pool, const schema_table_t *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        emit_ref(
            e, pool, "parameters/",
            pool_printf(pool, "rowFilter.%.*s.%.*s", STR_ARG(table->name), STR_ARG(table->columns[i].name)));
}

static void operation_begin(emit_t *e, const schema_table_t *table, const char *method)
{
    str_t summary, description;
    openapi_comment(table->comment, &summary, &description);
    emit_key(e, str_from_c(method));
    emit_object_begin(e);
    emit_key(e, STR("tags"));
    emit_array_begin(e);
    emit_string(e, table->name);
    emit_array_end(e);
    if (!str_is_null(summary))
        emit_kv_string(e, "summary", summary);
    if (!str_is_null(description))
        emit_kv_string(e, "description", description);
    emit_key(e, STR("parameters"));
    emit_array_begin(e);
}

static void operation_end(emit_t *e, str_t responses)
{
    emit_array_end(e);
    emit_kv_raw(e, "responses", responses);
    emit_object_end(e);
}

static void emit_get(emit_t *e, pool_t *pool, const schema_table_t *table)
{
    static const char *const NAMES[] = {"select", "order", "range",      "rangeUnit",
                                        "offset", "limit", "preferCount"};
    operation_begin(e, table, "get");
    emit_filters(e, pool, table);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++)
        emit_ref(e, pool, "parameters/", str_from_c(NAMES[i]));
    buf_t ref;
    buf_init(&ref, pool, 64);
    emit_json_string(&ref, pool_concat(pool, 2, STR("#/definitions/"), table->name));
    operation_end(
        e, pool_printf(pool,
                       "{\"200\":{\"description\":\"OK\",\"schema\":{\"type\":\"array\",\"items\":{\"$ref\":"
                       "%.*s}}},\"206\":{\"description\":\"Partial Content\"}}",
                       STR_ARG(buf_str(&ref))));
}

static void emit_writes(emit_t *e, pool_t *pool, const schema_table_t *table)
{
    str_t body = pool_concat(pool, 2, STR("body."), table->name);
    operation_begin(e, table, "post");
    emit_ref(e, pool, "parameters/", body);
    emit_ref(e, pool, "parameters/", STR("select"));
    emit_ref(e, pool, "parameters/", STR("preferPost"));
    operation_end(e, STR("{\"201\":{\"description\":\"Created\"}}"));
    operation_begin(e, table, "patch");
    emit_filters(e, pool, table);
    emit_ref(e, pool, "parameters/", body);
    emit_ref(e, pool, "parameters/", STR("preferReturn"));
    operation_end(e, STR("{\"204\":{\"description\":\"No Content\"}}"));
    operation_begin(e, table, "delete");
    emit_filters(e, pool, table);
    emit_ref(e, pool, "parameters/", STR("preferReturn"));
    operation_end(e, STR("{\"204\":{\"description\":\"No Content\"}}"));
}

void openapi_table_path(emit_t *e, pool_t *pool, const schema_table_t *table)
{
    emit_key(e, pool_concat(pool, 2, STR("/"), table->name));
    emit_object_begin(e);
    emit_get(e, pool, table);
    if (table->is_insertable || table->is_updatable || table->is_deletable)
        emit_writes(e, pool, table);
    emit_object_end(e);
}

/* ---- parameters ---- */

static void emit_filter_parameter(emit_t *e, pool_t *pool, const schema_table_t *table,
                                  const schema_column_t *column)
{
    emit_key(e, pool_printf(pool, "rowFilter.%.*s.%.*s", STR_ARG(table->name), STR_ARG(column->name)));
    emit_object_begin(e);
    emit_kv_string(e, "name", column->name);
    if (!str_is_null(column->comment))
        emit_kv_string(e, "description", column->comment);
    emit_kv_bool(e, "required", false);
    emit_kv_string(e, "in", STR("query"));
    emit_kv_string(e, "type", STR("string"));
    emit_object_end(e);
}

void openapi_table_parameters(emit_t *e, pool_t *pool, const schema_table_t *table)
{
    emit_key(e, pool_concat(pool, 2, STR("body."), table->name));
    emit_object_begin(e);
    emit_kv_string(e, "name", table->name);
    emit_kv_string(e, "description", table->name);
    emit_kv_bool(e, "required", false);
    emit_kv_string(e, "in", STR("body"));
    emit_key(e, STR("schema"));
    emit_ref(e, pool, "definitions/", table->name);
    emit_object_end(e);
    for (size_t i = 0; i < table->column_count; i++)
        emit_filter_parameter(e, pool, table, &table->columns[i]);
}
