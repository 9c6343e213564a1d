#include "filter/filter.h"

static bool scan_delimiter(scan_t *scan)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_label(scan, &mark, scan_char(scan, '.'), "delimiter (.)");
}

/* try(literal) */
static bool try_literal(scan_t *scan, str_t literal)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_try(scan, &mark, scan_literal(scan, literal));
}

/* try(literal followed by '.') */
static bool try_word(scan_t *scan, str_t literal)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_try(scan, &mark, scan_literal(scan, literal) && scan_delimiter(scan));
}

/* ---- values ---- */

/* `{...}` without nested braces, as one value. */
static bool scan_braces(scan_t *scan, str_t *out)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    size_t start = scan->at;
    bool ok = scan_literal(scan, STR("{"));
    if (ok) {
        scan_while_none_of(scan, "{}");
        ok = scan_literal(scan, STR("}"));
    }
    *out = str_make(scan->text.base + start, scan->at - start);
    return scan_settle_try(scan, &mark, ok);
}

static void scan_value(scan_t *scan, filter_value_t style, str_t *out)
{
    if (style == FILTER_VALUE_WHOLE) {
        *out = str_slice(scan->text, scan->at, scan->text.len);
        scan->at = scan->text.len;
        scan->error.count = 0;
        return;
    }
    scan_mark_t mark, after;
    scan_mark(scan, &mark);
    bool ok = scan_quoted(scan, out);
    if (ok) {
        scan_mark(scan, &after);
        ok = scan_settle_not_ahead(scan, &after, scan_none_of(scan, ",)"));
    }
    if (scan_settle_try(scan, &mark, ok) || scan_braces(scan, out))
        return;
    *out = scan_while_none_of(scan, ",)");
}

static bool scan_list(scan_t *scan, uint32_t list_max, filter_expr_t *out)
{
    scan_spaces(scan);
    if (!scan_char(scan, '('))
        return false;
    scan_spaces(scan);
    uint32_t count = 0, capacity = 8;
    str_t *values = POOL_ARRAY(scan->pool, str_t, capacity);
    do {
        if (count == list_max) {
            scan->is_over_limit = true;
            scan->limit_what = "values in a list";
            return false;
        }
        if (count == capacity) {
            str_t *grown = POOL_ARRAY(scan->pool, str_t, (size_t)capacity * 2);
            memcpy(grown, values, capacity * sizeof(*values));
            values = grown;
            capacity *= 2;
        }
        scan_element(scan, &values[count++]);
    } while (scan_char(scan, ','));
    scan_spaces(scan);
    if (!scan_char(scan, ')'))
        return false;
    scan_spaces(scan);
    out->values = values;
    out->value_count = count;
    return true;
}

static bool scan_is(scan_t *scan, filter_is_t *out)
{
    static const struct {
        const char *word;
        filter_is_t is;
    } WORDS[] = {{"null", FILTER_IS_NULL},
                 {"not_null", FILTER_IS_NOT_NULL},
                 {"true", FILTER_IS_TRUE},
                 {"false", FILTER_IS_FALSE},
                 {"unknown", FILTER_IS_UNKNOWN}};
    scan_mark_t all, one;
    scan_mark(scan, &all);
    bool ok = false;
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]) && !ok; i++) {
        scan_mark(scan, &one);
        ok = scan_settle_try(scan, &one, scan_literal_nocase(scan, WORDS[i].word));
        *out = WORDS[i].is;
    }
    return scan_settle_label(scan, &all, ok, "isVal: (null, not_null, true, false, unknown)");
}

/* ---- operators ---- */

static bool scan_fts(scan_t *scan, filter_value_t style, filter_expr_t *out)
{
    static const filter_op_t OPS[] = {FILTER_FTS, FILTER_PLFTS, FILTER_PHFTS, FILTER_WFTS};
    bool ok = false;
    for (size_t i = 0; i < sizeof(OPS) / sizeof(OPS[0]) && !ok; i++) {
        ok = try_literal(scan, filter_operator(OPS[i])->name);
        out->op = OPS[i];
    }
    if (!ok)
        return false;
    scan_mark_t mark;
    scan_mark(scan, &mark);
    if (!scan_settle_try(scan, &mark,
                         scan_char(scan, '(') && scan_identifier(scan, &out->language) &&
                             scan_char(scan, ')')))
        out->language = STR_NULL;
    if (!scan_delimiter(scan))
        return false;
    scan_value(scan, style, &out->value);
    return true;
}

static bool scan_simple(scan_t *scan, filter_value_t style, filter_expr_t *out)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    bool ok = false;
    for (filter_op_t op = FILTER_NEQ; op <= FILTER_ADJ && !ok; op++) {
        ok = try_literal(scan, filter_operator(op)->name);
        out->op = op;
    }
    if (!scan_settle_label(scan, &mark, ok, "unknown single value operator") || !scan_delimiter(scan))
        return false;
    scan_value(scan, style, &out->value);
    return true;
}

static bool scan_quantified(scan_t *scan, filter_value_t style, filter_expr_t *out)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    bool ok = false;
    for (filter_op_t op = FILTER_EQ; op <= FILTER_IMATCH && !ok; op++) {
        ok = try_literal(scan, filter_operator(op)->name);
        out->op = op;
    }
    if (!scan_settle_label(scan, &mark, ok, "unknown single value operator"))
        return false;
    scan_mark(scan, &mark);
    ok = scan_char(scan, '(');
    if (ok && try_literal(scan, STR("any")))
        out->quant = FILTER_QUANT_ANY;
    else if (ok && (ok = scan_literal(scan, STR("all"))))
        out->quant = FILTER_QUANT_ALL;
    if (!scan_settle_try(scan, &mark, ok && scan_char(scan, ')')))
        out->quant = FILTER_QUANT_NONE;
    if (!scan_delimiter(scan))
        return false;
    scan_value(scan, style, &out->value);
    return true;
}

typedef bool (*operation_fn)(scan_t *scan, filter_value_t style, filter_expr_t *out);

static bool try_operation(scan_t *scan, operation_fn operation, filter_value_t style, filter_expr_t *out)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_try(scan, &mark, operation(scan, style, out));
}

static bool scan_operation(scan_t *scan, filter_value_t style, uint32_t list_max, filter_expr_t *out)
{
    if (try_word(scan, STR("in"))) {
        out->op = FILTER_IN;
        return scan_list(scan, list_max, out);
    }
    if (try_word(scan, STR("is"))) {
        out->op = FILTER_IS;
        return scan_is(scan, &out->is);
    }
    if (try_word(scan, STR("isdistinct"))) {
        out->op = FILTER_ISDISTINCT;
        scan_value(scan, style, &out->value);
        return true;
    }
    return try_operation(scan, scan_fts, style, out) || try_operation(scan, scan_simple, style, out) ||
           try_operation(scan, scan_quantified, style, out);
}

bool filter_parse(scan_t *scan, filter_value_t style, uint32_t list_max, filter_expr_t *out)
{
    *out = (filter_expr_t){0};
    out->is_negated = try_word(scan, STR("not"));
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_label(scan, &mark, scan_operation(scan, style, list_max, out),
                             "operator (eq, gt, ...)");
}
