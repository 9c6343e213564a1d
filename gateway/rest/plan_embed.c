/* Embedding: which relationship does `target!hint(...)` below an origin mean?
 *
 * The target may be the other table's name, or, for many-to-one keys of tables, the constraint or its single
 * column. A hint narrows the table name down by constraint, by single column on either side, or by junction.
 * Relationships of a table with itself are told apart by convention: the table's name means "those that point
 * at me" (one-to-many), a column's name means "the one I point at" (many-to-one). A computed relationship is
 * named by its function alone. Exactly one must remain: none is PGRST200, several are PGRST201. (Rules:
 * PostgREST documentation, "Resource Embedding", and its v16 behaviour.) */
#include "rest/plan.h"

static bool has_key(const schema_relation_t *r)
{
    return r->kind == SCHEMA_REL_O2M || r->kind == SCHEMA_REL_M2O || r->kind == SCHEMA_REL_O2O;
}

static bool is_constraint(const schema_relation_t *r, str_t name)
{
    return has_key(r) && str_eq(r->constraint, name);
}

static bool is_own_column(const schema_relation_t *r, str_t name)
{
    return has_key(r) && r->pair_count == 1 && str_eq(r->pairs[0].from, name);
}

static bool is_other_column(const schema_relation_t *r, str_t name)
{
    return has_key(r) && r->pair_count == 1 && str_eq(r->pairs[0].to, name);
}

static bool matches_self(const schema_relation_t *r, str_t target, str_t hint)
{
    bool is_table = str_eq(target, r->foreign.name) && r->kind == SCHEMA_REL_O2M;
    if (!str_is_null(hint))
        return is_table && is_other_column(r, hint);
    return is_table || (r->kind == SCHEMA_REL_M2O && is_own_column(r, target));
}

static bool matches(const schema_relation_t *r, str_t target, str_t hint)
{
    if (r->kind == SCHEMA_REL_COMPUTED)
        return str_eq(target, r->function.name);
    if (r->is_self)
        return matches_self(r, target, hint);
    bool is_table = str_eq(target, r->foreign.name);
    if (str_is_null(hint))
        return is_table || (!r->foreign_is_view && (is_constraint(r, target) || is_own_column(r, target)));
    return is_table && (is_constraint(r, hint) || is_own_column(r, hint) || is_other_column(r, hint) ||
                        (r->kind == SCHEMA_REL_M2M && str_eq(r->junction.name, hint)));
}

/* Relationships reach only into the request's schema. */
static bool is_in_schema(const schema_relation_t *r, str_t schema)
{
    return str_eq(r->kind == SCHEMA_REL_COMPUTED ? r->function.schema : r->foreign.schema, schema);
}

static err_t *find_relation(planner_t *p, const plan_node_t *parent, const plan_node_t *node,
                            const schema_relation_t **out)
{
    str_t schema = p->target.schema;
    str_t origin = parent->parent == NULL ? p->target.name : parent->from.name;
    const schema_table_t *table = schema_table(p->snapshot, schema, origin);
    size_t count = 0, total = table != NULL ? table->relation_count : 0;
    const schema_relation_t **found = POOL_ARRAY(p->pool, const schema_relation_t *, total + 1);
    for (size_t i = 0; i < total; i++)
        if (is_in_schema(table->relations[i], schema) &&
            matches(table->relations[i], node->rel_name, node->hint))
            found[count++] = table->relations[i];
    if (count == 0)
        return plan_err_no_relation(p, table, origin, node->rel_name, node->hint);
    if (count > 1)
        return plan_err_ambiguous_relation(p, origin, node->rel_name, found, count);
    *out = found[0];
    return NULL;
}

static str_t numbered(const planner_t *p, str_t name, uint32_t depth)
{
    return pool_printf(p->pool, "%.*s_%u", STR_ARG(name), depth);
}

static void join_to(planner_t *p, plan_node_t *node, const schema_relation_t *r)
{
    node->relation = r;
    node->is_to_one = r->is_to_one;
    node->from = r->foreign;
    node->table = schema_table(p->snapshot, r->foreign.schema, r->foreign.name);
    node->alias = r->kind == SCHEMA_REL_M2M ? r->foreign.name : numbered(p, r->foreign.name, node->depth);
    str_t shown = str_is_null(node->rel_alias) ? node->rel_name : node->rel_alias;
    node->agg_alias =
        pool_printf(p->pool, "%.*s_%.*s_%u", STR_ARG(r->table.name), STR_ARG(shown), node->depth);
    if (node->spread != PLAN_SPREAD_NONE)
        node->spread = r->is_to_one ? PLAN_SPREAD_ONE : PLAN_SPREAD_MANY;
}

err_t *plan_embed(planner_t *p, plan_node_t *node)
{
    for (uint32_t i = 0; i < node->child_count; i++) {
        plan_node_t *child = node->children[i];
        const schema_relation_t *relation = NULL;
        err_t *err = find_relation(p, node, child, &relation);
        if (err != NULL)
            return err;
        join_to(p, child, relation);
        err = plan_embed(p, child);
        if (err != NULL)
            return err;
    }
    return NULL;
}
