#include "plan_twin.h"

#include "rest/operand.h"
#include "rest/parse.h"

/* ---- twins ---- */

static str_t other_operand(rest_operand_kind_t kind, uint32_t number)
{
    static const str_t VALUES[] = {STR("7%2C*%22'%5C$1"), STR(""), STR("%7Ba,b%7D"), STR("not.eq.1")};
    static const str_t LISTS[] = {STR("(z,,y)"), STR("()"), STR("%28%C3%A4%29"), STR("(1)")};
    static const str_t ARGUMENTS[] = {STR("9z.x"), STR(""), STR("%7B1%7D"), STR("-1")};
    const str_t *texts = kind == REST_OPERAND_LIST ? LISTS : kind == REST_OPERAND_VALUE ? VALUES : ARGUMENTS;
    return texts[number % 4];
}

rest_input_t plan_twin_of(pool_t *pool, const rest_settings_t *settings, const rest_input_t *in,
                          str_t other_body)
{
    bool is_call_read = str_starts_with(in->path, STR("/rpc/")) && !str_eq(in->method, STR("POST"));
    rest_input_t twin = *in;
    str_t query = in->query;
    buf_t out;
    uint32_t number = 0;
    buf_init(&out, pool, in->query.len + 64);
    while (query.len > 0) {
        str_t pair = rest_next_pair(&query), raw = pair;
        str_t name = str_split(&raw, '=');
        str_t value = str_is_null(raw) ? STR_NULL : rest_url_decode(pool, raw, true);
        rest_operand_t operand = rest_operand_find(name, raw, value, is_call_read, settings->list_max);
        bool has_one = operand.kind != REST_OPERAND_NONE;
        buf_append_str(&out, has_one ? str_slice(pair, 0, name.len + 1 + operand.at) : pair);
        if (has_one)
            buf_append_str(&out, other_operand(operand.kind, ++number));
        if (query.base > pair.base + pair.len)
            buf_append_char(&out, '&');
    }
    twin.query = str_is_null(in->query) ? STR_NULL : buf_str(&out);
    twin.body = other_body;
    return twin;
}

/* ---- equality ---- */

static bool same(str_t a, str_t b)
{
    return str_eq(a, b) && str_is_null(a) == str_is_null(b);
}

static const char *stmt_difference(const db_stmt_t *a, const db_stmt_t *b)
{
    if (!same(a->sql, b->sql) || db_stmt_hash(a) != db_stmt_hash(b))
        return "sql";
    if (a->param_count != b->param_count || a->is_unprepared != b->is_unprepared)
        return "statement";
    for (size_t i = 0; i < a->param_count; i++)
        if (!same(a->params[i], b->params[i]) || a->types[i] != b->types[i])
            return "parameter";
    return NULL;
}

static const char *request_difference(const rest_request_t *a, const rest_request_t *b)
{
    if (a->action != b->action || a->is_head != b->is_head || !same(a->method, b->method) ||
        !same(a->schema, b->schema) || !same(a->target, b->target) ||
        a->is_schema_negotiated != b->is_schema_negotiated || a->has_on_conflict != b->has_on_conflict ||
        a->range.offset != b->range.offset || a->range.limit != b->range.limit)
        return "request";
    if (!str_eq(a->canonical_query, b->canonical_query))
        return "canonical query";
    const rest_preferences_t *p = &a->prefer, *q = &b->prefer;
    if (p->ret != q->ret || p->count != q->count || p->resolution != q->resolution ||
        p->missing != q->missing || p->tx != q->tx || p->handling != q->handling ||
        !same(p->timezone, q->timezone) || p->has_max_affected != q->has_max_affected ||
        p->max_affected != q->max_affected)
        return "preferences";
    return a->payload.kind == b->payload.kind && a->payload.is_object == b->payload.is_object &&
                   (a->payload.kind == REST_PAYLOAD_NONE || same(a->payload.text, b->payload.text))
               ? NULL
               : "payload";
}

static const char *plan_difference(const rest_plan_t *a, const rest_plan_t *b)
{
    const rest_media_t *m = &a->media, *n = &b->media;
    if (m->kind != n->kind || !same(m->other, n->other) || m->plan_for != n->plan_for ||
        !same(m->plan_for_other, n->plan_for_other) || m->plan_is_json != n->plan_is_json ||
        m->plan_options != n->plan_options)
        return "media type";
    if (a->format != b->format || a->shape != b->shape || a->is_singular != b->is_singular ||
        a->is_null_stripped != b->is_null_stripped || a->column_count != b->column_count)
        return "format";
    if (a->is_read_only != b->is_read_only || a->is_exclusive != b->is_exclusive ||
        a->isolation != b->isolation || a->is_role_isolation != b->is_role_isolation ||
        a->setting_count != b->setting_count)
        return "transaction";
    for (uint32_t i = 0; i < a->setting_count; i++)
        if (!same(a->settings[i].name, b->settings[i].name) ||
            !same(a->settings[i].value, b->settings[i].value))
            return "setting";
    return a->is_page_total_one == b->is_page_total_one && a->is_count_page_total == b->is_count_page_total &&
                   a->count_cap == b->count_cap && a->is_void == b->is_void &&
                   a->has_primary_key == b->has_primary_key && same(a->allow, b->allow) &&
                   same(a->warning, b->warning) && same(a->location_name, b->location_name) &&
                   a->snapshot == b->snapshot && a->openapi == b->openapi
               ? NULL
               : "answer";
}

const char *plan_twin_difference(const rest_request_t *a_request, const rest_plan_t *a,
                                 const rest_request_t *b_request, const rest_plan_t *b)
{
    const char *what = request_difference(a_request, b_request);
    if (what == NULL)
        what = plan_difference(a, b);
    if (what == NULL && a->stmt_count != b->stmt_count)
        what = "statements";
    for (uint32_t i = 0; what == NULL && i < a->stmt_count; i++)
        what = a->roles[i] != b->roles[i] ? "role" : stmt_difference(&a->stmts[i], &b->stmts[i]);
    return what;
}
