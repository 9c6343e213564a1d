#include "rest/sql.h"

void sql_comma(sql_t *sql, bool *has_items)
{
    if (*has_items)
        SQL_LIT(sql, ", ");
    *has_items = true;
}

/* Types as clients write them in casts whose text form is plain. */
static bool is_plain_cast(str_t cast)
{
    static const char *const NAMES[] = {"text",     "varchar",   "int",         "integer", "bigint",
                                        "smallint", "int2",      "int4",        "int8",    "numeric",
                                        "decimal",  "real",      "float4",      "float8",  "double precision",
                                        "bool",     "boolean",   "json",        "jsonb",   "date",
                                        "time",     "timestamp", "timestamptz", "uuid",    "interval"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++)
        if (str_eq_nocase(cast, str_from_c(NAMES[i])))
            return true;
    return false;
}

static bool is_plain(const plan_select_t *s)
{
    if (s->agg == REST_AGG_COUNT || s->agg == REST_AGG_SUM || s->agg == REST_AGG_AVG)
        return str_is_null(s->agg_cast) || is_plain_cast(s->agg_cast);
    if (!str_is_null(s->agg_cast))
        return is_plain_cast(s->agg_cast);
    if (!str_is_null(s->cast))
        return is_plain_cast(s->cast);
    if (s->field.step_count > 0 || !str_is_null(s->field.transform))
        return true;
    return s->field.column != NULL && s->field.column->is_plain;
}

/* Names of types that are words of PostgreSQL's grammar: quoted they would mean something else or nothing. */
static const char *const GRAMMAR_TYPES[] = {
    "bigint",
    "bit",
    "bit varying",
    "boolean",
    "char",
    "char varying",
    "character",
    "character varying",
    "dec",
    "decimal",
    "double precision",
    "float",
    "int",
    "integer",
    "interval",
    "national char",
    "national character",
    "national character varying",
    "nchar",
    "numeric",
    "real",
    "smallint",
    "time",
    "time with time zone",
    "time without time zone",
    "timestamp",
    "timestamp with time zone",
    "timestamp without time zone",
    "varchar",
};

void sql_cast(sql_t *sql, str_t cast)
{
    for (size_t i = 0; i < sizeof(GRAMMAR_TYPES) / sizeof(*GRAMMAR_TYPES); i++) {
        if (str_eq_nocase(cast, str_from_c(GRAMMAR_TYPES[i]))) {
            SQL_STR(sql, str_from_c(GRAMMAR_TYPES[i]));
            return;
        }
    }
    /* any other name is a type's own, or no type; unquoted it would have been folded to lower case */
    char *name = pool_cstr(sql->pool, cast);
    for (size_t i = 0; i < cast.len; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] - 'A' + 'a');
    SQL_IDENT(sql, str_make(name, cast.len));
}

str_t sql_aggregate(rest_agg_t agg)
{
    static const str_t OPENINGS[] = {{"", 0},       {"sum(", 4}, {"avg(", 4},
                                     {"count(", 6}, {"max(", 4}, {"min(", 4}};
    return OPENINGS[agg];
}

void sql_select_item(sql_t *sql, str_t qualifier, const plan_select_t *s, sql_out_t out, bool is_grouped)
{
    str_t owner = str_is_null(s->qualifier) ? qualifier : s->qualifier;
    bool is_converted = out == SQL_OUT_COLUMNS && !is_plain(s);
    if (is_converted)
        SQL_STR(sql, is_grouped ? STR("to_jsonb(") : STR("to_json("));
    if (!str_is_null(s->agg_cast) && s->agg != REST_AGG_NONE)
        SQL_LIT(sql, "CAST(");
    SQL_STR(sql, sql_aggregate(s->agg));
    if (!str_is_null(s->cast))
        SQL_LIT(sql, "CAST(");
    if (!str_is_null(s->field.transform)) {
        SQL_STR(sql, s->field.transform);
        buf_append_char(&sql->text, '(');
    }
    if (s->agg == REST_AGG_COUNT && str_eq(s->field.name, STR("*")) && !s->field.is_full_row)
        buf_append_char(&sql->text, '*'); /* of the row itself every column would have to be readable */
    else
        sql_field(sql, owner, &s->field);
    if (!str_is_null(s->field.transform))
        buf_append_char(&sql->text, ')');
    if (!str_is_null(s->cast)) {
        SQL_LIT(sql, " AS ");
        sql_cast(sql, s->cast);
        buf_append_char(&sql->text, ')');
    }
    if (s->agg != REST_AGG_NONE)
        buf_append_char(&sql->text, ')');
    if (!str_is_null(s->agg_cast) && s->agg != REST_AGG_NONE) {
        SQL_LIT(sql, " AS ");
        sql_cast(sql, s->agg_cast);
        buf_append_char(&sql->text, ')');
    }
    if (is_converted)
        buf_append_char(&sql->text, ')');
    if (!str_is_null(s->alias) || (is_converted && s->agg == REST_AGG_NONE)) {
        SQL_LIT(sql, " AS ");
        SQL_IDENT(sql, str_is_null(s->alias) ? s->field.name : s->alias);
    } else if (is_converted) {
        SQL_STR(sql, s->agg == REST_AGG_MAX ? STR(" AS max") : STR(" AS min"));
    }
}

/* What a node's star stands for; NULL when only the database knows. */
static const schema_column_t *star_columns(const plan_node_t *node, size_t *count)
{
    bool is_table = node->results == NULL && node->table != NULL && !node->is_row_elsewhere;
    *count = is_table ? node->table->column_count : node->result_count;
    return is_table ? node->table->columns : node->results;
}

static bool has_only_plain(const schema_column_t *columns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!columns[i].is_plain)
            return false;
    return true;
}

static void star(sql_t *sql, const plan_node_t *node, str_t qualifier, sql_out_t out, bool *has_items)
{
    size_t count;
    const schema_column_t *columns = star_columns(node, &count);
    if (out != SQL_OUT_COLUMNS || columns == NULL || has_only_plain(columns, count)) {
        sql_comma(sql, has_items);
        sql_column(sql, qualifier, STR("*"));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        plan_select_t item = {.field = {.name = columns[i].name, .column = &columns[i]}};
        sql_comma(sql, has_items);
        sql_select_item(sql, qualifier, &item, out, false);
    }
}

static void scalar_column(sql_t *sql, str_t qualifier, const sql_source_t *source, sql_out_t out)
{
    bool is_converted = out == SQL_OUT_COLUMNS && !source->is_scalar_plain;
    if (is_converted)
        SQL_LIT(sql, "to_json(");
    sql_column(sql, qualifier, source->scalar);
    if (is_converted) {
        SQL_LIT(sql, ") AS ");
        SQL_IDENT(sql, source->scalar);
    }
}

void sql_select_columns(sql_t *sql, const plan_node_t *node, str_t qualifier, const sql_source_t *source,
                        sql_out_t out, bool *has_items)
{
    bool is_grouped = node->is_grouped;
    if (node->select_count == 0 && node->child_count == 0)
        star(sql, node, qualifier, out, has_items);
    for (uint32_t i = 0; i < node->select_count; i++) {
        const plan_select_t *s = &node->selects[i];
        if (!plan_is_star(s)) {
            sql_comma(sql, has_items);
            sql_select_item(sql, qualifier, s, out, is_grouped);
        } else if (source == NULL || str_is_null(source->scalar)) {
            star(sql, node, qualifier, out, has_items);
        } else {
            sql_comma(sql, has_items);
            scalar_column(sql, qualifier, source, out);
        }
    }
}

void sql_select_list(sql_t *sql, const plan_node_t *node, str_t qualifier, sql_out_t out)
{
    bool has_items = false;
    sql_select_columns(sql, node, qualifier, NULL, out, &has_items);
}

/* Spreads whose star has columns that only the database can write as JSON. */
static bool has_odd_spread(const plan_node_t *root)
{
    for (uint32_t c = 0; c < root->child_count; c++)
        for (uint32_t i = 0; i < root->children[c]->lifted_count; i++)
            if (root->children[c]->lifted[i].is_odd && str_eq(root->children[c]->lifted[i].name, STR("*")))
                return true;
    return false;
}

bool sql_needs_row_json(const plan_node_t *root, const sql_source_t *source)
{
    if (has_odd_spread(root))
        return true;
    size_t count;
    if (star_columns(root, &count) != NULL || (source != NULL && !str_is_null(source->scalar)))
        return false;
    if (root->select_count == 0 && root->child_count == 0)
        return true;
    for (uint32_t i = 0; i < root->select_count; i++)
        if (plan_is_star(&root->selects[i]))
            return true;
    return false;
}
