#include "rest/sql.h"

void sql_init(sql_t *sql, const planner_t *p)
{
    *sql = (sql_t){.pool = p->pool, .max_rows = p->settings->max_rows};
    buf_init(&sql->text, p->pool, 512);
}

static void grow_params(sql_t *sql)
{
    size_t capacity = sql->param_capacity == 0 ? 8 : sql->param_capacity * 2, count = sql->param_count;
    str_t *params = POOL_ARRAY(sql->pool, str_t, capacity);
    uint32_t *types = POOL_ARRAY(sql->pool, uint32_t, capacity);
    rest_bind_t *binds = POOL_ARRAY(sql->pool, rest_bind_t, capacity);
    if (count > 0) {
        memcpy(params, sql->params, count * sizeof(*params));
        memcpy(types, sql->types, count * sizeof(*types));
        memcpy(binds, sql->binds, count * sizeof(*binds));
    }
    sql->params = params;
    sql->types = types;
    sql->binds = binds;
    sql->param_capacity = capacity;
}

void sql_param(sql_t *sql, str_t value, uint32_t type)
{
    sql_bind(sql, value, type, (rest_bind_t){.kind = REST_BIND_FIXED});
}

void sql_bind(sql_t *sql, str_t value, uint32_t type, rest_bind_t bind)
{
    if (sql->param_count == sql->param_capacity)
        grow_params(sql);
    sql->params[sql->param_count] = value;
    sql->types[sql->param_count] = type;
    sql->binds[sql->param_count++] = bind;
    buf_append_char(&sql->text, '$');
    buf_append_int(&sql->text, (int64_t)sql->param_count);
}

db_stmt_t sql_stmt(const sql_t *sql)
{
    return (db_stmt_t){.sql = buf_str(&sql->text),
                       .params = sql->params,
                       .types = sql->types,
                       .param_count = sql->param_count,
                       .is_unprepared = sql->is_rare};
}

void sql_column(sql_t *sql, str_t qualifier, str_t column)
{
    SQL_IDENT(sql, qualifier);
    buf_append_char(&sql->text, '.');
    if (str_eq(column, STR("*")))
        buf_append_char(&sql->text, '*');
    else
        SQL_IDENT(sql, column);
}

static void path(sql_t *sql, const plan_field_t *f)
{
    for (uint32_t i = 0; i < f->step_count; i++) {
        const rest_json_step_t *step = &f->steps[i];
        SQL_STR(sql, step->is_text ? STR("->>") : STR("->"));
        sql_param(sql, step->operand, SQL_TYPE_UNKNOWN);
        if (step->is_index)
            SQL_LIT(sql, "::int");
    }
}

void sql_field(sql_t *sql, str_t qualifier, const plan_field_t *f)
{
    if (f->is_full_row) {
        SQL_IDENT(sql, qualifier);
        return;
    }
    if (f->is_tsvector_wrapped) {
        SQL_LIT(sql, "to_tsvector(");
        if (!str_is_null(f->language)) {
            sql_param(sql, f->language, SQL_TYPE_UNKNOWN);
            SQL_LIT(sql, ", ");
        }
    }
    bool is_wrapped = f->is_jsonb_wrapped && f->step_count > 0;
    if (is_wrapped)
        SQL_LIT(sql, "to_jsonb(");
    sql_column(sql, qualifier, f->name);
    if (is_wrapped)
        buf_append_char(&sql->text, ')');
    path(sql, f);
    if (f->is_tsvector_wrapped)
        buf_append_char(&sql->text, ')');
}

/* ---- operands ---- */

static void operand(sql_t *sql, const plan_logic_t *l, str_t text, rest_bind_kind_t kind)
{
    rest_bind_t bind = {l->operand != 0 ? kind : REST_BIND_FIXED, l->operand};
    sql_bind(sql, text, SQL_TYPE_UNKNOWN, bind);
}

static void value(sql_t *sql, const plan_logic_t *l)
{
    if (!str_is_null(l->field.transform)) {
        SQL_STR(sql, l->field.transform);
        buf_append_char(&sql->text, '(');
    }
    operand(sql, l, l->expr->value, REST_BIND_VALUE);
    if (!str_is_null(l->field.transform))
        buf_append_char(&sql->text, ')');
}

str_t sql_pattern(pool_t *pool, str_t text)
{
    char *copy = pool_cstr(pool, text);
    for (size_t i = 0; i < text.len; i++)
        if (copy[i] == '*')
            copy[i] = '%';
    return str_make(copy, text.len);
}

static void quantified(sql_t *sql, const plan_logic_t *l)
{
    const filter_expr_t *e = l->expr;
    if (e->quant != FILTER_QUANT_NONE)
        SQL_STR(sql, e->quant == FILTER_QUANT_ANY ? STR("ANY(") : STR("ALL("));
    if (e->op == FILTER_LIKE || e->op == FILTER_ILIKE)
        operand(sql, l, sql_pattern(sql->pool, e->value), REST_BIND_PATTERN);
    else
        value(sql, l);
    if (e->quant != FILTER_QUANT_NONE)
        buf_append_char(&sql->text, ')');
}

/* One array parameter whatever the number of values, so that the text stays the same. */
static void list(sql_t *sql, const plan_logic_t *l)
{
    const filter_expr_t *e = l->expr;
    bool is_empty = e->value_count == 1 && e->values[0].len == 0;
    str_t array = is_empty ? STR("{}") : filter_array_literal(sql->pool, e->values, e->value_count);
    if (str_is_null(l->field.transform)) {
        buf_append_char(&sql->text, '(');
        operand(sql, l, array, REST_BIND_LIST);
    } else {
        SQL_LIT(sql, "(SELECT ");
        SQL_STR(sql, l->field.transform);
        SQL_LIT(sql, "(unnest(");
        operand(sql, l, array, REST_BIND_LIST);
        SQL_LIT(sql, "::text[]))");
    }
    buf_append_char(&sql->text, ')');
}

static void full_text(sql_t *sql, const plan_logic_t *l)
{
    const filter_expr_t *e = l->expr;
    buf_append_char(&sql->text, '(');
    if (!str_is_null(e->language)) {
        sql_param(sql, e->language, SQL_TYPE_UNKNOWN);
        SQL_LIT(sql, ", ");
    }
    operand(sql, l, e->value, REST_BIND_VALUE);
    buf_append_char(&sql->text, ')');
}

static void leaf(sql_t *sql, str_t qualifier, const plan_logic_t *l)
{
    const filter_operator_t *op = filter_operator(l->expr->op);
    if (l->expr->is_negated)
        SQL_LIT(sql, "NOT ");
    sql_field(sql, qualifier, &l->field);
    buf_append_char(&sql->text, ' ');
    SQL_STR(sql, op->sql);
    if (op->kind != FILTER_KIND_FTS && op->kind != FILTER_KIND_LIST)
        buf_append_char(&sql->text, ' ');
    switch (op->kind) {
    case FILTER_KIND_QUANTIFIABLE:
        quantified(sql, l);
        break;
    case FILTER_KIND_SIMPLE:
        value(sql, l);
        break;
    case FILTER_KIND_FTS:
        full_text(sql, l);
        break;
    case FILTER_KIND_LIST:
        list(sql, l);
        break;
    case FILTER_KIND_IS:
        SQL_STR(sql, filter_is_sql(l->expr->is));
        break;
    case FILTER_KIND_DISTINCT:
        operand(sql, l, l->expr->value, REST_BIND_VALUE);
        break;
    }
}

void sql_logic(sql_t *sql, str_t qualifier, const plan_logic_t *l)
{
    switch (l->kind) {
    case PLAN_LOGIC_LEAF:
        leaf(sql, qualifier, l);
        break;
    case PLAN_LOGIC_NULL_EMBED:
        SQL_IDENT(sql, l->embed->agg_alias);
        SQL_STR(sql, l->is_negated ? STR(" IS DISTINCT FROM NULL") : STR(" IS NOT DISTINCT FROM NULL"));
        break;
    case PLAN_LOGIC_TREE:
        SQL_STR(sql, l->is_negated ? STR("NOT (") : STR("("));
        for (uint32_t i = 0; i < l->child_count; i++) {
            if (i > 0)
                SQL_STR(sql, l->is_or ? STR(" OR ") : STR(" AND "));
            sql_logic(sql, qualifier, &l->children[i]);
        }
        buf_append_char(&sql->text, ')');
        break;
    }
}

void sql_where(sql_t *sql, str_t qualifier, const plan_logic_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        SQL_STR(sql, i == 0 ? STR(" WHERE ") : STR(" AND "));
        sql_logic(sql, qualifier, &items[i]);
    }
}

void sql_order(sql_t *sql, str_t qualifier, const plan_order_t *orders, uint32_t count)
{
    static const str_t DIRS[] = {{"", 0}, {" ASC", 4}, {" DESC", 5}};
    static const str_t NULLS[] = {{"", 0}, {" NULLS FIRST", 12}, {" NULLS LAST", 11}};
    for (uint32_t i = 0; i < count; i++) {
        SQL_STR(sql, i == 0 ? STR(" ORDER BY ") : STR(", "));
        sql_field(sql, str_is_null(orders[i].relation) ? qualifier : orders[i].relation, &orders[i].field);
        SQL_STR(sql, DIRS[orders[i].dir]);
        SQL_STR(sql, NULLS[orders[i].nulls]);
    }
}

/* Ranges that pages of usual sizes ask for. Each range makes a text of its own; others than these would fill
 * the connections' statement caches with texts that never come again. */
static bool is_usual(const sql_t *sql, rest_range_t range)
{
    static const int64_t SIZES[] = {12, 15, 20, 24, 25, 30, 40, 50, 100, 200, 250, 500, 1000};
    bool is_size = range.limit <= 10 || range.limit == sql->max_rows;
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(*SIZES) && !is_size; i++)
        is_size = range.limit == SIZES[i];
    bool is_page = range.offset == 0 ||
                   (range.limit > 0 && range.offset % range.limit == 0 && range.offset / range.limit <= 20);
    return is_size && is_page;
}

void sql_range(sql_t *sql, rest_range_t range)
{
    /* literals, so that the planner sees how few rows are wanted */
    if (range.limit >= 0)
        buf_printf(&sql->text, " LIMIT %lld", (long long)range.limit);
    if (range.offset > 0)
        buf_printf(&sql->text, " OFFSET %lld", (long long)range.offset);
    sql->is_rare = sql->is_rare || !is_usual(sql, range);
}
