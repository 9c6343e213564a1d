#include "rest/errors.h"
#include "rest/plan.h"

/* ---- fields ---- */

static plan_field_t unknown_field(const rest_field_t *field)
{
    return (plan_field_t){.name = field->name,
                          .steps = field->steps,
                          .step_count = field->step_count,
                          .is_jsonb_wrapped = field->step_count > 0};
}

plan_field_t plan_field(const planner_t *p, const schema_table_t *table, const rest_field_t *field)
{
    (void)p;
    plan_field_t f = unknown_field(field);
    f.column = table != NULL ? schema_column(table, field->name) : NULL;
    /* a json column takes the arrow as it is, so that its indexes apply */
    if (f.column != NULL && (str_eq(f.column->type, STR("json")) || str_eq(f.column->type, STR("jsonb"))))
        f.is_jsonb_wrapped = false;
    return f;
}

plan_field_t plan_column_field(const planner_t *p, const schema_column_t *column)
{
    return (plan_field_t){.name = column->name,
                          .column = column,
                          .transform = schema_representation(p->snapshot, column->type, STR("json"))};
}

plan_field_t plan_output_field(const planner_t *p, const schema_table_t *table, const rest_field_t *field)
{
    plan_field_t f = plan_field(p, table, field);
    if (f.column != NULL)
        f.transform = schema_representation(p->snapshot, f.column->type, STR("json"));
    return f;
}

void plan_logic(const planner_t *p, const schema_table_t *table, const rest_logic_t *in, plan_logic_t *out)
{
    *out = (plan_logic_t){.kind = in->is_leaf ? PLAN_LOGIC_LEAF : PLAN_LOGIC_TREE};
    if (in->is_leaf) {
        out->expr = &in->expr;
        out->operand = in->operand;
        out->field = plan_field(p, table, &in->field);
        const schema_column_t *column = out->field.column;
        if (column != NULL) {
            out->field.transform = schema_representation(p->snapshot, STR("text"), column->type);
            out->field.is_tsvector_wrapped = filter_operator(in->expr.op)->kind == FILTER_KIND_FTS &&
                                             !str_eq(column->base_type, STR("tsvector"));
            out->field.language = in->expr.language;
        }
        return;
    }
    out->is_negated = in->is_negated;
    out->is_or = in->is_or;
    out->child_count = in->child_count;
    out->children = POOL_ARRAY(p->pool, plan_logic_t, in->child_count + 1);
    for (uint32_t i = 0; i < in->child_count; i++)
        plan_logic(p, table, &in->children[i], &out->children[i]);
}

/* ---- the tree of select ---- */

static void add_children(planner_t *p, plan_node_t *node, const rest_select_t *items, uint32_t count)
{
    node->selects = POOL_ARRAY(p->pool, plan_select_t, count + 1);
    node->children = POOL_ARRAY(p->pool, plan_node_t *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const rest_select_t *item = &items[i];
        if (item->kind == REST_SELECT_FIELD) {
            /* the column is looked up when the relation is known */
            node->selects[node->select_count++] = (plan_select_t){.field = unknown_field(&item->field),
                                                                  .agg = item->agg,
                                                                  .agg_cast = item->agg_cast,
                                                                  .cast = item->cast,
                                                                  .alias = item->alias};
            continue;
        }
        plan_node_t *child = POOL_NEW(p->pool, plan_node_t);
        child->parent = node;
        child->depth = node->depth + 1;
        child->rel_name = item->relation;
        child->rel_alias = item->alias;
        child->hint = item->hint;
        child->join = item->join;
        child->range = REST_RANGE_ALL;
        child->spread = item->kind == REST_SELECT_SPREAD ? PLAN_SPREAD_ONE : PLAN_SPREAD_NONE;
        node->children[node->child_count++] = child;
        add_children(p, child, item->children, item->child_count);
    }
}

static str_t shown_name(const plan_node_t *node)
{
    return str_is_null(node->rel_alias) ? node->rel_name : node->rel_alias;
}

static plan_node_t *child_named(plan_node_t *node, str_t name, bool has_legacy)
{
    for (uint32_t i = 0; i < node->child_count; i++) {
        plan_node_t *child = node->children[i];
        if (str_eq(shown_name(child), name) || (has_legacy && str_eq(child->rel_name, name)))
            return child;
    }
    return NULL;
}

/* The node that a path of embed names means. It and those above it come to the front of their siblings. */
static err_t *find_node(planner_t *p, rest_path_t path, plan_node_t **out)
{
    plan_node_t *node = p->root;
    for (uint32_t i = 0; i < path.count; i++) {
        str_t name = path.names[i];
        plan_node_t *child = child_named(node, name, p->settings->has_legacy_targets);
        if (child == NULL)
            return plan_err_not_embedded(p, name, child_named(node, name, true));
        if (!str_is_null(child->rel_alias) && !str_eq(child->rel_alias, name))
            child->is_legacy_match = true;
        uint32_t at = 0;
        while (node->children[at] != child)
            at++;
        memmove(&node->children[1], &node->children[0], at * sizeof(*node->children));
        node->children[0] = child;
        node = child;
    }
    *out = node;
    return NULL;
}

static plan_logic_t *push_where(planner_t *p, plan_node_t *node)
{
    if (node->where_count == node->where_capacity) {
        uint32_t capacity = node->where_capacity == 0 ? 4 : node->where_capacity * 2;
        plan_logic_t *grown = POOL_ARRAY(p->pool, plan_logic_t, capacity);
        if (node->where_count > 0)
            memcpy(grown, node->where, node->where_count * sizeof(*grown));
        node->where = grown;
        node->where_capacity = capacity;
    }
    return &node->where[node->where_count++];
}

/* Conditions on the root of a mutation are its own affair (plan_write), not the returned representation's. */
static bool is_mutation(const planner_t *p)
{
    rest_action_t a = p->request->action;
    return a == REST_ACTION_CREATE || a == REST_ACTION_UPDATE || a == REST_ACTION_UPSERT ||
           a == REST_ACTION_DELETE;
}

static void add_conditions(planner_t *p, const rest_condition_t *conditions, plan_node_t *const *nodes,
                           uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (conditions[i].path.count > 0 || !is_mutation(p))
            plan_logic(p, nodes[i]->table, &conditions[i].tree, push_where(p, nodes[i]));
}

static void add_orders(planner_t *p, plan_node_t *const *nodes)
{
    for (uint32_t i = 0; i < p->request->order_count; i++) {
        const rest_order_t *order = &p->request->orders[i];
        plan_node_t *node = nodes[i];
        if (node->order_count > 0)
            continue; /* given twice: the first counts, as in the peer */
        node->orders = POOL_ARRAY(p->pool, plan_order_t, order->term_count + 1);
        node->order_count = order->term_count;
        for (uint32_t k = 0; k < order->term_count; k++) {
            const rest_order_term_t *term = &order->terms[k];
            const schema_table_t *table = str_is_null(term->relation) ? node->table : NULL;
            node->orders[k] =
                (plan_order_t){term->relation, plan_field(p, table, &term->field), term->dir, term->nulls};
        }
    }
}

static rest_range_t capped(const planner_t *p, rest_range_t range)
{
    int64_t max = p->settings->max_rows;
    if (max >= 0 && (range.limit < 0 || range.limit > max))
        range.limit = max;
    return range;
}

static void cap_ranges(planner_t *p, plan_node_t *node)
{
    node->range = capped(p, node->range);
    for (uint32_t i = 0; i < node->child_count; i++)
        cap_ranges(p, node->children[i]);
}

static void add_ranges(planner_t *p, plan_node_t *const *nodes)
{
    if (is_mutation(p))
        return;
    p->root->range = p->request->range;
    for (uint32_t i = 0; i < p->request->level_range_count; i++)
        nodes[i]->range = p->request->level_ranges[i].range;
    cap_ranges(p, p->root);
}

/* Selected names meet their relation's columns. */
static void resolve_selects(planner_t *p, plan_node_t *node)
{
    for (uint32_t i = 0; i < node->select_count; i++) {
        plan_field_t *f = &node->selects[i].field;
        rest_field_t asked = {f->name, f->steps, f->step_count};
        *f = plan_output_field(p, node->table, &asked);
    }
    for (uint32_t i = 0; i < node->child_count; i++)
        resolve_selects(p, node->children[i]);
}

/* Where each condition of the request belongs, in its order. */
typedef struct {
    plan_node_t **filters, **orders, **ranges, **logic;
} places_t;

/* Wrong paths are complained about before unknown relations, the last one first, and every condition moves
 * its embed to the front: the keys of an answer come in the same order as the peer's. */
static err_t *find_places(planner_t *p, places_t *out)
{
    const rest_request_t *r = p->request;
    err_t *err = NULL;
    *out = (places_t){POOL_ARRAY(p->pool, plan_node_t *, r->filter_count + 1),
                      POOL_ARRAY(p->pool, plan_node_t *, r->order_count + 1),
                      POOL_ARRAY(p->pool, plan_node_t *, r->level_range_count + 1),
                      POOL_ARRAY(p->pool, plan_node_t *, r->logic_count + 1)};
    for (uint32_t i = r->filter_count; err == NULL && i-- > 0;)
        err = find_node(p, r->filters[i].path, &out->filters[i]);
    for (uint32_t i = r->order_count; err == NULL && i-- > 0;)
        err = find_node(p, r->orders[i].path, &out->orders[i]);
    for (uint32_t i = r->level_range_count; err == NULL && !is_mutation(p) && i-- > 0;)
        err = find_node(p, r->level_ranges[i].path, &out->ranges[i]);
    for (uint32_t i = r->logic_count; err == NULL && i-- > 0;)
        err = find_node(p, r->logic[i].path, &out->logic[i]);
    return err;
}

err_t *plan_read(planner_t *p)
{
    plan_node_t *root = p->root = POOL_NEW(p->pool, plan_node_t);
    root->rel_name = p->target.name;
    root->table = p->table;
    if (p->routine != NULL) {
        root->results = p->routine->result_count > 0 ? p->routine->results : NULL;
        root->result_count = p->routine->result_count;
        root->is_row_elsewhere = !str_eq(p->routine->return_type.schema, p->target.schema);
    }
    root->range = REST_RANGE_ALL;
    bool is_source = p->request->action != REST_ACTION_READ;
    root->from = is_source ? (schema_name_t){STR_NULL, STR(PLAN_SOURCE)} : p->target;
    root->alias = p->target.name;
    add_children(p, root, p->request->select, p->request->select_count);
    places_t places;
    err_t *err = find_places(p, &places);
    if (err == NULL)
        err = plan_embed(p, root);
    if (err != NULL)
        return err;
    resolve_selects(p, root);
    add_conditions(p, p->request->logic, places.logic, p->request->logic_count);
    add_conditions(p, p->request->filters, places.filters, p->request->filter_count);
    add_orders(p, places.orders);
    add_ranges(p, places.ranges);
    return plan_shape(p);
}

bool plan_is_default_select(const plan_node_t *root)
{
    return root->child_count == 0 && root->select_count == 1 &&
           str_eq(root->selects[0].field.name, STR("*")) && root->selects[0].agg == REST_AGG_NONE;
}
