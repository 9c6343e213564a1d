#include "rest/sql.h"

void plan_add_stmt(rest_plan_t *out, const sql_t *sql, rest_stmt_role_t role)
{
    out->roles[out->stmt_count] = role;
    out->binds[out->stmt_count] = sql->binds;
    out->is_single_use = out->is_single_use || sql->is_single_use || sql->is_rare;
    out->stmts[out->stmt_count++] = sql_stmt(sql);
}

static void explain_prefix(sql_t *sql, const rest_media_t *media)
{
    static const struct {
        uint8_t bit;
        const char *name;
    } OPTIONS[] = {{REST_PLAN_ANALYZE, "ANALYZE"},
                   {REST_PLAN_VERBOSE, "VERBOSE"},
                   {REST_PLAN_SETTINGS, "SETTINGS"},
                   {REST_PLAN_BUFFERS, "BUFFERS"},
                   {REST_PLAN_WAL, "WAL"}};
    buf_printf(&sql->text, "EXPLAIN (FORMAT %s", media->plan_is_json ? "JSON" : "TEXT");
    for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(*OPTIONS); i++)
        if (media->plan_options & OPTIONS[i].bit)
            buf_printf(&sql->text, ", %s", OPTIONS[i].name);
    SQL_LIT(sql, ") ");
}

/* The finished statement, or, when the plan was asked for, the same behind EXPLAIN. Parameters keep their
 * numbers. */
static void add_main(sql_t *sql, rest_plan_t *out, rest_stmt_role_t role)
{
    if (out->media.kind != REST_MEDIA_PLAN) {
        plan_add_stmt(out, sql, role);
        return;
    }
    sql_t explain = *sql;
    buf_init(&explain.text, sql->pool, sql->text.len + 64);
    explain_prefix(&explain, &out->media);
    SQL_STR(&explain, buf_str(&sql->text));
    plan_add_stmt(out, &explain, REST_STMT_EXPLAIN);
    out->stmts[out->stmt_count - 1].is_unprepared = true;
    out->format = REST_FORMAT_EXPLAIN;
}

/* "handler(row) AS body": what a media handler makes of all rows. */
static void handler_call(sql_t *sql, const planner_t *p, bool is_scalar)
{
    const schema_media_handler_t *h = p->handler;
    if (p->is_geojson && h == NULL) {
        SQL_LIT(sql, "json_build_object('type', 'FeatureCollection', 'features', "
                     "coalesce(json_agg(ST_AsGeoJSON(basalt_row)::json), '[]'))");
        return;
    }
    ident_append_qualified(&sql->text, h->function.schema, h->function.name);
    if (is_scalar) {
        SQL_LIT(sql, "(basalt_row.pgrst_scalar)");
    } else if (h->is_any_element) {
        SQL_LIT(sql, "(basalt_row)");
    } else {
        SQL_LIT(sql, "(basalt_row::");
        ident_append_qualified(&sql->text, h->target.schema, h->target.name);
        buf_append_char(&sql->text, ')');
    }
}

static void answer_body(sql_t *sql, const planner_t *p, const sql_source_t *source, rest_plan_t *out)
{
    bool is_scalar = p->routine != NULL && !p->routine->returns_set && !p->routine->returns_composite;
    SQL_LIT(sql, "SELECT ");
    handler_call(sql, p, is_scalar);
    /* the value of a scalar function is its own body: one row, nothing to count */
    SQL_STR(sql, is_scalar ? STR(" AS body, 1 AS page_total FROM (")
                           : STR(" AS body, pg_catalog.count(basalt_row) AS page_total FROM ("));
    sql_read(sql, p->root, source, SQL_OUT_TEXT);
    SQL_LIT(sql, ") AS basalt_row");
    add_main(sql, out, REST_STMT_BODY);
}

/* Rows without columns: their number is all that is wanted. */
static void answer_nothing(sql_t *sql, const planner_t *p, const sql_source_t *source, rest_plan_t *out)
{
    SQL_LIT(sql, "SELECT FROM (");
    sql_read(sql, p->root, source, SQL_OUT_TEXT);
    SQL_LIT(sql, ") AS basalt_row");
    out->shape = REST_SHAPE_NOTHING;
    add_main(sql, out, REST_STMT_ROWS);
}

/* Rows as json values in one column: where the columns cannot be known, or nulls must go at every depth. */
static void answer_json_rows(sql_t *sql, const planner_t *p, const sql_source_t *source, rest_plan_t *out)
{
    SQL_STR(sql, out->is_null_stripped ? STR("SELECT json_strip_nulls(row_to_json(basalt_row)) FROM (")
                                       : STR("SELECT row_to_json(basalt_row) FROM ("));
    sql_read(sql, p->root, source, SQL_OUT_TEXT);
    SQL_LIT(sql, ") AS basalt_row");
    out->shape = out->shape == REST_SHAPE_OBJECT || out->is_singular ? REST_SHAPE_SCALAR : REST_SHAPE_SCALARS;
    out->is_null_stripped = false;
    add_main(sql, out, REST_STMT_ROWS);
}

void sql_answer(sql_t *sql, const planner_t *p, const sql_source_t *source, rest_plan_t *out)
{
    bool is_scalar = out->shape == REST_SHAPE_SCALAR || out->shape == REST_SHAPE_SCALARS;
    if (p->request->is_head) {
        answer_nothing(sql, p, source, out);
    } else if (out->format == REST_FORMAT_BODY) {
        answer_body(sql, p, source, out);
    } else if (out->format == REST_FORMAT_CSV) {
        sql_read(sql, p->root, source, SQL_OUT_TEXT);
        add_main(sql, out, REST_STMT_ROWS);
    } else if (!is_scalar && (out->is_null_stripped || sql_needs_row_json(p->root, source))) {
        answer_json_rows(sql, p, source, out);
    } else {
        sql_read(sql, p->root, source, SQL_OUT_COLUMNS);
        add_main(sql, out, REST_STMT_ROWS);
    }
}
