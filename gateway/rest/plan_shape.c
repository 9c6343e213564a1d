/* What can be settled only when every embed knows its relation: stars, aliases, filters and orders on embeds,
 * and what spreads lift into their parents.
 *
 * An aggregate inside a to-one spread would group single rows. It is hoisted: the spread hands up the bare
 * column, and the first ancestor that is no to-one spread applies the aggregate over its own rows. */
#include "rest/errors.h"
#include "rest/plan.h"

bool plan_has_aggregate(const plan_node_t *node)
{
    for (uint32_t i = 0; i < node->select_count; i++)
        if (node->selects[i].agg != REST_AGG_NONE)
            return true;
    for (uint32_t c = 0; c < node->child_count; c++)
        for (uint32_t i = 0; i < node->children[c]->lifted_count; i++)
            if (node->children[c]->lifted[i].agg != REST_AGG_NONE)
                return true;
    return false;
}

/* ---- stars ---- */

static bool has_representation(const planner_t *p, const schema_table_t *table)
{
    for (size_t i = 0; i < table->column_count && p->snapshot->representation_count > 0; i++)
        if (!str_is_null(schema_representation(p->snapshot, table->columns[i].type, STR("json"))))
            return true;
    return false;
}

static bool is_readable(const planner_t *p, const schema_table_t *table, str_t column)
{
    const schema_readable_t *readable =
        table->is_expanding_star ? schema_readable(table, p->identity->role) : NULL;
    if (readable == NULL)
        return true;
    for (size_t i = 0; i < readable->column_count; i++)
        if (str_eq(readable->columns[i], column))
            return true;
    return false;
}

static void expand_star(const planner_t *p, plan_node_t *node)
{
    const schema_table_t *table = node->table;
    plan_select_t *out = POOL_ARRAY(p->pool, plan_select_t, node->select_count * (table->column_count + 1));
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->select_count; i++) {
        if (!plan_is_star(&node->selects[i])) {
            out[count++] = node->selects[i];
            continue;
        }
        for (size_t k = 0; k < table->column_count; k++)
            if (is_readable(p, table, table->columns[k].name))
                out[count++] = (plan_select_t){.field = plan_column_field(p, &table->columns[k])};
    }
    node->selects = out;
    node->select_count = count;
}

/* A star stays a star unless something needs the names: an aggregate (they are grouped by), a to-many spread
 * (each is collected), a representation (some are called through functions), column privileges. */
static void expand_stars(const planner_t *p, plan_node_t *node, bool is_needed)
{
    bool has_star = false;
    for (uint32_t i = 0; i < node->select_count; i++) {
        plan_select_t *s = &node->selects[i];
        is_needed = is_needed || s->agg != REST_AGG_NONE;
        has_star = has_star || plan_is_star(s);
        if (s->agg == REST_AGG_COUNT && str_eq(s->field.name, STR("*")) && node->spread != PLAN_SPREAD_NONE)
            s->field.is_full_row = true;
    }
    is_needed = is_needed || node->spread == PLAN_SPREAD_MANY;
    if (has_star && node->table != NULL &&
        (is_needed || node->table->is_expanding_star || has_representation(p, node->table)))
        expand_star(p, node);
    for (uint32_t i = 0; i < node->child_count; i++)
        expand_stars(p, node->children[i], is_needed);
}

/* ---- aliases ---- */

static str_t aggregate_name(rest_agg_t agg)
{
    static const char *const NAMES[] = {"", "sum", "avg", "count", "max", "min"};
    return str_from_c(NAMES[agg]);
}

/* The last key of a path names it; behind the last key there may be indexes. */
static str_t path_alias(const plan_field_t *f)
{
    for (uint32_t i = f->step_count; i-- > 0;)
        if (!f->steps[i].is_index && f->steps[i].operand.len > 0)
            return f->steps[i].operand;
    return f->name;
}

static void add_aliases(plan_node_t *node)
{
    for (uint32_t i = 0; i < node->select_count; i++) {
        plan_select_t *s = &node->selects[i];
        if (!str_is_null(s->alias))
            continue;
        if (s->agg != REST_AGG_NONE) {
            if (node->spread != PLAN_SPREAD_NONE)
                s->alias = aggregate_name(s->agg);
        } else if (s->field.step_count > 0) {
            s->alias = path_alias(&s->field);
        } else if (!str_is_null(s->field.transform)) {
            s->alias = s->field.name;
        }
    }
    for (uint32_t i = 0; i < node->child_count; i++)
        add_aliases(node->children[i]);
}

/* ---- orders and filters on embeds ---- */

static plan_node_t *embed_named(const plan_node_t *node, str_t name)
{
    for (uint32_t i = 0; i < node->child_count; i++) {
        plan_node_t *child = node->children[i];
        if (str_eq(str_is_null(child->rel_alias) ? child->rel_name : child->rel_alias, name))
            return child;
    }
    return NULL;
}

static err_t *relate_orders(const planner_t *p, plan_node_t *node)
{
    for (uint32_t i = 0; i < node->order_count; i++) {
        plan_order_t *order = &node->orders[i];
        if (str_is_null(order->relation))
            continue;
        plan_node_t *child = embed_named(node, order->relation);
        if (child == NULL)
            return plan_err_not_embedded(p, order->relation, NULL);
        if (!child->is_to_one) {
            str_t origin = node->parent == NULL ? p->target.name : node->from.name;
            err_t *err = rest_error(p->pool, REST_ERR_RELATED_ORDER, order->relation);
            return err_details(p->pool, err,
                               "'%.*s' and '%.*s' do not form a many-to-one or one-to-one relationship",
                               STR_ARG(origin), STR_ARG(order->relation));
        }
        order->relation = child->agg_alias;
    }
    for (uint32_t i = 0; i < node->child_count; i++) {
        err_t *err = relate_orders(p, node->children[i]);
        if (err != NULL)
            return err;
    }
    return NULL;
}

static void find_null_filters(const plan_node_t *node, plan_logic_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        plan_logic_t *l = &items[i];
        if (l->kind == PLAN_LOGIC_TREE) {
            find_null_filters(node, l->children, l->child_count);
        } else if (l->kind == PLAN_LOGIC_LEAF && l->field.step_count == 0 && l->expr->op == FILTER_IS &&
                   l->expr->is == FILTER_IS_NULL) {
            const plan_node_t *embed = embed_named(node, l->field.name);
            if (embed != NULL)
                *l = (plan_logic_t){
                    .kind = PLAN_LOGIC_NULL_EMBED, .is_negated = l->expr->is_negated, .embed = embed};
        }
    }
}

static void add_null_filters(plan_node_t *node)
{
    find_null_filters(node, node->where, node->where_count);
    for (uint32_t i = 0; i < node->child_count; i++)
        add_null_filters(node->children[i]);
}

/* ---- spreads ---- */

static bool is_empty(const plan_node_t *node)
{
    if (node->select_count > 0)
        return false;
    for (uint32_t i = 0; i < node->child_count; i++)
        if (!is_empty(node->children[i]))
            return false;
    return true;
}

/* `clients()` joins without showing; but `clients(projects())` and the like show only when there is a column.
 * An embed with neither columns nor embeds is empty too. */
static void mark_empty(plan_node_t *node)
{
    for (uint32_t i = 0; i < node->child_count; i++) {
        plan_node_t *child = node->children[i];
        child->is_empty_embed = is_empty(child);
        mark_empty(child);
    }
}

static bool is_plain_result(const plan_select_t *s)
{
    if (s->field.step_count > 0 || !str_is_null(s->field.transform) || s->agg == REST_AGG_COUNT)
        return true;
    return s->field.column != NULL && s->field.column->is_plain && str_is_null(s->cast);
}

/* All columns of a subquery are lifted but once. */
static void push_lifted(plan_node_t *node, plan_lifted_t lifted)
{
    for (uint32_t i = 0; i < node->lifted_count; i++) {
        if (str_eq(lifted.name, STR("*")) && str_eq(node->lifted[i].name, lifted.name)) {
            node->lifted[i].is_odd = node->lifted[i].is_odd || lifted.is_odd;
            return;
        }
    }
    node->lifted[node->lifted_count++] = lifted;
}

static bool has_odd_column(const schema_table_t *table)
{
    for (size_t i = 0; table != NULL && i < table->column_count; i++)
        if (!table->columns[i].is_plain)
            return true;
    return table == NULL;
}

static void lift_selects(plan_node_t *node)
{
    for (uint32_t i = 0; i < node->select_count; i++) {
        const plan_select_t *s = &node->selects[i];
        push_lifted(node, (plan_lifted_t){.name = str_is_null(s->alias) ? s->field.name : s->alias,
                                          .is_odd = plan_is_star(s) ? has_odd_column(node->table)
                                                                    : !is_plain_result(s)});
    }
}

static void lift_columns(const planner_t *p, plan_node_t *node)
{
    uint32_t capacity = node->select_count;
    for (uint32_t i = 0; i < node->child_count; i++) {
        lift_columns(p, node->children[i]);
        capacity += 1 + node->children[i]->lifted_count;
    }
    if (node->spread == PLAN_SPREAD_NONE)
        return;
    node->lifted = POOL_ARRAY(p->pool, plan_lifted_t, capacity + 1);
    lift_selects(node);
    for (uint32_t c = 0; c < node->child_count; c++) {
        const plan_node_t *child = node->children[c];
        if (child->spread == PLAN_SPREAD_NONE && !child->is_empty_embed)
            push_lifted(node, (plan_lifted_t){.name = str_is_null(child->rel_alias) ? child->rel_name
                                                                                    : child->rel_alias,
                                              .is_embed = true});
        for (uint32_t i = 0; i < child->lifted_count; i++)
            push_lifted(node, child->lifted[i]);
    }
}

static void hand_up(plan_node_t *node, plan_lifted_t from)
{
    for (uint32_t i = 0; i < node->lifted_count; i++) {
        plan_lifted_t *to = &node->lifted[i];
        if (to->agg == REST_AGG_NONE && str_eq(to->name, from.name)) {
            to->agg = from.agg;
            to->agg_cast = from.agg_cast;
            to->alias = from.alias;
            return;
        }
    }
}

static void hoist_aggregates(plan_node_t *node)
{
    for (uint32_t i = 0; i < node->child_count; i++)
        hoist_aggregates(node->children[i]);
    if (node->spread != PLAN_SPREAD_ONE)
        return;
    for (uint32_t i = 0; i < node->select_count; i++) {
        plan_select_t *s = &node->selects[i];
        if (s->agg == REST_AGG_NONE)
            continue;
        str_t name = str_is_null(s->alias) ? s->field.name : s->alias;
        hand_up(node,
                (plan_lifted_t){.name = name, .agg = s->agg, .agg_cast = s->agg_cast, .alias = s->alias});
        s->agg = REST_AGG_NONE;
        s->agg_cast = STR_NULL;
    }
    for (uint32_t c = 0; c < node->child_count; c++) {
        for (uint32_t i = 0; i < node->children[c]->lifted_count; i++) {
            plan_lifted_t *l = &node->children[c]->lifted[i];
            if (l->agg == REST_AGG_NONE)
                continue;
            hand_up(node, *l);
            l->agg = REST_AGG_NONE;
            l->agg_cast = l->alias = STR_NULL;
        }
    }
}

static err_t *check_aggregates(const planner_t *p, const plan_node_t *node)
{
    for (uint32_t i = 0; i < node->select_count; i++)
        if (node->selects[i].agg != REST_AGG_NONE && !p->settings->has_aggregates)
            return rest_error(p->pool, REST_ERR_AGGREGATES, STR_NULL);
    for (uint32_t i = 0; i < node->child_count; i++) {
        err_t *err = check_aggregates(p, node->children[i]);
        if (err != NULL)
            return err;
    }
    return NULL;
}

static void mark_grouped(plan_node_t *node)
{
    node->is_grouped =
        plan_has_aggregate(node) || (node->spread == PLAN_SPREAD_ONE && node->parent->is_grouped);
    for (uint32_t i = 0; i < node->child_count; i++)
        mark_grouped(node->children[i]);
}

/* The aggregate of a to-many spread is sorted outside: the columns to sort by travel along under names of
 * their own. */
static err_t *move_spread_orders(const planner_t *p, plan_node_t *node)
{
    if (node->spread == PLAN_SPREAD_MANY) {
        if (plan_has_aggregate(node))
            return err_details(p->pool, rest_error(p->pool, REST_ERR_NOT_IMPLEMENTED, STR_NULL),
                               "Aggregates are not implemented for one-to-many or many-to-many spreads.");
        node->order_selects = POOL_ARRAY(p->pool, plan_select_t, node->order_count + 1);
        node->spread_orders = POOL_ARRAY(p->pool, plan_order_t, node->order_count + 1);
        node->spread_order_count = node->order_count;
        for (uint32_t i = 0; i < node->order_count; i++) {
            const plan_order_t *o = &node->orders[i];
            str_t alias =
                pool_printf(p->pool, "%.*s_%.*s_%u", STR_ARG(node->agg_alias), STR_ARG(o->field.name), i + 1);
            node->order_selects[i] =
                (plan_select_t){.field = o->field, .alias = alias, .qualifier = o->relation};
            node->spread_orders[i] =
                (plan_order_t){.field = {.name = alias}, .dir = o->dir, .nulls = o->nulls};
        }
        node->order_count = 0;
    }
    for (uint32_t i = 0; i < node->child_count; i++) {
        err_t *err = move_spread_orders(p, node->children[i]);
        if (err != NULL)
            return err;
    }
    return NULL;
}

err_t *plan_shape(planner_t *p)
{
    plan_node_t *root = p->root;
    expand_stars(p, root, false);
    add_aliases(root);
    err_t *err = relate_orders(p, root);
    if (err != NULL)
        return err;
    add_null_filters(root);
    mark_empty(root);
    lift_columns(p, root);
    err = check_aggregates(p, root);
    if (err != NULL)
        return err;
    hoist_aggregates(root);
    mark_grouped(root);
    return move_spread_orders(p, root);
}
