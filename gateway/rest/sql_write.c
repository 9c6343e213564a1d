#include "rest/sql.h"

static const rest_bind_t WHOLE_BODY = {REST_BIND_BODY, 0};

static void column_list(sql_t *sql, const sql_body_t *body)
{
    for (size_t i = 0; i < body->count; i++) {
        const sql_body_column_t *c = &body->columns[i];
        if (i > 0)
            SQL_LIT(sql, ", ");
        if (!str_is_null(c->transform)) {
            SQL_STR(sql, c->transform);
            buf_append_char(&sql->text, '(');
            SQL_IDENT(sql, c->name);
            SQL_LIT(sql, ") AS ");
        }
        SQL_IDENT(sql, c->name);
    }
}

/* jsonb_build_object('a', default of a, ..): laid under each element, so that absent keys find it. */
static void defaults(sql_t *sql, const sql_body_t *body)
{
    bool has_items = false;
    SQL_LIT(sql, "jsonb_build_object(");
    for (size_t i = 0; i < body->count; i++) {
        const sql_body_column_t *c = &body->columns[i];
        if (str_is_null(c->default_value))
            continue;
        if (has_items)
            SQL_LIT(sql, ", ");
        has_items = true;
        ident_append_literal(&sql->text, c->name);
        SQL_LIT(sql, ", ");
        SQL_STR(sql, c->default_value);
    }
    buf_append_char(&sql->text, ')');
}

static void payload(sql_t *sql, const sql_body_t *body)
{
    if (!body->is_defaulting) {
        sql_bind(sql, body->text, SQL_TYPE_JSON, WHOLE_BODY);
    } else if (body->is_object) {
        defaults(sql, body);
        SQL_LIT(sql, " || ");
        sql_bind(sql, body->text, SQL_TYPE_JSONB, WHOLE_BODY);
    } else {
        SQL_LIT(sql, "(SELECT jsonb_agg(");
        defaults(sql, body);
        SQL_LIT(sql, " || elem) FROM jsonb_array_elements(");
        sql_bind(sql, body->text, SQL_TYPE_JSONB, WHOLE_BODY);
        SQL_LIT(sql, ") AS elem)");
    }
}

static void no_columns(sql_t *sql, const sql_body_t *body)
{
    if (body->is_object) {
        SQL_LIT(sql, "(VALUES (1)) AS _");
        return;
    }
    SQL_LIT(sql, "json_array_elements(");
    sql_bind(sql, body->text, SQL_TYPE_JSON, WHOLE_BODY);
    SQL_LIT(sql, ") AS _");
}

void sql_body(sql_t *sql, const sql_body_t *body)
{
    SQL_LIT(sql, "(SELECT ");
    column_list(sql, body);
    SQL_LIT(sql, " FROM ");
    if (body->count == 0) {
        no_columns(sql, body);
    } else {
        SQL_STR(sql, body->is_defaulting ? STR("jsonb") : STR("json"));
        SQL_STR(sql, body->is_object ? STR("_to_record(") : STR("_to_recordset("));
        payload(sql, body);
        SQL_LIT(sql, ") AS _(");
        for (size_t i = 0; i < body->count; i++) {
            if (i > 0)
                SQL_LIT(sql, ", ");
            SQL_IDENT(sql, body->columns[i].name);
            buf_append_char(&sql->text, ' ');
            SQL_STR(sql, body->columns[i].type);
        }
        buf_append_char(&sql->text, ')');
        if (body->is_single)
            SQL_LIT(sql, " LIMIT 1");
    }
    SQL_LIT(sql, ") AS pgrst_body");
}
