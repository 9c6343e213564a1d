/* A node becomes
 *     SELECT columns, embeds FROM relation LEFT JOIN LATERAL (child) AS x ON true .. WHERE .. ORDER BY ..
 * LIMIT .. and each child the same inside its lateral subquery, joined to its parent by the key's columns:
 * to-one as a row, to-many collected by json_agg. When a range is asked for and no embed can drop a row (no
 * inner join, no condition or order on an embed), the range is applied before the joins, in a subquery over
 * the bare relation: the embeds of rows that nobody asked for are then never computed. */
#include "rest/sql.h"

/* ---- embeds ---- */

/* Text of the whole answer (CSV, handlers) shows embeds as jsonb, with the peer's spaces and order of keys.
 */
static bool is_shown_as_text(const plan_node_t *child, sql_out_t out)
{
    return out == SQL_OUT_TEXT && child->parent->parent == NULL;
}

static void lifted_column(sql_t *sql, const plan_node_t *child, const plan_lifted_t *l, sql_out_t out)
{
    bool is_star = str_eq(l->name, STR("*"));
    bool is_collected = child->spread == PLAN_SPREAD_MANY;
    bool is_converted = out == SQL_OUT_COLUMNS && l->is_odd && !is_star && !is_collected &&
                        (l->agg == REST_AGG_NONE || l->agg == REST_AGG_MAX || l->agg == REST_AGG_MIN);
    bool is_text = is_shown_as_text(child, out) && (l->is_embed || is_collected) && l->agg == REST_AGG_NONE;
    if (is_converted || is_text)
        SQL_LIT(sql, "to_jsonb(");
    if (!str_is_null(l->agg_cast))
        SQL_LIT(sql, "CAST(");
    SQL_STR(sql, sql_aggregate(l->agg));
    sql_column(sql, child->agg_alias, l->name);
    if (l->agg != REST_AGG_NONE)
        buf_append_char(&sql->text, ')');
    if (!str_is_null(l->agg_cast)) {
        SQL_LIT(sql, " AS ");
        sql_cast(sql, l->agg_cast);
        buf_append_char(&sql->text, ')');
    }
    if (is_converted || is_text)
        buf_append_char(&sql->text, ')');
    if (!str_is_null(l->alias) || is_converted || is_text) {
        SQL_LIT(sql, " AS ");
        SQL_IDENT(sql, str_is_null(l->alias) ? l->name : l->alias);
    }
}

static str_t shown_name(const plan_node_t *node)
{
    return str_is_null(node->rel_alias) ? node->rel_name : node->rel_alias;
}

/* The columns that a child adds to its parent's select list. Grouped ones must be jsonb: json cannot be
 * compared. */
static void select_child(sql_t *sql, const plan_node_t *child, sql_out_t out, bool is_grouped,
                         bool *has_items)
{
    if (child->spread != PLAN_SPREAD_NONE) {
        for (uint32_t i = 0; i < child->lifted_count; i++) {
            sql_comma(sql, has_items);
            lifted_column(sql, child, &child->lifted[i], out);
        }
        return;
    }
    if (child->is_empty_embed)
        return;
    sql_comma(sql, has_items);
    if (child->is_to_one) {
        SQL_LIT(sql, "row_to_json(");
        SQL_IDENT(sql, child->agg_alias);
        SQL_LIT(sql, ".*)");
    } else {
        SQL_LIT(sql, "COALESCE(");
        sql_column(sql, child->agg_alias, child->agg_alias);
        SQL_LIT(sql, ", '[]')");
    }
    if (is_grouped || is_shown_as_text(child, out))
        SQL_LIT(sql, "::jsonb");
    SQL_LIT(sql, " AS ");
    SQL_IDENT(sql, shown_name(child));
}

static void node_sql(sql_t *sql, const plan_node_t *node, const sql_source_t *source, sql_out_t out);

/* "json_agg(x) AS x, json_agg(x.column ORDER BY ..) AS column ..": a to-many child as one row. */
static void collected(sql_t *sql, const plan_node_t *child)
{
    SQL_LIT(sql, "SELECT json_agg(");
    SQL_IDENT(sql, child->agg_alias);
    SQL_LIT(sql, ") AS ");
    SQL_IDENT(sql, child->agg_alias);
    bool is_grouped = child->parent->is_grouped;
    for (uint32_t i = 0; i < child->lifted_count; i++) {
        SQL_LIT(sql, ", COALESCE(json_agg(");
        sql_column(sql, child->agg_alias, child->lifted[i].name);
        sql_order(sql, child->agg_alias, child->spread_orders, child->spread_order_count);
        SQL_LIT(sql, "), '[]')");
        if (is_grouped)
            SQL_LIT(sql, "::jsonb");
        SQL_LIT(sql, " AS ");
        SQL_IDENT(sql, child->lifted[i].name);
    }
    SQL_LIT(sql, " FROM (");
    node_sql(sql, child, NULL, SQL_OUT_TEXT);
    SQL_LIT(sql, ") AS ");
    SQL_IDENT(sql, child->agg_alias);
}

static void join_child(sql_t *sql, const plan_node_t *child)
{
    bool is_inner = child->join == REST_JOIN_INNER;
    bool is_row = child->is_to_one;
    SQL_STR(sql, is_inner ? STR(" INNER JOIN LATERAL (") : STR(" LEFT JOIN LATERAL ("));
    if (is_row)
        node_sql(sql, child, NULL, SQL_OUT_TEXT);
    else
        collected(sql, child);
    SQL_LIT(sql, ") AS ");
    SQL_IDENT(sql, child->agg_alias);
    SQL_LIT(sql, " ON ");
    if (is_inner && !is_row) {
        SQL_IDENT(sql, child->agg_alias);
        SQL_LIT(sql, " IS NOT NULL");
    } else {
        SQL_LIT(sql, "TRUE");
    }
}

/* ---- from, where, group by ---- */

static void from_relation(sql_t *sql, const plan_node_t *node)
{
    const schema_relation_t *r = node->relation;
    if (r != NULL && r->kind == SCHEMA_REL_COMPUTED) {
        ident_append_qualified(&sql->text, r->function.schema, r->function.name);
        /* `.*` because a column of a neighbour may have the same name; the cast tells overloads apart, and
         * makes a row of a common table expression one of its table */
        SQL_LIT(sql, "((");
        SQL_IDENT(sql, node->parent->alias);
        SQL_LIT(sql, ".*)::");
        ident_append_qualified(&sql->text, r->table.schema, r->table.name);
        buf_append_char(&sql->text, ')');
    } else if (str_is_null(node->from.schema)) {
        SQL_IDENT(sql, node->from.name);
    } else {
        ident_append_qualified(&sql->text, node->from.schema, node->from.name);
    }
    if (!str_eq(node->alias, node->from.name) || (r != NULL && r->kind == SCHEMA_REL_COMPUTED)) {
        SQL_LIT(sql, " AS ");
        SQL_IDENT(sql, node->alias);
    }
    if (r != NULL && r->kind == SCHEMA_REL_M2M) {
        SQL_LIT(sql, ", ");
        ident_append_qualified(&sql->text, r->junction.schema, r->junction.name);
    }
}

static void equal(sql_t *sql, str_t left, str_t left_column, str_t right, str_t right_column, bool *has_where)
{
    SQL_STR(sql, *has_where ? STR(" AND ") : STR(" WHERE "));
    *has_where = true;
    sql_column(sql, left, left_column);
    SQL_LIT(sql, " = ");
    sql_column(sql, right, right_column);
}

static void where_joined(sql_t *sql, const plan_node_t *node, bool *has_where)
{
    const schema_relation_t *r = node->relation;
    if (r == NULL || r->kind == SCHEMA_REL_COMPUTED)
        return;
    str_t parent = node->parent->alias;
    for (size_t i = 0; i < r->pair_count; i++)
        equal(sql, node->alias, r->pairs[i].to, parent, r->pairs[i].from, has_where);
    for (size_t i = 0; i < r->target_count; i++)
        equal(sql, r->junction.name, r->target_pairs[i].to, node->alias, r->target_pairs[i].from, has_where);
    for (size_t i = 0; i < r->source_count; i++)
        equal(sql, r->junction.name, r->source_pairs[i].to, parent, r->source_pairs[i].from, has_where);
}

static void from_where(sql_t *sql, const plan_node_t *node, const sql_source_t *source, bool has_joins)
{
    SQL_LIT(sql, " FROM ");
    if (source != NULL && source->from != NULL)
        source->from(sql, node, source->arg);
    else
        from_relation(sql, node);
    for (uint32_t i = 0; has_joins && i < node->child_count; i++)
        join_child(sql, node->children[i]);
    sql_where(sql, node->alias, node->where, node->where_count);
    bool has_where = node->where_count > 0;
    where_joined(sql, node, &has_where);
}

static void group_item(sql_t *sql, bool *has_items)
{
    SQL_STR(sql, *has_items ? STR(", ") : STR(" GROUP BY "));
    *has_items = true;
}

static void group_by(sql_t *sql, const plan_node_t *node)
{
    bool has_items = false;
    if (!plan_has_aggregate(node))
        return;
    for (uint32_t i = 0; i < node->select_count; i++) {
        const plan_select_t *s = &node->selects[i];
        if (s->agg != REST_AGG_NONE)
            continue;
        group_item(sql, &has_items);
        if (str_is_null(s->alias))
            sql_field(sql, node->alias, &s->field);
        else
            SQL_IDENT(sql, s->alias);
    }
    for (uint32_t c = 0; c < node->child_count; c++) {
        const plan_node_t *child = node->children[c];
        if (child->spread == PLAN_SPREAD_NONE && !child->is_empty_embed) {
            group_item(sql, &has_items);
            SQL_IDENT(sql, shown_name(child));
        }
        for (uint32_t i = 0; i < child->lifted_count; i++) {
            if (child->lifted[i].agg != REST_AGG_NONE)
                continue;
            group_item(sql, &has_items);
            sql_column(sql, child->agg_alias, child->lifted[i].name);
        }
    }
}

/* ---- the range below the joins ---- */

static bool mentions_embed(const plan_logic_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (items[i].kind == PLAN_LOGIC_NULL_EMBED || mentions_embed(items[i].children, items[i].child_count))
            return true;
    return false;
}

static bool is_range_first(const plan_node_t *node, const sql_source_t *source)
{
    if (node->child_count == 0 || rest_range_is_all(node->range) || node->table == NULL ||
        node->spread == PLAN_SPREAD_MANY || source != NULL || plan_has_aggregate(node) ||
        mentions_embed(node->where, node->where_count))
        return false;
    for (uint32_t i = 0; i < node->child_count; i++)
        if (node->children[i]->join == REST_JOIN_INNER ||
            node->children[i]->relation->kind == SCHEMA_REL_COMPUTED)
            return false; /* may drop rows; needs the row itself */
    for (uint32_t i = 0; i < node->order_count; i++)
        if (!str_is_null(node->orders[i].relation) || node->orders[i].field.column == NULL)
            return false;
    for (uint32_t i = 0; i < node->select_count; i++)
        if (node->selects[i].field.column == NULL && !plan_is_star(&node->selects[i]))
            return false; /* a computed column is a function of the row */
    return true;
}

typedef struct {
    sql_t *sql;
    str_t alias;
    const schema_table_t *table;
    bool *written; /* by column */
    bool has_items;
} needed_t;

static void need(needed_t *n, str_t column)
{
    const schema_column_t *c = schema_column(n->table, column);
    if (c == NULL || n->written[c - n->table->columns])
        return;
    n->written[c - n->table->columns] = true;
    sql_comma(n->sql, &n->has_items);
    sql_column(n->sql, n->alias, column);
}

/* What the outer query reads of the relation: no more, because the role may not be allowed to see more. */
static void needed_columns(sql_t *sql, const plan_node_t *node)
{
    needed_t n = {sql, node->alias, node->table, POOL_ARRAY(sql->pool, bool, node->table->column_count + 1),
                  false};
    for (uint32_t i = 0; i < node->select_count; i++) {
        if (plan_is_star(&node->selects[i])) {
            sql_column(sql, node->alias, STR("*"));
            return;
        }
    }
    for (uint32_t i = 0; i < node->select_count; i++)
        need(&n, node->selects[i].field.name);
    for (uint32_t i = 0; i < node->order_count; i++)
        need(&n, node->orders[i].field.name);
    for (uint32_t c = 0; c < node->child_count; c++) {
        const schema_relation_t *r = node->children[c]->relation;
        for (size_t i = 0; i < r->pair_count; i++)
            need(&n, r->pairs[i].from);
        for (size_t i = 0; i < r->source_count; i++)
            need(&n, r->source_pairs[i].from);
    }
}

/* A to-one embed may yet find several rows: a computed relationship may return them, and the columns of a
 * view need not be as unique as those of its base table. */
static bool may_multiply(const plan_node_t *node)
{
    for (uint32_t i = 0; i < node->child_count; i++) {
        const plan_node_t *child = node->children[i];
        if (child->is_to_one && (child->relation->kind == SCHEMA_REL_COMPUTED ||
                                 child->relation->foreign_is_view || may_multiply(child)))
            return true;
    }
    return false;
}

/* The first offset + limit rows of the relation cover what the joins can make of the range; where the joins
 * keep the number of rows, they are exactly it. */
static rest_range_t inner_range(const plan_node_t *node)
{
    rest_range_t range = node->range;
    if (!may_multiply(node))
        return range;
    if (range.limit >= 0 && range.limit > INT64_MAX - range.offset)
        range.limit = -1;
    if (range.limit >= 0)
        range.limit += range.offset;
    range.offset = 0;
    return range;
}

static void from_ranged(sql_t *sql, const plan_node_t *node)
{
    SQL_LIT(sql, " FROM (SELECT ");
    needed_columns(sql, node);
    from_where(sql, node, NULL, false);
    sql_order(sql, node->alias, node->orders, node->order_count);
    sql_range(sql, inner_range(node));
    SQL_LIT(sql, ") AS ");
    SQL_IDENT(sql, node->alias);
    for (uint32_t i = 0; i < node->child_count; i++)
        join_child(sql, node->children[i]);
}

static void node_sql(sql_t *sql, const plan_node_t *node, const sql_source_t *source, sql_out_t out)
{
    bool has_items = false, is_grouped = node->is_grouped;
    SQL_LIT(sql, "SELECT ");
    sql_select_columns(sql, node, node->alias, source, out, &has_items);
    for (uint32_t i = 0; i < node->spread_order_count; i++) {
        sql_comma(sql, &has_items);
        sql_select_item(sql, node->alias, &node->order_selects[i], SQL_OUT_TEXT, false);
    }
    for (uint32_t i = 0; i < node->child_count; i++)
        select_child(sql, node->children[i], out, is_grouped, &has_items);
    if (is_range_first(node, source)) {
        from_ranged(sql, node);
        sql_order(sql, node->alias, node->orders, node->order_count);
        if (may_multiply(node))
            sql_range(sql, node->range);
        return;
    }
    from_where(sql, node, source, true);
    group_by(sql, node);
    sql_order(sql, node->alias, node->orders, node->order_count);
    sql_range(sql, node->range);
}

void sql_read(sql_t *sql, const plan_node_t *root, const sql_source_t *source, sql_out_t out)
{
    if (out != SQL_OUT_JSON_ROWS) {
        node_sql(sql, root, source, out);
        return;
    }
    SQL_LIT(sql, "SELECT row_to_json(basalt_row) FROM (");
    node_sql(sql, root, source, SQL_OUT_TEXT);
    SQL_LIT(sql, ") AS basalt_row");
}

/* ---- counting ---- */

static void count_logic(sql_t *sql, const plan_node_t *node, const plan_logic_t *l)
{
    if (l->kind == PLAN_LOGIC_NULL_EMBED) {
        SQL_STR(sql, l->is_negated ? STR("EXISTS (") : STR("NOT EXISTS ("));
        sql_count_rows(sql, l->embed, NULL);
        buf_append_char(&sql->text, ')');
    } else if (l->kind == PLAN_LOGIC_TREE) {
        SQL_STR(sql, l->is_negated ? STR("NOT (") : STR("("));
        for (uint32_t i = 0; i < l->child_count; i++) {
            if (i > 0)
                SQL_STR(sql, l->is_or ? STR(" OR ") : STR(" AND "));
            count_logic(sql, node, &l->children[i]);
        }
        buf_append_char(&sql->text, ')');
    } else {
        sql_logic(sql, node->alias, l);
    }
}

void sql_count_rows(sql_t *sql, const plan_node_t *node, const sql_source_t *source)
{
    SQL_LIT(sql, "SELECT 1 FROM ");
    if (source != NULL && source->from != NULL)
        source->from(sql, node, source->arg);
    else
        from_relation(sql, node);
    bool has_where = false;
    for (uint32_t i = 0; i < node->where_count; i++) {
        SQL_STR(sql, has_where ? STR(" AND ") : STR(" WHERE "));
        has_where = true;
        count_logic(sql, node, &node->where[i]);
    }
    where_joined(sql, node, &has_where);
    for (uint32_t i = 0; i < node->child_count; i++) {
        if (node->children[i]->join != REST_JOIN_INNER)
            continue;
        SQL_STR(sql, has_where ? STR(" AND ") : STR(" WHERE "));
        has_where = true;
        SQL_LIT(sql, "EXISTS (");
        sql_count_rows(sql, node->children[i], NULL);
        buf_append_char(&sql->text, ')');
    }
}
