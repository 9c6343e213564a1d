/* Private to rest/: the plan tree that the planner builds and the SQL writers read. */
#ifndef REST_PLAN_H
#define REST_PLAN_H

#include "rest/stages.h"
#include "schema/snapshot.h"

/* Name of the common table expression that holds what a mutation or routine returned. */
#define PLAN_SOURCE "basalt_source"

/* What a field reference means against the snapshot. */
typedef struct {
    str_t name; /* column, computed column or "*" */
    const rest_json_step_t *steps;
    uint32_t step_count;
    const schema_column_t *column; /* NULL: not a known column (computed, routine result) */
    bool is_jsonb_wrapped;         /* to_jsonb(column) before the path */
    bool is_tsvector_wrapped;      /* to_tsvector([language,] column) */
    str_t language;
    str_t transform;  /* representation function (quoted), or null */
    bool is_full_row; /* count() inside a spread: counts the relation's rows */
} plan_field_t;

typedef struct {
    plan_field_t field;
    rest_agg_t agg;
    str_t agg_cast, cast, alias;
    str_t qualifier; /* of another relation (order columns of to-many spreads), else null */
} plan_select_t;

typedef enum { PLAN_LOGIC_LEAF, PLAN_LOGIC_TREE, PLAN_LOGIC_NULL_EMBED } plan_logic_kind_t;

struct plan_node;

typedef struct plan_logic {
    plan_logic_kind_t kind;
    plan_field_t field; /* LEAF */
    const filter_expr_t *expr;
    uint32_t operand;       /* as in rest_logic_t */
    bool is_negated, is_or; /* TREE; NULL_EMBED: is_negated = `not.is.null` */
    struct plan_logic *children;
    uint32_t child_count;
    const struct plan_node *embed; /* NULL_EMBED */
} plan_logic_t;

typedef struct {
    str_t relation; /* aggregate alias of a to-one embed, or null */
    plan_field_t field;
    rest_dir_t dir;
    rest_nulls_t nulls;
} plan_order_t;

/* A column that a spread lifts into its parent; "*": all that its subquery has. */
typedef struct {
    str_t name;
    rest_agg_t agg; /* hoisted to here */
    str_t agg_cast, alias;
    bool is_odd;   /* not plain as in schema_column_t; of a star: some of its columns */
    bool is_embed; /* an embed's json */
} plan_lifted_t;

typedef enum { PLAN_SPREAD_NONE, PLAN_SPREAD_ONE, PLAN_SPREAD_MANY } plan_spread_t;

typedef struct plan_node {
    struct plan_node *parent;
    struct plan_node **children;
    uint32_t child_count;
    uint32_t depth;

    /* asked */
    str_t rel_name, rel_alias, hint;
    rest_join_t join;
    plan_select_t *selects;
    uint32_t select_count;
    plan_logic_t *where;
    uint32_t where_count, where_capacity;
    plan_order_t *orders;
    uint32_t order_count;
    rest_range_t range;
    bool is_legacy_match; /* addressed by relation name although it has an alias */

    /* resolved */
    const schema_table_t *table;    /* NULL: routine result of no table */
    const schema_column_t *results; /* columns of a routine's rows when there is no table; NULL: unknown */
    size_t result_count;
    bool is_row_elsewhere; /* a routine's rows are of another schema's type: `table` shares only the name */
    schema_name_t from;    /* schema null: a common table expression */
    str_t alias;           /* of `from` in SQL */
    str_t agg_alias;       /* of the lateral subquery in the parent */
    const schema_relation_t *relation;
    bool is_to_one;

    plan_spread_t spread;
    plan_lifted_t *lifted; /* what a spread hands up; spreads only */
    uint32_t lifted_count;
    plan_select_t *order_selects; /* to-many spreads: columns to sort the aggregate by */
    plan_order_t *spread_orders;
    uint32_t spread_order_count;
    bool is_empty_embed; /* nothing selected in it or below: joined, not shown */
    bool is_grouped;     /* aggregates here, or in what a to-one spread hands its columns to: json cannot be
                            compared,     so that embeds must be jsonb */
} plan_node_t;

/* All columns, as they are. */
static inline bool plan_is_star(const plan_select_t *s)
{
    return str_eq(s->field.name, STR("*")) && s->field.step_count == 0 && s->agg == REST_AGG_NONE &&
           !s->field.is_full_row;
}

typedef struct {
    pool_t *pool;
    const rest_settings_t *settings;
    const rest_request_t *request;
    const schema_snapshot_t *snapshot;
    const identity_t *identity;
    schema_name_t target;        /* relation the read tree starts from */
    const schema_table_t *table; /* of target; NULL for routines without one */
    plan_node_t *root;
    const schema_routine_t *routine;       /* of a call */
    const schema_media_handler_t *handler; /* negotiated; NULL: built in */
    bool is_geojson;
} planner_t;

/* ---- plan_read.c: syntax tree to plan tree ---- */

/* Builds the whole tree of p->request into p->root: select, filters, orders, ranges, embeds, spreads. */
err_t *plan_read(planner_t *p) MUST_CHECK;
plan_field_t plan_field(const planner_t *p, const schema_table_t *table, const rest_field_t *field);
/* As it is to be shown: with the representation for JSON where the type has one. */
plan_field_t plan_output_field(const planner_t *p, const schema_table_t *table, const rest_field_t *field);
plan_field_t plan_column_field(const planner_t *p, const schema_column_t *column);
void plan_logic(const planner_t *p, const schema_table_t *table, const rest_logic_t *in, plan_logic_t *out);
/* Nothing but `*` was asked for: a media handler of the whole relation may answer. */
bool plan_is_default_select(const plan_node_t *root);

/* ---- plan_embed.c ---- */

/* Resolves the relation of each embed below `node`. */
err_t *plan_embed(planner_t *p, plan_node_t *node) MUST_CHECK;

/* ---- plan_shape.c: what depends on relations: aliases, stars, null filters, related orders, spreads ---- */

err_t *plan_shape(planner_t *p) MUST_CHECK;
bool plan_has_aggregate(const plan_node_t *node);

/* ---- plan_errors.c ---- */

err_t *plan_err_table(const planner_t *p, schema_name_t name);
err_t *plan_err_column(const planner_t *p, str_t table, str_t column);
err_t *plan_err_no_relation(const planner_t *p, const schema_table_t *parent_table, str_t parent, str_t child,
                            str_t hint);
err_t *plan_err_ambiguous_relation(const planner_t *p, str_t parent, str_t child,
                                   const schema_relation_t *const *found, size_t count);
err_t *plan_err_no_routine(const planner_t *p, schema_name_t name, const str_t *arguments,
                           size_t argument_count, const schema_overloads_t *overloads);
err_t *plan_err_ambiguous_routine(const planner_t *p, const schema_routine_t *const *routines, size_t count);
err_t *plan_err_not_embedded(const planner_t *p, str_t name, const plan_node_t *legacy);

/* ---- plan_media.c ---- */

/* Chooses the answer's media type, format and, where the media type decides, shape; the first acceptable
 * wins. */
err_t *plan_media(planner_t *p, rest_plan_t *out) MUST_CHECK;
/* handling=strict refuses preferences that nobody knows. */
err_t *plan_strict_preferences(const planner_t *p) MUST_CHECK;

/* ---- plan.c, plan_write.c, plan_call.c: one per kind of request ---- */

err_t *plan_write(planner_t *p, rest_plan_t *out) MUST_CHECK;
err_t *plan_call(planner_t *p, rest_plan_t *out) MUST_CHECK;
/* Finds the routine that a call means (PGRST202, PGRST203). */
err_t *plan_routine(const planner_t *p, const schema_routine_t **out) MUST_CHECK;
/* The document at the root. */
err_t *plan_openapi(planner_t *p, rest_plan_t *out) MUST_CHECK;

#endif
