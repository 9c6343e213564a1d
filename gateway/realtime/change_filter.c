#include "realtime/change_filter.h"

#include "base/emit.h"
#include "db/ident.h"

typedef struct {
    str_t name;
    const char *sql; /* between column and value */
    bool is_pattern;
} op_row_t;

static const op_row_t OPS[RT_OP_COUNT] = {
    [RT_OP_EQ] = {STR("eq"), "=", false},
    [RT_OP_NEQ] = {STR("neq"), "<>", false},
    [RT_OP_LT] = {STR("lt"), "<", false},
    [RT_OP_LTE] = {STR("lte"), "<=", false},
    [RT_OP_GT] = {STR("gt"), ">", false},
    [RT_OP_GTE] = {STR("gte"), ">=", false},
    [RT_OP_IN] = {STR("in"), "=", false},
    [RT_OP_LIKE] = {STR("like"), "like", true},
    [RT_OP_ILIKE] = {STR("ilike"), "ilike", true},
    [RT_OP_IS] = {STR("is"), "is", false},
    [RT_OP_MATCH] = {STR("match"), "~", true},
    [RT_OP_IMATCH] = {STR("imatch"), "~*", true},
    [RT_OP_ISDISTINCT] = {STR("isdistinct"), "is distinct from", false},
};

str_t rt_op_name(rt_op_t op)
{
    return OPS[op].name;
}

bool rt_op_is_pattern(rt_op_t op)
{
    return OPS[op].is_pattern;
}

/* Cuts *rest at the next comma outside parentheses and quotes. A quote opens only behind '.', '(' or ','. */
static str_t next_segment(str_t *rest)
{
    int depth = 0;
    bool is_quoted = false;
    for (size_t i = 0; i < rest->len; i++) {
        char c = rest->base[i];
        if (is_quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                is_quoted = false;
        } else if (c == '"' && i > 0 && memchr(".(,", rest->base[i - 1], 3) != NULL) {
            is_quoted = true;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && depth > 0) {
            depth--;
        } else if (c == ',' && depth == 0) {
            str_t part = str_slice(*rest, 0, i);
            *rest = str_slice(*rest, i + 1, rest->len);
            return part;
        }
    }
    str_t part = *rest;
    *rest = STR_NULL;
    return part;
}

static str_t unquote(pool_t *pool, str_t value)
{
    if (value.len < 2 || value.base[0] != '"' || value.base[value.len - 1] != '"')
        return value;
    char *out = pool_alloc(pool, value.len);
    size_t len = 0;
    for (size_t i = 1; i + 1 < value.len; i++) {
        if (value.base[i] == '\\' && i + 2 < value.len)
            i++;
        out[len++] = value.base[i];
    }
    return str_make(out, len);
}

static str_t bad_pieces(pool_t *pool, str_t a, str_t b)
{
    buf_t out;
    buf_init(&out, pool, 128);
    buf_append_lit(&out, "Error parsing `filter` params: [");
    emit_json_string(&out, a);
    if (!str_is_null(b)) {
        buf_append_lit(&out, ", ");
        emit_json_string(&out, b);
    }
    buf_append_char(&out, ']');
    return buf_str(&out);
}

static bool parse_in(pool_t *pool, rt_cond_t *cond, str_t *why)
{
    str_t value = cond->value;
    if (value.len < 2 || value.base[0] != '(' || value.base[value.len - 1] != ')') {
        *why = STR("Error parsing `filter` params: `in` filter value must be wrapped by parentheses");
        return false;
    }
    str_t inside = str_slice(value, 1, value.len - 1);
    size_t count = 1;
    for (size_t i = 0; i < inside.len; i++)
        count += inside.base[i] == ',';
    if (count > RT_FILTER_IN_MAX) {
        *why = STR("Error parsing `filter` params: too many values for `in` filter. Maximum 100");
        return false;
    }
    cond->value = pool_concat(pool, 3, STR("{"), inside, STR("}"));
    return true;
}

static bool parse_cond(pool_t *pool, str_t segment, rt_cond_t *cond, str_t *why)
{
    size_t equals = str_find_char(segment, '=', 0);
    if (equals == SIZE_MAX) {
        *why = bad_pieces(pool, segment, STR_NULL);
        return false;
    }
    cond->column = str_slice(segment, 0, equals);
    str_t rest = str_slice(segment, equals + 1, segment.len);
    if (str_starts_with(rest, STR("not."))) {
        cond->is_negated = true;
        rest = str_slice(rest, 4, rest.len);
    }
    size_t dot = str_find_char(rest, '.', 0);
    str_t name = dot == SIZE_MAX ? rest : str_slice(rest, 0, dot);
    cond->op = RT_OP_COUNT;
    for (int i = 0; i < RT_OP_COUNT && dot != SIZE_MAX; i++) {
        if (str_eq(OPS[i].name, name))
            cond->op = (rt_op_t)i;
    }
    cond->value = dot == SIZE_MAX ? STR_NULL : str_slice(rest, dot + 1, rest.len);
    if (cond->op == RT_OP_COUNT) {
        *why = bad_pieces(pool, name, cond->value);
        return false;
    }
    if (cond->op == RT_OP_IN)
        return parse_in(pool, cond, why);
    cond->value = unquote(pool, cond->value);
    if (cond->op == RT_OP_IS && !str_eq(cond->value, STR("null")) && !str_eq(cond->value, STR("true")) &&
        !str_eq(cond->value, STR("false")) && !str_eq(cond->value, STR("unknown"))) {
        *why = bad_pieces(pool, name, cond->value);
        return false;
    }
    return true;
}

static bool parse_all(pool_t *pool, rt_filter_t *out, str_t *why)
{
    str_t rest = str_trim(out->text);
    if (rest.len == 0)
        return true;
    size_t most = 1;
    for (size_t i = 0; i < rest.len && most < RT_FILTER_CONDS_MAX; i++)
        most += rest.base[i] == ',';
    out->conds = POOL_ARRAY(pool, rt_cond_t, most);
    while (!str_is_null(rest)) {
        str_t segment = str_trim(next_segment(&rest));
        if (segment.len == 0) {
            *why =
                STR("Error parsing `filter` params: filter must not contain empty segments (check for extra "
                    "commas)");
            return false;
        }
        if (out->count == most) { /* only at the maximum */
            *why = STR("Error parsing `filter` params: too many filters");
            return false;
        }
        if (!parse_cond(pool, segment, &out->conds[out->count++], why))
            return false;
    }
    return true;
}

bool rt_filter_parse(pool_t *pool, str_t text, rt_filter_t *out, str_t *why)
{
    *out = (rt_filter_t){.text = pool_str(pool, text)};
    if (parse_all(pool, out, why))
        return true;
    out->count = 0; /* nothing half read */
    return false;
}

bool rt_cond_write(buf_t *sql, const rt_cond_t *cond, str_t type, size_t param)
{
    const op_row_t *op = &OPS[cond->op];
    if (cond->is_negated)
        buf_append_lit(sql, "not ");
    buf_append_lit(sql, "(r.");
    ident_append(sql, cond->column);
    buf_printf(sql, " %s ", op->sql);
    if (cond->op == RT_OP_IS) /* one of four words, see parse_cond */
        buf_append_str(sql, cond->value);
    else if (cond->op == RT_OP_IN)
        buf_printf(sql, "any ($%zu::%.*s[])", param, STR_ARG(type));
    else if (op->is_pattern && !str_eq(type, STR("pg_catalog.bytea")))
        buf_printf(sql, "$%zu::pg_catalog.text", param);
    else
        buf_printf(sql, "$%zu::%.*s", param, STR_ARG(type));
    buf_append_char(sql, ')');
    return cond->op != RT_OP_IS;
}

void rt_filter_write_debug(buf_t *out, const rt_filter_t *filter)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < filter->count; i++) {
        const rt_cond_t *cond = &filter->conds[i];
        buf_append_str(out, i > 0 ? STR(", {") : STR("{"));
        emit_json_string(out, cond->column);
        buf_append_lit(out, ", ");
        emit_json_string(out, rt_op_name(cond->op));
        buf_append_lit(out, ", ");
        emit_json_string(out, cond->value);
        buf_append_str(out, cond->is_negated ? STR(", true}") : STR(", false}"));
    }
    buf_append_char(out, ']');
}
