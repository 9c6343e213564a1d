/* Calling routines: which of several functions of one name is meant, and how its arguments are passed. */
#include "rest/errors.h"
#include "rest/sql.h"

/* ---- which function ---- */

static bool has_argument(const rest_request_t *r, str_t name, bool is_read)
{
    if (is_read) {
        for (uint32_t i = 0; i < r->param_count; i++)
            if (str_eq(r->params[i].name, name))
                return true;
        return false;
    }
    for (uint32_t i = 0; i < r->column_count; i++)
        if (str_eq(r->columns[i], name))
            return true;
    return false;
}

static const schema_parameter_t *parameter(const schema_routine_t *f, str_t name)
{
    for (size_t i = 0; i < f->parameter_count; i++)
        if (str_eq(f->parameters[i].name, name))
            return &f->parameters[i];
    return NULL;
}

/* Names of the arguments given: query parameters, or the keys of the payload. */
typedef struct {
    const str_t *names;
    size_t count;
    bool is_body; /* POST */
} arguments_t;

static arguments_t given_arguments(const planner_t *p)
{
    const rest_request_t *r = p->request;
    if (r->action == REST_ACTION_CALL)
        return (arguments_t){r->columns, r->column_count, true};
    str_t *names = POOL_ARRAY(p->pool, str_t, r->param_count + 1);
    size_t count = 0;
    for (uint32_t i = 0; i < r->param_count; i++) {
        size_t at = 0;
        while (at < count && str_cmp(names[at], r->params[i].name) < 0)
            at++;
        if (at < count && str_eq(names[at], r->params[i].name))
            continue;
        memmove(&names[at + 1], &names[at], (count - at) * sizeof(*names));
        names[at] = r->params[i].name;
        count++;
    }
    return (arguments_t){names, count, false};
}

static bool takes_raw_body(rest_media_kind_t kind)
{
    return kind == REST_MEDIA_OCTETS || kind == REST_MEDIA_TEXT || kind == REST_MEDIA_XML;
}

/* All required parameters are given, and nothing that is not a parameter. */
static bool takes_arguments(const planner_t *p, const schema_routine_t *f, const arguments_t *given)
{
    if (f->parameter_count == 0)
        return given->count == 0 && !(given->is_body && takes_raw_body(p->request->content_type.kind));
    for (size_t i = 0; i < given->count; i++)
        if (parameter(f, given->names[i]) == NULL)
            return false;
    for (size_t i = 0; i < f->parameter_count; i++)
        if (f->parameters[i].is_required && !has_argument(p->request, f->parameters[i].name, !given->is_body))
            return false;
    return true;
}

/* The one unnamed parameter takes the whole body when the types fit. */
static bool takes_body(const planner_t *p, const schema_routine_t *f)
{
    if (f->parameter_count != 1 || f->parameters[0].name.len > 0 || p->request->action != REST_ACTION_CALL)
        return false;
    str_t type = f->parameters[0].type;
    switch (p->request->content_type.kind) {
    case REST_MEDIA_JSON:
        return str_eq(type, STR("json")) || str_eq(type, STR("jsonb"));
    case REST_MEDIA_TEXT:
        return str_eq(type, STR("text"));
    case REST_MEDIA_XML:
        return str_eq(type, STR("xml"));
    case REST_MEDIA_OCTETS:
        return str_eq(type, STR("bytea"));
    default:
        return false;
    }
}

err_t *plan_routine(const planner_t *p, const schema_routine_t **out)
{
    arguments_t given = given_arguments(p);
    const schema_overloads_t *o = schema_overloads(p->snapshot, p->target.schema, p->target.name);
    size_t total = o != NULL ? o->count : 0, named = 0, bodied = 0;
    const schema_routine_t **by_name = POOL_ARRAY(p->pool, const schema_routine_t *, total + 1);
    const schema_routine_t **by_body = POOL_ARRAY(p->pool, const schema_routine_t *, total + 1);
    for (size_t i = 0; i < total; i++) {
        if (takes_arguments(p, o->routines[i], &given))
            by_name[named++] = o->routines[i];
        else if (takes_body(p, o->routines[i]))
            by_body[bodied++] = o->routines[i];
    }
    if (named == 0 && bodied == 0)
        return plan_err_no_routine(p, p->target, given.names, given.count, o);
    if (named > 1 || (named == 0 && bodied > 1))
        return plan_err_ambiguous_routine(p, named > 0 ? by_name : by_body, named > 0 ? named : bodied);
    *out = named > 0 ? by_name[0] : by_body[0];
    return NULL;
}

/* ---- how it is called ---- */

typedef struct {
    planner_t *p;
    const schema_routine_t *f;
    const str_t *unknown; /* columns of the row that are functions of it: named beside the star */
    size_t unknown_count;
} call_t;

static bool returns_scalar(const schema_routine_t *f)
{
    return !f->returns_composite;
}

static bool is_body_call(const call_t *c)
{
    return c->f->parameter_count == 1 && c->f->parameters[0].name.len == 0;
}

/* bytea in its text form, since parameters travel as text. */
static str_t hex_bytes(pool_t *pool, str_t raw)
{
    static const char DIGITS[] = "0123456789abcdef";
    char *out = pool_alloc(pool, raw.len * 2 + 3);
    out[0] = '\\';
    out[1] = 'x';
    for (size_t i = 0; i < raw.len; i++) {
        out[2 + 2 * i] = DIGITS[(unsigned char)raw.base[i] >> 4];
        out[3 + 2 * i] = DIGITS[(unsigned char)raw.base[i] & 15];
    }
    return str_make(out, raw.len * 2 + 2);
}

static void body_argument(sql_t *sql, const call_t *c)
{
    const schema_parameter_t *prm = &c->f->parameters[0];
    str_t text = c->p->request->payload.text;
    if (str_eq(prm->type, STR("bytea"))) {
        text = hex_bytes(sql->pool, text);
        sql->is_single_use = true;
    }
    sql_bind(sql, text, SQL_TYPE_UNKNOWN, (rest_bind_t){.kind = REST_BIND_BODY});
    SQL_LIT(sql, "::");
    SQL_STR(sql, prm->type);
}

/* Values of a repeated name go to a variadic parameter as an array; of other repeated names the last counts.
 */
static void text_argument(sql_t *sql, const call_t *c, const schema_parameter_t *prm)
{
    const rest_request_t *r = c->p->request;
    bool is_form = r->action == REST_ACTION_CALL;
    const rest_pair_t *pairs = is_form ? r->payload.pairs : r->params;
    uint32_t count = is_form ? r->payload.pair_count : r->param_count, found = 0;
    str_t *values = POOL_ARRAY(sql->pool, str_t, count + 1);
    rest_bind_t bind = {.kind = REST_BIND_FIXED};
    for (uint32_t i = 0; i < count; i++) {
        if (!str_eq(pairs[i].name, prm->name))
            continue;
        values[found++] = pairs[i].value;
        bind.operand = is_form ? 0 : r->param_operands[i];
        bind.kind = bind.operand != 0 ? REST_BIND_VALUE : REST_BIND_FIXED;
    }
    sql->is_single_use = sql->is_single_use || is_form || prm->is_variadic;
    if (prm->is_variadic)
        sql_param(sql, filter_array_literal(sql->pool, values, found), SQL_TYPE_TEXT_ARRAY);
    else if (found == 0)
        SQL_LIT(sql, "NULL");
    else
        sql_bind(sql, values[found - 1], SQL_TYPE_UNKNOWN, bind);
    SQL_LIT(sql, "::");
    SQL_STR(sql, prm->max_type);
}

static bool has_json_arguments(const call_t *c)
{
    const rest_request_t *r = c->p->request;
    return r->action == REST_ACTION_CALL && r->payload.kind != REST_PAYLOAD_FORM && r->column_count > 0 &&
           !is_body_call(c);
}

/* schema.function(arguments) */
static void invocation(sql_t *sql, const call_t *c)
{
    bool is_json = has_json_arguments(c), is_read = c->p->request->action == REST_ACTION_CALL_READ,
         has_items = false;
    ident_append_qualified(&sql->text, c->f->schema, c->f->name);
    buf_append_char(&sql->text, '(');
    if (is_body_call(c))
        body_argument(sql, c);
    for (size_t i = 0; !is_body_call(c) && i < c->f->parameter_count; i++) {
        const schema_parameter_t *prm = &c->f->parameters[i];
        if (!has_argument(c->p->request, prm->name, is_read))
            continue;
        if (has_items)
            SQL_LIT(sql, ", ");
        has_items = true;
        if (prm->is_variadic)
            SQL_LIT(sql, "VARIADIC ");
        SQL_IDENT(sql, prm->name);
        SQL_LIT(sql, " := ");
        if (is_json)
            sql_column(sql, STR("pgrst_body"), prm->name);
        else
            text_argument(sql, c, prm);
    }
    buf_append_char(&sql->text, ')');
}

/* The arguments of a JSON body as one row, before the function in the FROM list. */
static void json_arguments(sql_t *sql, const call_t *c)
{
    sql_body_column_t *columns = POOL_ARRAY(sql->pool, sql_body_column_t, c->f->parameter_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < c->f->parameter_count; i++) {
        const schema_parameter_t *prm = &c->f->parameters[i];
        if (has_argument(c->p->request, prm->name, false))
            columns[count++] = (sql_body_column_t){.name = prm->name, .type = prm->max_type};
    }
    sql_body_t body = {.text = c->p->request->payload.text,
                       .is_object = c->p->request->payload.is_object,
                       .is_single = true,
                       .columns = columns,
                       .count = count};
    sql_body(sql, &body);
    SQL_LIT(sql, ", LATERAL ");
}

/* What stands behind FROM: the function under the name of its relation. */
static void from_call(sql_t *sql, const plan_node_t *node, void *arg)
{
    const call_t *c = arg;
    if (has_json_arguments(c))
        json_arguments(sql, c);
    if (returns_scalar(c->f)) {
        SQL_LIT(sql, "(SELECT ");
        invocation(sql, c);
        SQL_LIT(sql, " AS pgrst_scalar)");
    } else {
        invocation(sql, c);
    }
    SQL_LIT(sql, " AS ");
    SQL_IDENT(sql, node->alias);
}

static void from_source(sql_t *sql, const plan_node_t *node, void *arg)
{
    (void)arg;
    SQL_LIT(sql, PLAN_SOURCE " AS ");
    SQL_IDENT(sql, node->alias);
}

/* ---- counting ---- */

/* A total needs the function's rows twice, but the function may run only once: its rows become a common table
 * expression, and the total travels through a transaction-local setting to a statement of its own. */
static bool needs_total(const call_t *c)
{
    const rest_request_t *r = c->p->request;
    bool is_wanted = r->prefer.count == REST_COUNT_EXACT || r->prefer.count == REST_COUNT_ESTIMATED;
    return is_wanted && (c->p->settings->max_rows >= 0 || !rest_range_is_all(r->range));
}

static void add_unknown(call_t *c, const plan_field_t *f)
{
    if (c->p->table == NULL || f->column != NULL || str_eq(f->name, STR("*")))
        return;
    for (size_t i = 0; i < c->unknown_count; i++)
        if (str_eq(c->unknown[i], f->name))
            return;
    ((str_t *)(uintptr_t)c->unknown)[c->unknown_count++] = f->name;
}

static void find_unknown(call_t *c)
{
    const plan_node_t *root = c->p->root;
    c->unknown =
        POOL_ARRAY(c->p->pool, str_t, root->select_count + root->order_count + root->where_count + 1);
    for (uint32_t i = 0; i < root->select_count; i++)
        add_unknown(c, &root->selects[i].field);
    for (uint32_t i = 0; i < root->order_count; i++)
        if (str_is_null(root->orders[i].relation))
            add_unknown(c, &root->orders[i].field);
    for (uint32_t i = 0; i < root->where_count; i++)
        if (root->where[i].kind == PLAN_LOGIC_LEAF)
            add_unknown(c, &root->where[i].field);
}

/* Columns added to the source for the sake of names must not come back through `*`: it is spelled out. */
static void expand_stars(call_t *c)
{
    plan_node_t *root = c->p->root;
    const schema_table_t *table = c->p->table;
    plan_select_t *selects =
        POOL_ARRAY(c->p->pool, plan_select_t, root->select_count * (table->column_count + 1) + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < root->select_count; i++) {
        if (!str_eq(root->selects[i].field.name, STR("*")) || root->selects[i].agg != REST_AGG_NONE) {
            selects[count++] = root->selects[i];
            continue;
        }
        for (size_t j = 0; j < table->column_count; j++)
            selects[count++].field = plan_column_field(c->p, &table->columns[j]);
    }
    root->selects = selects;
    root->select_count = count;
}

static void source_cte(sql_t *sql, call_t *c)
{
    plan_node_t as_call = {.alias = STR("basalt_call")};
    find_unknown(c);
    if (c->unknown_count > 0)
        expand_stars(c);
    SQL_LIT(sql, "WITH " PLAN_SOURCE " AS (SELECT basalt_call.*");
    for (size_t i = 0; i < c->unknown_count; i++) {
        SQL_LIT(sql, ", ");
        sql_column(sql, STR("basalt_call"), c->unknown[i]);
    }
    SQL_LIT(sql, " FROM ");
    from_call(sql, &as_call, c);
    SQL_LIT(
        sql,
        "), basalt_total AS (SELECT pg_catalog.set_config('basalt.total', pg_catalog.count(*)::text, true) "
        "AS total FROM (");
    sql_source_t source = {.from = from_source};
    sql_count_rows(sql, c->p->root, &source);
    SQL_LIT(sql, ") AS basalt_count) ");
}

static void from_counted(sql_t *sql, const plan_node_t *node, void *arg)
{
    (void)arg;
    SQL_LIT(sql, "(SELECT * FROM " PLAN_SOURCE " WHERE (SELECT total FROM basalt_total) IS NOT NULL) AS ");
    SQL_IDENT(sql, node->alias);
}

static void add_total(const call_t *c, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, c->p);
    SQL_LIT(&sql,
            "SELECT coalesce(nullif(pg_catalog.current_setting('basalt.total', true), ''), '0')::bigint");
    plan_add_stmt(out, &sql, REST_STMT_COUNT);
}

/* ---- the plan ---- */

static void set_shape(const schema_routine_t *f, rest_plan_t *out)
{
    if (returns_scalar(f))
        out->shape = f->returns_set ? REST_SHAPE_SCALARS : REST_SHAPE_SCALAR;
    else
        out->shape = f->returns_set ? REST_SHAPE_ROWS : REST_SHAPE_OBJECT;
    out->is_page_total_one = !f->returns_set;
    out->shows_many = f->returns_set;
    out->is_void = returns_scalar(f) && !f->returns_set && str_eq(f->return_type.schema, STR("pg_catalog")) &&
                   str_eq(f->return_type.name, STR("void"));
}

static void set_transaction(const call_t *c, rest_plan_t *out)
{
    const schema_routine_t *f = c->f;
    out->is_read_only = c->p->request->action == REST_ACTION_CALL_READ || f->volatility != SCHEMA_VOLATILE;
    out->is_exclusive = true;
    if (f->isolation != SCHEMA_ISOLATION_NONE) {
        out->is_role_isolation = false;
        out->isolation = f->isolation == SCHEMA_ISOLATION_SERIALIZABLE ? DB_ISOLATION_SERIALIZABLE
                         : f->isolation == SCHEMA_ISOLATION_REPEATABLE ? DB_ISOLATION_REPEATABLE_READ
                                                                       : DB_ISOLATION_DEFAULT;
    }
    db_setting_t *settings = POOL_ARRAY(c->p->pool, db_setting_t, f->setting_count + 1);
    for (size_t i = 0; i < f->setting_count; i++)
        settings[i] = (db_setting_t){f->settings[i].name, f->settings[i].value};
    out->settings = settings;
    out->setting_count = (uint32_t)f->setting_count;
}

/* With LIMIT 0 PostgreSQL asks for no row, so that a total beside the rows is never made: it gets a statement
 * of its own, which is the only one that runs the function. */
static void add_total_alone(call_t *c, sql_source_t *source, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, c->p);
    SQL_LIT(&sql, "SELECT pg_catalog.count(*) FROM (");
    sql_count_rows(&sql, c->p->root, source);
    SQL_LIT(&sql, ") AS basalt_count");
    plan_add_stmt(out, &sql, REST_STMT_COUNT);
}

static void write_statements(call_t *c, rest_plan_t *out)
{
    const schema_routine_t *f = c->f;
    sql_t sql;
    sql_init(&sql, c->p);
    bool wants_total = needs_total(c) && out->media.kind != REST_MEDIA_PLAN;
    bool has_total = wants_total && c->p->request->range.limit != 0;
    sql_source_t source = {.from = has_total ? from_counted : from_call, .arg = c};
    if (returns_scalar(f))
        source.scalar = STR("pgrst_scalar");
    source.is_scalar_plain = f->returns_plain || out->is_void;
    if (has_total)
        source_cte(&sql, c);
    if (wants_total && !has_total)
        add_total_alone(c, &source, out);
    out->is_count_page_total = !wants_total && (c->p->request->prefer.count == REST_COUNT_EXACT ||
                                                c->p->request->prefer.count == REST_COUNT_ESTIMATED);
    sql_answer(&sql, c->p, &source, out);
    if (has_total)
        add_total(c, out);
}

err_t *plan_call(planner_t *p, rest_plan_t *out)
{
    call_t *c = POOL_NEW(p->pool, call_t); /* the statement's source reads it while writing */
    c->p = p;
    err_t *err = plan_routine(p, &c->f);
    if (err != NULL)
        return err;
    p->routine = c->f;
    p->target.name = c->f->returns_composite ? c->f->return_type.name : c->f->name;
    p->table = c->f->returns_composite ? schema_table(p->snapshot, p->target.schema, p->target.name) : NULL;
    err = plan_read(p);
    if (err == NULL)
        err = plan_media(p, out);
    if (err == NULL)
        err = plan_strict_preferences(p);
    if (err == NULL && p->request->prefer.has_max_affected &&
        p->request->prefer.handling == REST_HANDLING_STRICT && !c->f->returns_set)
        err = rest_error(p->pool, REST_ERR_MAX_AFFECTED_RPC, STR_NULL);
    if (err != NULL)
        return err;
    set_shape(c->f, out);
    set_transaction(c, out);
    write_statements(c, out);
    return NULL;
}
