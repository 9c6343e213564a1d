#include "rest/operand.h"

/* ---- kinds of parameters ---- */

static str_t last_word(str_t name)
{
    size_t at = name.len;
    while (at > 0 && name.base[at - 1] != '.')
        at--;
    return str_slice(name, at, name.len);
}

bool rest_param_is_order(str_t name)
{
    return str_eq(last_word(name), STR("order"));
}

bool rest_param_is_logic(str_t name)
{
    str_t word = last_word(name);
    return str_eq(word, STR("and")) || str_eq(word, STR("or"));
}

bool rest_param_is_range(str_t name)
{
    str_t word = last_word(name);
    return str_eq(word, STR("limit")) || str_eq(word, STR("offset"));
}

bool rest_param_is_filter(str_t name)
{
    return !rest_param_is_order(name) && !rest_param_is_logic(name) && !rest_param_is_range(name) &&
           !str_eq(name, STR("select")) && !str_eq(name, STR("columns")) && !str_eq(name, STR("on_conflict"));
}

bool rest_text_is_sound(str_t text)
{
    return str_find_char(text, '\0', 0) == SIZE_MAX && str_is_utf8(text);
}

/* ---- operators ---- */

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t skip_word(str_t text, size_t at)
{
    while (at < text.len && is_word_char(text.base[at]))
        at++;
    return at;
}

/* Behind `(word)`, or `at` when there is none. */
static size_t skip_modifier(str_t text, size_t at)
{
    if (at >= text.len || text.base[at] != '(')
        return at;
    size_t end = skip_word(text, at + 1);
    return end > at + 1 && end < text.len && text.base[end] == ')' ? end + 1 : at;
}

static const filter_operator_t *operator_named(str_t name)
{
    for (filter_op_t op = 0; op < FILTER_OP_COUNT; op++)
        if (str_eq(filter_operator(op)->name, name))
            return filter_operator(op);
    return NULL;
}

/* Only lists that need no scanner: what stands between brackets and commas is the element. */
static bool is_plain_list(str_t list, uint32_t list_max)
{
    if (list.len < 2 || list.base[0] != '(' || list.base[list.len - 1] != ')')
        return false;
    uint32_t count = 1;
    for (size_t i = 1; i + 1 < list.len; i++) {
        char c = list.base[i];
        count += c == ',';
        if (c == ' ' || c == '\t' || c == '"' || c == '\\' || c == '(' || c == ')' || c == '{' || c == '}')
            return false;
    }
    return count <= list_max;
}

static rest_operand_t find_filter(str_t value, uint32_t list_max)
{
    static const rest_operand_t NONE = {REST_OPERAND_NONE, 0};
    size_t at = str_starts_with(value, STR("not.")) ? 4 : 0;
    size_t end = skip_word(value, at);
    const filter_operator_t *op = operator_named(str_slice(value, at, end));
    if (op == NULL || op->kind == FILTER_KIND_IS)
        return NONE;
    if (op->kind == FILTER_KIND_QUANTIFIABLE || op->kind == FILTER_KIND_FTS)
        end = skip_modifier(value, end);
    if (end >= value.len || value.base[end] != '.')
        return NONE;
    end++;
    if (op->kind != FILTER_KIND_LIST)
        return (rest_operand_t){REST_OPERAND_VALUE, end};
    return is_plain_list(str_slice(value, end, value.len), list_max)
               ? (rest_operand_t){REST_OPERAND_LIST, end}
               : NONE;
}

/* What cannot begin an operator is an argument: operators are words before a dot. */
static bool is_argument(str_t value)
{
    bool is_word = value.len > 0 && value.base[0] >= 'a' && value.base[0] <= 'z';
    return !is_word || str_find_char(value, '.', 0) == SIZE_MAX;
}

static bool is_encoded(str_t raw)
{
    return str_find_char(raw, '%', 0) != SIZE_MAX || str_find_char(raw, '+', 0) != SIZE_MAX;
}

rest_operand_t rest_operand_find(str_t name, str_t raw, str_t value, bool is_call_read, uint32_t list_max)
{
    static const rest_operand_t NONE = {REST_OPERAND_NONE, 0};
    if (str_is_null(raw) || is_encoded(name) || !rest_param_is_filter(name) || !rest_text_is_sound(value))
        return NONE;
    if (is_call_read && is_argument(value))
        return (rest_operand_t){REST_OPERAND_ARGUMENT, 0};
    rest_operand_t found = find_filter(value, list_max);
    return is_encoded(str_slice(raw, 0, found.at)) ? NONE : found;
}

str_t rest_operand_array(pool_t *pool, str_t list)
{
    str_t inside = str_slice(list, 1, list.len - 1);
    if (inside.len == 0)
        return STR("{}");
    size_t count = 1, n = 0;
    for (size_t i = 0; i < inside.len; i++)
        count += inside.base[i] == ',';
    str_t *values = POOL_ARRAY(pool, str_t, count);
    while (!str_is_null(inside))
        values[n++] = str_split(&inside, ',');
    return filter_array_literal(pool, values, n);
}
