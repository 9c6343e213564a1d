/* Private to rest/: SQL text from plan trees. The text depends only on the plan's shape and on limits; every
 * other value is a parameter. Identifiers are quoted by db/ident. */
#ifndef REST_SQL_H
#define REST_SQL_H

#include "db/ident.h"
#include "rest/plan.h"

enum { SQL_TYPE_UNKNOWN = 0, SQL_TYPE_JSON = 114, SQL_TYPE_JSONB = 3802, SQL_TYPE_TEXT_ARRAY = 1009 };

typedef struct {
    pool_t *pool;
    buf_t text;
    str_t *params;
    uint32_t *types;
    rest_bind_t *binds;
    size_t param_count, param_capacity;
    int64_t max_rows;   /* the limit of all reads that ask for none; < 0: none */
    bool is_rare;       /* a text that will hardly come again: not worth preparing */
    bool is_single_use; /* as in rest_plan_t */
} sql_t;

void sql_init(sql_t *sql, const planner_t *p);
/* Appends "$n" and binds `value` to it, which belongs to the request's structure. */
void sql_param(sql_t *sql, str_t value, uint32_t type);
/* The same with a value that other requests of this structure may have otherwise. */
void sql_bind(sql_t *sql, str_t value, uint32_t type, rest_bind_t bind);
/* The statement; `sql` must not be written to afterwards. */
db_stmt_t sql_stmt(const sql_t *sql);
#define SQL_LIT(sql, literal) buf_append_lit(&(sql)->text, literal)
#define SQL_STR(sql, s) buf_append_str(&(sql)->text, (s))
#define SQL_IDENT(sql, name) ident_append(&(sql)->text, (name))

/* Where a statement's root rows come from. */
typedef struct {
    /* Writes what stands behind FROM, alias included; NULL: the node's relation. */
    void (*from)(sql_t *sql, const plan_node_t *node, void *arg);
    void *arg;
    str_t scalar; /* the root's star means this one column, or null */
    bool is_scalar_plain;
} sql_source_t;

/* How the root's columns are to be rendered by whoever reads them. */
typedef enum {
    SQL_OUT_TEXT,     /* as they are: CSV, media handlers, embeds */
    SQL_OUT_COLUMNS,  /* each as text that rest_rule_of can turn into JSON */
    SQL_OUT_JSON_ROWS /* one column: the row as json */
} sql_out_t;

/* ---- sql_filter.c ---- */
void sql_field(sql_t *sql, str_t qualifier, const plan_field_t *field);
void sql_column(sql_t *sql, str_t qualifier, str_t column);
void sql_logic(sql_t *sql, str_t qualifier, const plan_logic_t *logic);
/* " WHERE a AND b" or nothing. */
void sql_where(sql_t *sql, str_t qualifier, const plan_logic_t *items, uint32_t count);
void sql_order(sql_t *sql, str_t qualifier, const plan_order_t *orders, uint32_t count);
void sql_range(sql_t *sql, rest_range_t range);
/* In patterns the star stands for the percent sign, which URLs make awkward. */
str_t sql_pattern(pool_t *pool, str_t text);

/* ---- sql_select.c ---- */
/* ", " before all items but the first. */
void sql_comma(sql_t *sql, bool *has_items);
/* A type as clients write it: as it is when the grammar knows it, else quoted. */
void sql_cast(sql_t *sql, str_t cast);
/* "sum(" .., empty for none. */
str_t sql_aggregate(rest_agg_t agg);
/* Stars and columns of a node; `source` may be NULL. */
void sql_select_columns(sql_t *sql, const plan_node_t *node, str_t qualifier, const sql_source_t *source,
                        sql_out_t out, bool *has_items);

/* ---- sql_read.c ---- */
void sql_read(sql_t *sql, const plan_node_t *root, const sql_source_t *source, sql_out_t out);
/* One select item, as in a select list or behind RETURNING. */
void sql_select_item(sql_t *sql, str_t qualifier, const plan_select_t *select, sql_out_t out,
                     bool is_grouped);
/* Stars and columns of the root without embeds, for RETURNING. */
void sql_select_list(sql_t *sql, const plan_node_t *node, str_t qualifier, sql_out_t out);
/* True when the root must be read as whole rows: a star over columns that the snapshot does not know. */
bool sql_needs_row_json(const plan_node_t *root, const sql_source_t *source);
/* "select 1 from .. where ..": the rows that the tree's root would have without its range. */
void sql_count_rows(sql_t *sql, const plan_node_t *root, const sql_source_t *source);

/* The rows of the answer as the plan's format wants them (columns, whole rows, a handler's one value, nothing
 * but their number); sets out->format and shape where they follow from that, and adds the statement. A WITH
 * clause may already stand in `sql`. */
void sql_answer(sql_t *sql, const planner_t *p, const sql_source_t *source, rest_plan_t *out);
void plan_add_stmt(rest_plan_t *out, const sql_t *sql, rest_stmt_role_t role);

/* ---- sql_write.c ---- */
/* Rows of the payload as pgrst_body(columns); see plan_write. */
typedef struct {
    str_t name, type;
    str_t transform;     /* json to the column's type, or null */
    str_t default_value; /* used when is_defaulting, or null */
} sql_body_column_t;

typedef struct {
    str_t text; /* JSON */
    bool is_object;
    bool is_defaulting; /* absent keys take the column's default */
    bool is_single;     /* only the first row */
    const sql_body_column_t *columns;
    size_t count;
} sql_body_t;

/* "(select .. ) pgrst_body" for a FROM list. */
void sql_body(sql_t *sql, const sql_body_t *body);

#endif
