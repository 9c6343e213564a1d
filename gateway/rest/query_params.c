#include "rest/errors.h"
#include "rest/grammar.h"
#include "rest/operand.h"
#include "rest/parse.h"

#include <stdlib.h>

typedef struct {
    str_t name, value; /* decoded; value null when there was no '=' */
    uint32_t position;
    rest_operand_t operand;
    uint32_t operand_number; /* from 1; 0: none */
} param_t;

typedef struct {
    const rest_settings_t *settings;
    pool_t *pool;
    bool is_call_read;
    bool is_explaining; /* it did not parse: once more, to say why */
    param_t *params;
    uint32_t count, operand_count;
    rest_request_t *out;
} query_t;

/* ---- decoding ---- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

str_t rest_url_decode(pool_t *pool, str_t text, bool is_plus_space)
{
    if (str_find_char(text, '%', 0) == SIZE_MAX &&
        (!is_plus_space || str_find_char(text, '+', 0) == SIZE_MAX))
        return text;
    char *to = pool_alloc(pool, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        int high = c == '%' && i + 2 < text.len ? hex_value(text.base[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.base[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && is_plus_space) {
            c = ' ';
        }
        to[len++] = c;
    }
    return str_make(to, len);
}

str_t rest_next_pair(str_t *rest)
{
    size_t n = 0;
    while (n < rest->len && rest->base[n] != '&' && rest->base[n] != ';')
        n++;
    str_t pair = str_slice(*rest, 0, n);
    *rest = str_slice(*rest, n + 1, rest->len);
    return pair;
}

const rest_pair_t *rest_parse_form(pool_t *pool, str_t text, uint32_t max, uint32_t *count)
{
    rest_pair_t *pairs = NULL;
    uint32_t n = 0, capacity = 0;
    while (text.len > 0 && n <= max) {
        str_t value = rest_next_pair(&text);
        str_t name = str_split(&value, '=');
        pairs = rest_grow(pool, pairs, n, &capacity, sizeof(*pairs));
        pairs[n++] =
            (rest_pair_t){.name = rest_url_decode(pool, name, true),
                          .value = str_is_null(value) ? STR("") : rest_url_decode(pool, value, true)};
    }
    *count = n;
    return pairs;
}

/* PostgreSQL's own answer to text it cannot hold. */
static err_t *check_text(pool_t *pool, str_t text)
{
    if (rest_text_is_sound(text))
        return NULL;
    if (str_find_char(text, '\0', 0) != SIZE_MAX)
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "22021",
                        "invalid byte sequence for encoding \"UTF8\": 0x00");
    return err_make(pool, 400, ERR_FAMILY_REQUEST, "22021", "invalid byte sequence for encoding \"UTF8\"");
}

#define PARAMS_MAX 4096

static err_t *split_query(query_t *q, str_t query)
{
    uint32_t capacity = 0;
    while (query.len > 0) {
        str_t raw = rest_next_pair(&query);
        str_t name = str_split(&raw, '=');
        if (q->count == PARAMS_MAX)
            return err_details(q->pool, rest_error(q->pool, REST_ERR_QUERY, STR("query string")),
                               "too many parameters");
        q->params = rest_grow(q->pool, q->params, q->count, &capacity, sizeof(*q->params));
        param_t *param = &q->params[q->count];
        *param = (param_t){.name = rest_url_decode(q->pool, name, true), .position = q->count};
        if (!str_is_null(raw)) {
            param->value = rest_url_decode(q->pool, raw, true);
            param->operand =
                rest_operand_find(name, raw, param->value, q->is_call_read, q->settings->list_max);
            if (param->operand.kind != REST_OPERAND_NONE)
                param->operand_number = ++q->operand_count;
        }
        q->count++;
        err_t *err = check_text(q->pool, param->name);
        if (err == NULL && !str_is_null(param->value))
            err = check_text(q->pool, param->value);
        if (err != NULL)
            return err;
    }
    return NULL;
}

/* ---- canonical form ---- */

static int by_name(const void *a, const void *b)
{
    const param_t *x = a, *y = b;
    int order = str_cmp(x->name, y->name);
    return order != 0 ? order : x->position < y->position ? -1 : 1;
}

void rest_url_encode(buf_t *out, str_t text)
{
    static const char HEX[] = "0123456789ABCDEF";
    char *start = buf_reserve(out, text.len * 3), *to = start;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 0x80) ||
                        c == '-' || c == '_' || c == '.' || c == '~';
        if (is_plain) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = HEX[c >> 4];
            *to++ = HEX[c & 15];
        }
    }
    out->len += (size_t)(to - start);
}

/* The parameter's value, with a note of where in the text its operand stands. */
static void append_value(query_t *q, buf_t *out, const param_t *param)
{
    if (param->operand_number == 0) {
        rest_url_encode(out, param->value);
        return;
    }
    rest_url_encode(out, str_slice(param->value, 0, param->operand.at));
    size_t at = out->len;
    rest_url_encode(out, str_slice(param->value, param->operand.at, param->value.len));
    q->out->query_marks[q->out->query_mark_count++] =
        (rest_query_mark_t){.operand = param->operand_number, .at = at, .len = out->len - at};
}

/* Sorted by name; equal names become one with their values joined by commas. */
static str_t canonical_form(query_t *q)
{
    if (q->count == 0)
        return STR("");
    q->out->query_marks = POOL_ARRAY(q->pool, rest_query_mark_t, q->operand_count + 1);
    param_t *sorted = POOL_ARRAY(q->pool, param_t, q->count);
    memcpy(sorted, q->params, q->count * sizeof(*sorted));
    qsort(sorted, q->count, sizeof(*sorted), by_name);
    buf_t out;
    buf_init(&out, q->pool, 64);
    for (uint32_t i = 0; i < q->count; i++) {
        if (i > 0 && str_eq(sorted[i].name, sorted[i - 1].name)) {
            buf_append_char(&out, ',');
        } else {
            if (i > 0)
                buf_append_char(&out, '&');
            rest_url_encode(&out, sorted[i].name);
            buf_append_char(&out, '=');
        }
        append_value(q, &out, &sorted[i]);
    }
    return buf_str(&out);
}

/* ---- parameters ---- */

static void scan_begin(scan_t *scan, const query_t *q, str_t text)
{
    if (q->is_explaining)
        scan_init(scan, q->pool, text);
    else
        scan_init_quiet(scan, q->pool, text);
}

static bool is_filter(const param_t *param)
{
    return !str_is_null(param->value) && rest_param_is_filter(param->name);
}

static const param_t *find_param(const query_t *q, str_t name)
{
    for (uint32_t i = 0; i < q->count; i++)
        if (str_eq(q->params[i].name, name))
            return str_is_null(q->params[i].value) ? NULL : &q->params[i];
    return NULL;
}

static err_t *scan_failure(const query_t *q, const scan_t *scan, const char *what, str_t text)
{
    return rest_scan_error(q->pool, scan,
                           pool_printf(q->pool, "failed to parse %s (%.*s)", what, STR_ARG(text)));
}

static err_t *parse_tree_path(const query_t *q, str_t name, rest_path_t *path, rest_field_t *field)
{
    scan_t scan;
    scan_begin(&scan, q, name);
    return rest_scan_tree_path(&scan, path, field) ? NULL : scan_failure(q, &scan, "tree path", name);
}

/* ---- order, logic ---- */

static err_t *parse_orders(query_t *q)
{
    rest_order_t *orders = NULL;
    uint32_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const param_t *param = &q->params[i];
        if (str_is_null(param->value) || !rest_param_is_order(param->name))
            continue;
        orders = rest_grow(q->pool, orders, count, &capacity, sizeof(*orders));
        rest_field_t field;
        err_t *err = parse_tree_path(q, param->name, &orders[count].path, &field);
        if (err != NULL)
            return err;
        scan_t scan;
        scan_begin(&scan, q, param->value);
        if (!rest_scan_order(&scan, q->settings, &orders[count]))
            return scan_failure(q, &scan, "order", param->value);
        count++;
    }
    q->out->orders = orders;
    q->out->order_count = count;
    return NULL;
}

/* `a.b.not.and`: the path without the operator words, and the operator. */
static err_t *parse_logic_path(const query_t *q, str_t name, rest_path_t *path, str_t *op)
{
    scan_t scan;
    scan_begin(&scan, q, name);
    str_t *names = NULL;
    uint32_t count = 0, capacity = 0, kept = 0;
    bool is_not = false;
    do {
        names = rest_grow(q->pool, names, count, &capacity, sizeof(*names));
        if (!rest_scan_name(&scan, &names[count++]))
            return scan_failure(q, &scan, "logic path", name);
    } while (rest_scan_delimiter(&scan));
    *op = names[count - 1];
    for (uint32_t i = 0; i < count; i++) {
        bool is_word = str_eq(names[i], STR("not"));
        is_not = is_not || is_word;
        if (!is_word && i + 1 < count)
            names[kept++] = names[i];
    }
    if (is_not)
        *op = pool_concat(q->pool, 2, STR("not."), *op);
    *path = (rest_path_t){.names = names, .count = kept};
    return NULL;
}

static err_t *parse_logic(query_t *q)
{
    rest_condition_t *trees = NULL;
    uint32_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const param_t *param = &q->params[i];
        if (str_is_null(param->value) || !rest_param_is_logic(param->name))
            continue;
        trees = rest_grow(q->pool, trees, count, &capacity, sizeof(*trees));
        str_t op;
        err_t *err = parse_logic_path(q, param->name, &trees[count].path, &op);
        if (err != NULL)
            return err;
        scan_t scan;
        scan_begin(&scan, q, pool_concat(q->pool, 2, op, param->value));
        if (!rest_scan_logic(&scan, q->settings, &trees[count].tree))
            return scan_failure(q, &scan, "logic tree", param->value);
        count++;
    }
    q->out->logic = trees;
    q->out->logic_count = count;
    return NULL;
}

/* ---- columns, select, on_conflict ---- */

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const str_t *)a, *(const str_t *)b);
}

static err_t *parse_columns(query_t *q)
{
    const param_t *param = find_param(q, STR("columns"));
    if (param == NULL)
        return NULL;
    scan_t scan;
    scan_begin(&scan, q, param->value);
    const str_t *names;
    uint32_t count, kept = 0;
    if (!rest_scan_columns(&scan, &names, &count))
        return scan_failure(q, &scan, "columns parameter", param->value);
    str_t *sorted = POOL_ARRAY(q->pool, str_t, count);
    memcpy(sorted, names, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_text);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || !str_eq(sorted[kept - 1], sorted[i]))
            sorted[kept++] = sorted[i];
    q->out->has_columns_param = true;
    q->out->columns = sorted;
    q->out->column_count = kept;
    return NULL;
}

static err_t *parse_select(query_t *q)
{
    const param_t *param = find_param(q, STR("select"));
    str_t text = param != NULL ? param->value : STR("*");
    scan_t scan;
    scan_begin(&scan, q, text);
    if (!rest_scan_select(&scan, q->settings, &q->out->select, &q->out->select_count))
        return scan_failure(q, &scan, "select parameter", text);
    return NULL;
}

static err_t *parse_on_conflict(query_t *q)
{
    const param_t *param = find_param(q, STR("on_conflict"));
    if (param == NULL)
        return NULL;
    scan_t scan;
    scan_begin(&scan, q, param->value);
    q->out->has_on_conflict = true;
    if (!rest_scan_columns(&scan, &q->out->on_conflict, &q->out->on_conflict_count))
        return scan_failure(q, &scan, "on_conflict parameter", param->value);
    return NULL;
}

/* ---- filters ---- */

typedef struct {
    rest_condition_t *filters;
    rest_pair_t *params;
    uint32_t *param_operands;
    str_t *names;
    uint32_t filter_capacity, param_capacity, operand_capacity, name_capacity;
} filters_t;

/* The operand is what the parser took as the value, no more and no less. */
static bool is_operand_read(const param_t *param, const filter_expr_t *expr)
{
    if (param->operand.kind == REST_OPERAND_LIST)
        return expr->op == FILTER_IN;
    return param->operand.kind == REST_OPERAND_VALUE && filter_operator(expr->op)->kind != FILTER_KIND_LIST &&
           expr->value.base == param->value.base + param->operand.at &&
           expr->value.len == param->value.len - param->operand.at;
}

static err_t *add_filter(query_t *q, filters_t *lists, const param_t *param)
{
    rest_request_t *out = q->out;
    rest_condition_t condition = {.tree.is_leaf = true};
    err_t *err = parse_tree_path(q, param->name, &condition.path, &condition.tree.field);
    if (err != NULL)
        return err;
    scan_t scan;
    scan_begin(&scan, q, param->value);
    if (filter_parse(&scan, FILTER_VALUE_WHOLE, q->settings->list_max, &condition.tree.expr)) {
        if (out->filter_count == q->settings->filters_max) {
            scan.is_over_limit = true;
            scan.limit_what = "filters";
            return scan_failure(q, &scan, "filter", param->value);
        }
        lists->filters = rest_grow(q->pool, lists->filters, out->filter_count, &lists->filter_capacity,
                                   sizeof(*lists->filters));
        condition.tree.operand = param->operand_number;
        out->is_irregular |= param->operand_number != 0 && !is_operand_read(param, &condition.tree.expr);
        lists->filters[out->filter_count++] = condition;
        return NULL;
    }
    if (!q->is_call_read || scan.at != 0 || scan.is_over_limit)
        return scan_failure(q, &scan, "filter", param->value);
    lists->params =
        rest_grow(q->pool, lists->params, out->param_count, &lists->param_capacity, sizeof(*lists->params));
    lists->param_operands = rest_grow(q->pool, lists->param_operands, out->param_count,
                                      &lists->operand_capacity, sizeof(*lists->param_operands));
    lists->param_operands[out->param_count] = param->operand_number;
    out->is_irregular |= param->operand_number != 0 && param->operand.kind != REST_OPERAND_ARGUMENT;
    lists->params[out->param_count++] =
        (rest_pair_t){.name = condition.tree.field.name, .value = param->value};
    return NULL;
}

static err_t *parse_filters(query_t *q)
{
    filters_t lists = {0};
    rest_request_t *out = q->out;
    for (uint32_t i = 0; i < q->count; i++) {
        if (!is_filter(&q->params[i]))
            continue;
        lists.names = rest_grow(q->pool, lists.names, out->filter_name_count, &lists.name_capacity,
                                sizeof(*lists.names));
        lists.names[out->filter_name_count++] = q->params[i].name;
        err_t *err = add_filter(q, &lists, &q->params[i]);
        if (err != NULL)
            return err;
    }
    out->filters = lists.filters;
    out->params = lists.params;
    out->param_operands = lists.param_operands;
    out->filter_names = lists.names;
    return NULL;
}

/* ---- limit and offset ---- */

static rest_level_range_t *find_level(rest_level_range_t *levels, uint32_t count, const rest_path_t *path)
{
    for (uint32_t i = 0; i < count; i++) {
        bool is_same = levels[i].path.count == path->count;
        for (uint32_t j = 0; is_same && j < path->count; j++)
            is_same = str_eq(levels[i].path.names[j], path->names[j]);
        if (is_same)
            return &levels[i];
    }
    return NULL;
}

static void set_root_range(rest_query_range_t *range, bool is_limit, bool is_number, int64_t number)
{
    if (is_limit) {
        range->has_limit = true;
        range->has_limit_value = is_number;
        range->limit = number;
    } else {
        range->has_offset = true;
        range->has_offset_value = is_number;
        range->offset = number;
    }
}

static err_t *parse_ranges(query_t *q, rest_query_range_t *range)
{
    rest_level_range_t *levels = NULL;
    uint32_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const param_t *param = &q->params[i];
        if (str_is_null(param->value) || !rest_param_is_range(param->name))
            continue;
        bool is_limit = str_ends_with(param->name, STR("limit"));
        int64_t number = 0;
        bool is_number = str_to_int64(str_trim(param->value), &number);
        rest_path_t path;
        rest_field_t field;
        err_t *err = parse_tree_path(q, param->name, &path, &field);
        if (err != NULL)
            return err;
        if (path.count == 0) {
            set_root_range(range, is_limit, is_number, number);
            continue;
        }
        if (is_number && is_limit && number < 0)
            return err_details(q->pool, rest_error(q->pool, REST_ERR_RANGE, STR_NULL),
                               "Limit should be greater than or equal to zero.");
        rest_level_range_t *level = find_level(levels, count, &path);
        if (level == NULL) {
            levels = rest_grow(q->pool, levels, count, &capacity, sizeof(*levels));
            level = &levels[count++];
            *level = (rest_level_range_t){.path = path, .range = REST_RANGE_ALL};
        }
        if (is_limit)
            level->range.limit = is_number ? number : -1;
        else
            level->range.offset = is_number ? number : 0;
    }
    q->out->level_ranges = levels;
    q->out->level_range_count = count;
    return NULL;
}

static err_t *parse_params(query_t *q, rest_query_range_t *range)
{
    *range = (rest_query_range_t){0};
    err_t *err;
    /* the order in which the peer reports the first mistake */
    if ((err = parse_orders(q)) != NULL || (err = parse_logic(q)) != NULL ||
        (err = parse_columns(q)) != NULL || (err = parse_select(q)) != NULL ||
        (err = parse_filters(q)) != NULL || (err = parse_on_conflict(q)) != NULL)
        return err;
    return parse_ranges(q, range);
}

err_t *rest_parse_query(const rest_settings_t *settings, pool_t *pool, str_t query, bool is_call_read,
                        rest_request_t *out, rest_query_range_t *range)
{
    query_t q = {.settings = settings, .pool = pool, .is_call_read = is_call_read, .out = out};
    err_t *err = split_query(&q, query);
    if (err != NULL)
        return err;
    out->canonical_query = canonical_form(&q);
    const rest_request_t before = *out;
    err = parse_params(&q, range);
    if (err == NULL)
        return NULL;
    *out = before;
    q.is_explaining = true;
    return parse_params(&q, range);
}
