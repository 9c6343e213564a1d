/* Mutations. What the answer needs decides the form:
 *   nothing returned        the bare statement; the command tag counts the rows
 *   the key for Location    RETURNING the primary key
 *   rows as they are        RETURNING the selected columns
 *   rows with embeds, order or aggregates: WITH basalt_source AS (statement RETURNING what is needed) SELECT
 * .. */
#include "rest/errors.h"
#include "rest/media.h"
#include "rest/sql.h"

typedef struct {
    planner_t *p;
    plan_logic_t *where; /* conditions of the request on the target itself */
    uint32_t where_count;
    sql_body_t body;
    rest_resolution_t resolution; /* NONE: conflicts are errors */
    const str_t *conflict;
    size_t conflict_count;
    bool counts_inserted;
} write_t;

/* ---- what is asked ---- */

static err_t *read_columns(write_t *w)
{
    planner_t *p = w->p;
    const rest_request_t *r = p->request;
    sql_body_column_t *columns = POOL_ARRAY(p->pool, sql_body_column_t, r->column_count + 1);
    for (uint32_t i = 0; i < r->column_count; i++) {
        const schema_column_t *c = schema_column(p->table, r->columns[i]);
        if (c == NULL)
            return plan_err_column(p, p->table->name, r->columns[i]);
        str_t transform = schema_representation(p->snapshot, STR("json"), c->type);
        columns[i] = (sql_body_column_t){.name = c->name,
                                         .type = str_is_null(transform) ? c->type : STR("json"),
                                         .transform = transform,
                                         .default_value = c->default_value};
    }
    w->body = (sql_body_t){.text = r->payload.text,
                           .is_object = r->payload.is_object,
                           .is_defaulting =
                               r->prefer.missing == REST_MISSING_DEFAULT && r->action != REST_ACTION_UPSERT,
                           .columns = columns,
                           .count = r->column_count};
    return NULL;
}

static void read_conditions(write_t *w)
{
    const rest_request_t *r = w->p->request;
    w->where = POOL_ARRAY(w->p->pool, plan_logic_t, r->filter_count + r->logic_count + 1);
    for (uint32_t i = 0; i < r->filter_count; i++)
        if (r->filters[i].path.count == 0)
            plan_logic(w->p, w->p->table, &r->filters[i].tree, &w->where[w->where_count++]);
    for (uint32_t i = 0; i < r->logic_count; i++)
        if (r->logic[i].path.count == 0)
            plan_logic(w->p, w->p->table, &r->logic[i].tree, &w->where[w->where_count++]);
}

static bool is_key_column(const schema_table_t *t, str_t name)
{
    for (size_t i = 0; i < t->primary_key_count; i++)
        if (str_eq(t->primary_key[i], name))
            return true;
    return false;
}

/* PUT: the filters are exactly `column=eq.value` for each column of the primary key. */
static bool is_keyed(const write_t *w)
{
    const schema_table_t *t = w->p->table;
    const rest_request_t *r = w->p->request;
    if (t->primary_key_count == 0 || r->logic_count > 0)
        return false;
    for (uint32_t i = 0; i < r->filter_name_count; i++)
        if (!is_key_column(t, r->filter_names[i]))
            return false;
    for (size_t k = 0; k < t->primary_key_count; k++) {
        bool is_found = false;
        for (uint32_t i = 0; i < r->filter_name_count && !is_found; i++)
            is_found = str_eq(r->filter_names[i], t->primary_key[k]);
        if (!is_found)
            return false;
    }
    for (uint32_t i = 0; i < w->where_count; i++) {
        const plan_logic_t *l = &w->where[i];
        if (l->kind != PLAN_LOGIC_LEAF || l->expr->op != FILTER_EQ || l->expr->is_negated ||
            l->expr->quant != FILTER_QUANT_NONE)
            return false;
    }
    return true;
}

static bool is_equal_to(const plan_logic_t *l, str_t column)
{
    return l->kind == PLAN_LOGIC_LEAF && l->expr->op == FILTER_EQ && !l->expr->is_negated &&
           l->expr->quant == FILTER_QUANT_NONE && l->field.step_count == 0 && str_eq(l->field.name, column);
}

/* Neither the payload nor the key says that it is one row at most, or it may be large by its embeds. */
static bool shows_many(const write_t *w)
{
    const schema_table_t *t = w->p->table;
    if (w->p->root->child_count > 0)
        return true;
    if (w->p->request->action == REST_ACTION_CREATE)
        return !w->body.is_object;
    size_t found = 0;
    for (size_t k = 0; k < t->primary_key_count; k++) {
        uint32_t i = 0;
        while (i < w->where_count && !is_equal_to(&w->where[i], t->primary_key[k]))
            i++;
        found += i < w->where_count;
    }
    return t->primary_key_count == 0 || found < t->primary_key_count;
}

static err_t *read_upsert(write_t *w)
{
    const rest_request_t *r = w->p->request;
    const schema_table_t *t = w->p->table;
    w->conflict = t->primary_key;
    w->conflict_count = t->primary_key_count;
    if (r->action == REST_ACTION_UPSERT) {
        if (!is_keyed(w))
            return rest_error(w->p->pool, REST_ERR_PUT_FILTERS, STR_NULL);
        w->resolution = REST_RESOLUTION_MERGE;
        w->counts_inserted = true;
        return NULL;
    }
    if (r->action != REST_ACTION_CREATE)
        return NULL;
    w->resolution = r->prefer.resolution;
    w->counts_inserted = w->resolution == REST_RESOLUTION_MERGE;
    if (r->has_on_conflict) {
        w->conflict = r->on_conflict;
        w->conflict_count = r->on_conflict_count;
    }
    return NULL;
}

/* ---- the statements ---- */

/* A transaction-local counter, stepped once for each proposed row and stepped back for each that met an
 * existing one. The comparison is always true. It works on views and foreign tables too, which have no system
 * columns to look at. */
static void step_inserted(sql_t *sql, bool is_up)
{
    SQL_LIT(sql, "pg_catalog.set_config('basalt.inserted', "
                 "(coalesce(nullif(pg_catalog.current_setting('basalt.inserted', true), '')::int, 0) ");
    SQL_STR(sql, is_up ? STR("+ 1)::text, true) <> '0'") : STR("- 1)::text, true) <> '-1'"));
}

static void ident_list(sql_t *sql, const str_t *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            SQL_LIT(sql, ", ");
        SQL_IDENT(sql, names[i]);
    }
}

static void on_conflict(sql_t *sql, const write_t *w)
{
    if (w->resolution == REST_RESOLUTION_NONE || w->conflict_count == 0)
        return;
    SQL_LIT(sql, " ON CONFLICT (");
    ident_list(sql, w->conflict, w->conflict_count);
    if (w->resolution == REST_RESOLUTION_IGNORE || w->body.count == 0) {
        SQL_LIT(sql, ") DO NOTHING");
        return;
    }
    SQL_LIT(sql, ") DO UPDATE SET ");
    for (size_t i = 0; i < w->body.count; i++) {
        if (i > 0)
            SQL_LIT(sql, ", ");
        SQL_IDENT(sql, w->body.columns[i].name);
        SQL_LIT(sql, " = EXCLUDED.");
        SQL_IDENT(sql, w->body.columns[i].name);
    }
    SQL_LIT(sql, " WHERE ");
    step_inserted(sql, false);
}

static void insert_sql(sql_t *sql, const write_t *w)
{
    const schema_table_t *t = w->p->table;
    SQL_LIT(sql, "INSERT INTO ");
    ident_append_qualified(&sql->text, t->schema, t->name);
    if (w->body.count > 0) {
        SQL_LIT(sql, " (");
        for (size_t i = 0; i < w->body.count; i++) {
            if (i > 0)
                SQL_LIT(sql, ", ");
            SQL_IDENT(sql, w->body.columns[i].name);
        }
        buf_append_char(&sql->text, ')');
    }
    SQL_LIT(sql, " SELECT ");
    for (size_t i = 0; i < w->body.count; i++) {
        if (i > 0)
            SQL_LIT(sql, ", ");
        sql_column(sql, STR("pgrst_body"), w->body.columns[i].name);
    }
    SQL_LIT(sql, " FROM ");
    sql_body(sql, &w->body);
    if (w->counts_inserted) {
        SQL_LIT(sql, " WHERE ");
        step_inserted(sql, true);
    }
    bool is_put = w->p->request->action == REST_ACTION_UPSERT;
    for (uint32_t i = 0; is_put && i < w->where_count; i++) {
        SQL_LIT(sql, " AND ");
        sql_logic(sql, STR("pgrst_body"), &w->where[i]);
    }
    on_conflict(sql, w);
}

static void update_sql(sql_t *sql, const write_t *w)
{
    const schema_table_t *t = w->p->table;
    SQL_LIT(sql, "UPDATE ");
    ident_append_qualified(&sql->text, t->schema, t->name);
    SQL_LIT(sql, " SET ");
    for (size_t i = 0; i < w->body.count; i++) {
        if (i > 0)
            SQL_LIT(sql, ", ");
        SQL_IDENT(sql, w->body.columns[i].name);
        SQL_LIT(sql, " = ");
        sql_column(sql, STR("pgrst_body"), w->body.columns[i].name);
    }
    SQL_LIT(sql, " FROM ");
    sql_body(sql, &w->body);
    sql_where(sql, t->name, w->where, w->where_count);
}

static void delete_sql(sql_t *sql, const write_t *w)
{
    const schema_table_t *t = w->p->table;
    SQL_LIT(sql, "DELETE FROM ");
    ident_append_qualified(&sql->text, t->schema, t->name);
    sql_where(sql, t->name, w->where, w->where_count);
}

/* An update without columns changes nothing and returns nothing, but names must resolve as if it did. */
static bool is_idle_update(const write_t *w)
{
    return w->p->request->action == REST_ACTION_UPDATE && w->body.count == 0;
}

static void mutation_sql(sql_t *sql, const write_t *w)
{
    switch (w->p->request->action) {
    case REST_ACTION_UPDATE:
        update_sql(sql, w);
        break;
    case REST_ACTION_DELETE:
        delete_sql(sql, w);
        break;
    default:
        insert_sql(sql, w);
        break;
    }
}

/* ---- returning ---- */

/* Names that the outer query needs of the mutated rows; "*" alone when that is all or cannot be told. */
typedef struct {
    pool_t *pool;
    str_t *names;
    size_t count, capacity;
} name_set_t;

static void add_name(name_set_t *set, str_t name)
{
    for (size_t i = 0; i < set->count; i++)
        if (str_eq(set->names[i], name))
            return;
    if (set->count == set->capacity) {
        size_t capacity = set->capacity == 0 ? 16 : set->capacity * 2;
        str_t *names = POOL_ARRAY(set->pool, str_t, capacity);
        if (set->count > 0)
            memcpy(names, set->names, set->count * sizeof(*names));
        set->names = names;
        set->capacity = capacity;
    }
    set->names[set->count++] = name;
}

static bool needs_all(const plan_node_t *root)
{
    for (uint32_t i = 0; i < root->child_count; i++)
        if (root->children[i]->relation->kind == SCHEMA_REL_COMPUTED)
            return true;
    for (uint32_t i = 0; i < root->select_count; i++)
        if (str_eq(root->selects[i].field.name, STR("*")))
            return true;
    return root->select_count == 0 && root->child_count == 0;
}

static name_set_t needed_names(const write_t *w)
{
    const plan_node_t *root = w->p->root;
    name_set_t set = {.pool = w->p->pool};
    if (needs_all(root)) {
        add_name(&set, STR("*"));
        return set;
    }
    for (uint32_t i = 0; i < root->select_count; i++)
        add_name(&set, root->selects[i].field.name);
    for (uint32_t i = 0; i < root->order_count; i++)
        if (str_is_null(root->orders[i].relation))
            add_name(&set, root->orders[i].field.name);
    for (uint32_t c = 0; c < root->child_count; c++) {
        const schema_relation_t *r = root->children[c]->relation;
        for (size_t i = 0; i < r->pair_count; i++)
            add_name(&set, r->pairs[i].from);
        for (size_t i = 0; i < r->source_count; i++)
            add_name(&set, r->source_pairs[i].from);
    }
    return set;
}

static void name_list(sql_t *sql, const write_t *w)
{
    name_set_t set = needed_names(w);
    for (size_t i = 0; i < set.count; i++) {
        if (i > 0)
            SQL_LIT(sql, ", ");
        sql_column(sql, w->p->table->name, set.names[i]);
    }
}

static void source_cte(sql_t *sql, const write_t *w)
{
    SQL_LIT(sql, "WITH " PLAN_SOURCE " AS (");
    if (is_idle_update(w)) {
        SQL_LIT(sql, "SELECT ");
        name_list(sql, w);
        SQL_LIT(sql, " FROM ");
        ident_append_qualified(&sql->text, w->p->table->schema, w->p->table->name);
        SQL_LIT(sql, " WHERE false");
    } else {
        mutation_sql(sql, w);
        SQL_LIT(sql, " RETURNING ");
        name_list(sql, w);
    }
    SQL_LIT(sql, ") ");
}

/* The selected columns can be returned by the mutation itself. */
static bool is_direct(const write_t *w, const rest_plan_t *out)
{
    const plan_node_t *root = w->p->root;
    if (root->child_count > 0 || root->order_count > 0 || out->format == REST_FORMAT_BODY ||
        out->is_null_stripped || out->media.kind == REST_MEDIA_PLAN || plan_has_aggregate(root))
        return false;
    return true;
}

static void answer_rows(write_t *w, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, w->p);
    if (!is_direct(w, out)) {
        source_cte(&sql, w);
        sql_answer(&sql, w->p, NULL, out);
        return;
    }
    sql_out_t how = out->format == REST_FORMAT_CSV ? SQL_OUT_TEXT : SQL_OUT_COLUMNS;
    if (is_idle_update(w)) {
        SQL_LIT(&sql, "SELECT ");
        sql_select_list(&sql, w->p->root, w->p->table->name, how);
        SQL_LIT(&sql, " FROM ");
        ident_append_qualified(&sql.text, w->p->table->schema, w->p->table->name);
        SQL_LIT(&sql, " WHERE false");
    } else {
        mutation_sql(&sql, w);
        SQL_LIT(&sql, " RETURNING ");
        sql_select_list(&sql, w->p->root, w->p->table->name, how);
    }
    plan_add_stmt(out, &sql, REST_STMT_ROWS);
}

/* The key of the one inserted row, as the text of its JSON form: what `eq.` in Location takes. */
static void answer_location(write_t *w, rest_plan_t *out)
{
    const schema_table_t *t = w->p->table;
    sql_t sql;
    sql_init(&sql, w->p);
    mutation_sql(&sql, w);
    SQL_LIT(&sql, " RETURNING ");
    bool has_items = false;
    for (size_t i = 0; i < t->column_count; i++) {
        if (!is_key_column(t, t->columns[i].name))
            continue;
        SQL_STR(&sql, has_items ? STR(", to_json(") : STR("to_json("));
        has_items = true;
        sql_column(&sql, t->name, t->columns[i].name);
        SQL_LIT(&sql, ") #>> '{}' AS ");
        SQL_IDENT(&sql, t->columns[i].name);
    }
    out->shape = REST_SHAPE_LOCATION;
    plan_add_stmt(out, &sql, REST_STMT_ROWS);
}

static void answer_count(write_t *w, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, w->p);
    if (is_idle_update(w)) {
        SQL_LIT(&sql, "SELECT NULL FROM ");
        ident_append_qualified(&sql.text, w->p->table->schema, w->p->table->name);
        SQL_LIT(&sql, " WHERE false");
    } else {
        mutation_sql(&sql, w);
    }
    out->shape = REST_SHAPE_NOTHING;
    out->format = REST_FORMAT_JSON;
    plan_add_stmt(out, &sql, REST_STMT_AFFECTED);
}

static void explain(write_t *w, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, w->p);
    source_cte(&sql, w);
    sql_answer(&sql, w->p, NULL, out);
}

static void add_inserted(const write_t *w, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, w->p);
    SQL_LIT(&sql, "SELECT nullif(pg_catalog.current_setting('basalt.inserted', true), '')::bigint");
    plan_add_stmt(out, &sql, REST_STMT_INSERTED);
}

err_t *plan_write(planner_t *p, rest_plan_t *out)
{
    write_t w = {.p = p};
    err_t *err = plan_read(p);
    read_conditions(&w);
    if (err == NULL)
        err = read_upsert(&w);
    if (err == NULL && p->request->action != REST_ACTION_DELETE)
        err = read_columns(&w);
    if (err == NULL)
        err = plan_strict_preferences(p);
    if (err == NULL)
        err = plan_media(p, out);
    if (err != NULL)
        return err;
    out->is_exclusive = true;
    rest_return_t wanted = p->request->prefer.ret;
    out->shows_many = wanted == REST_RETURN_FULL && shows_many(&w);
    bool has_location = p->request->action == REST_ACTION_CREATE && wanted == REST_RETURN_HEADERS &&
                        p->table->primary_key_count > 0;
    if (out->media.kind == REST_MEDIA_PLAN)
        explain(&w, out);
    else if (wanted == REST_RETURN_FULL)
        answer_rows(&w, out);
    else if (has_location)
        answer_location(&w, out);
    else
        answer_count(&w, out);
    if (w.counts_inserted && out->format != REST_FORMAT_EXPLAIN)
        add_inserted(&w, out);
    return NULL;
}
