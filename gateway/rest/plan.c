#include "rest/errors.h"
#include "rest/sql.h"

/* ---- counting ---- */

static void add_count(planner_t *p, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, p);
    SQL_LIT(&sql, "SELECT pg_catalog.count(*) FROM (");
    sql_count_rows(&sql, p->root, NULL);
    if (p->request->prefer.count == REST_COUNT_ESTIMATED && p->settings->max_rows >= 0)
        buf_printf(&sql.text, " LIMIT %lld", (long long)p->settings->max_rows + 1);
    SQL_LIT(&sql, ") AS basalt_count");
    plan_add_stmt(out, &sql, REST_STMT_COUNT);
}

static void add_count_plan(planner_t *p, rest_plan_t *out)
{
    sql_t sql;
    sql_init(&sql, p);
    SQL_LIT(&sql, "EXPLAIN (FORMAT JSON) ");
    sql_count_rows(&sql, p->root, NULL);
    plan_add_stmt(out, &sql, REST_STMT_COUNT_PLAN);
    out->stmts[out->stmt_count - 1].is_unprepared = true;
}

/* Before the rows, so that a total is known when the answer begins. */
static void add_counts(planner_t *p, rest_plan_t *out)
{
    rest_count_t count = p->request->prefer.count;
    out->count_cap = -1;
    if (count == REST_COUNT_NONE || out->media.kind == REST_MEDIA_PLAN)
        return;
    if (count == REST_COUNT_ESTIMATED)
        out->count_cap = p->settings->max_rows >= 0 ? p->settings->max_rows : 0;
    if (count != REST_COUNT_PLANNED) {
        out->is_count_page_total = p->settings->max_rows < 0 && rest_range_is_all(p->request->range);
        if (!out->is_count_page_total)
            add_count(p, out);
    }
    if (count != REST_COUNT_EXACT)
        add_count_plan(p, out);
}

/* ---- reading ---- */

static err_t *plan_relation(planner_t *p)
{
    p->target = (schema_name_t){p->request->schema, p->request->target};
    p->table = schema_table(p->snapshot, p->target.schema, p->target.name);
    return p->table == NULL ? plan_err_table(p, p->target) : NULL;
}

static err_t *plan_relation_read(planner_t *p, rest_plan_t *out)
{
    err_t *err = plan_relation(p);
    if (err == NULL)
        err = plan_read(p);
    if (err == NULL)
        err = plan_media(p, out);
    if (err == NULL)
        err = plan_strict_preferences(p);
    if (err != NULL)
        return err;
    out->is_read_only = true;
    add_counts(p, out);
    sql_t sql;
    sql_init(&sql, p);
    sql_answer(&sql, p, NULL, out);
    return NULL;
}

/* ---- OPTIONS ---- */

static err_t *plan_relation_info(planner_t *p, rest_plan_t *out)
{
    err_t *err = plan_relation(p);
    if (err != NULL)
        return err;
    const schema_table_t *t = p->table;
    bool can_put = t->is_insertable && t->is_updatable && t->primary_key_count > 0;
    out->allow =
        pool_printf(p->pool, "OPTIONS,GET,HEAD%s%s%s%s", t->is_insertable ? ",POST" : "",
                    can_put ? ",PUT" : "", t->is_updatable ? ",PATCH" : "", t->is_deletable ? ",DELETE" : "");
    out->format = REST_FORMAT_INFO;
    return NULL;
}

static err_t *plan_routine_info(planner_t *p, rest_plan_t *out)
{
    const schema_routine_t *routine = NULL;
    p->target = (schema_name_t){p->request->schema, p->request->target};
    err_t *err = plan_routine(p, &routine);
    if (err != NULL)
        return err;
    out->allow = routine->volatility == SCHEMA_VOLATILE ? STR("OPTIONS,POST") : STR("OPTIONS,GET,HEAD,POST");
    out->format = REST_FORMAT_INFO;
    return NULL;
}

static err_t *plan_schema_info(rest_plan_t *out)
{
    out->allow = STR("OPTIONS,GET,HEAD");
    out->format = REST_FORMAT_INFO;
    return NULL;
}

/* ---- the whole ---- */

static void legacy_names(const plan_node_t *node, buf_t *out)
{
    if (node->is_legacy_match)
        buf_printf(out, "%s`%.*s` to `%.*s`", out->len > 0 ? ", " : "", STR_ARG(node->rel_name),
                   STR_ARG(node->rel_alias));
    for (uint32_t i = 0; i < node->child_count; i++)
        legacy_names(node->children[i], out);
}

static void add_warning(planner_t *p, rest_plan_t *out)
{
    buf_t names;
    buf_init(&names, p->pool, 64);
    if (p->root != NULL && p->settings->has_legacy_targets)
        legacy_names(p->root, &names);
    if (names.len > 0)
        out->warning =
            pool_printf(p->pool,
                        "299 PostgRESTv16 \"Embedded resource was referenced by relation name even though it "
                        "has an alias. "
                        "This is deprecated and will stop working in a future release. Update %.*s in "
                        "query string filters, orders or limits.\"",
                        STR_ARG(buf_str(&names)));
}

static err_t *plan_action(planner_t *p, rest_plan_t *out)
{
    switch (p->request->action) {
    case REST_ACTION_READ:
        return plan_relation_read(p, out);
    case REST_ACTION_CREATE:
    case REST_ACTION_UPDATE:
    case REST_ACTION_UPSERT:
    case REST_ACTION_DELETE: {
        err_t *err = plan_relation(p);
        return err != NULL ? err : plan_write(p, out);
    }
    case REST_ACTION_CALL:
    case REST_ACTION_CALL_READ:
        p->target = (schema_name_t){p->request->schema, p->request->target};
        return plan_call(p, out);
    case REST_ACTION_RELATION_INFO:
        return plan_relation_info(p, out);
    case REST_ACTION_ROUTINE_INFO:
        return plan_routine_info(p, out);
    case REST_ACTION_SCHEMA_READ:
        return plan_openapi(p, out);
    case REST_ACTION_SCHEMA_INFO:
        return plan_schema_info(out);
    }
    return err_bug(p->pool, "unknown action");
}

err_t *rest_plan(const rest_settings_t *settings, pool_t *pool, const rest_request_t *request,
                 const struct schema_snapshot *snapshot, const identity_t *identity, rest_plan_t *out)
{
    planner_t *p = POOL_NEW(pool, planner_t);
    *p = (planner_t){
        .pool = pool, .settings = settings, .request = request, .snapshot = snapshot, .identity = identity};
    *out = (rest_plan_t){
        .count_cap = -1, .is_role_isolation = true, .snapshot = snapshot, .location_name = request->target};
    err_t *err = plan_action(p, out);
    if (err != NULL)
        return err;
    out->has_primary_key = p->table != NULL && p->table->primary_key_count > 0;
    add_warning(p, out);
    return NULL;
}
