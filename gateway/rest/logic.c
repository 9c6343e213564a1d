#include "rest/grammar.h"

static bool scan_tree(scan_t *scan, const rest_settings_t *settings, uint32_t *nodes, rest_logic_t *out);

static bool over_limit(scan_t *scan, const char *what)
{
    scan->is_over_limit = true;
    scan->limit_what = what;
    return false;
}

/* field.op.value */
static bool try_leaf(scan_t *scan, const rest_settings_t *settings, rest_logic_t *out)
{
    *out = (rest_logic_t){.is_leaf = true};
    scan_mark_t mark;
    scan_mark(scan, &mark);
    bool ok = rest_scan_field(scan, &out->field) && rest_scan_delimiter(scan) &&
              filter_parse(scan, FILTER_VALUE_LOGIC, settings->list_max, &out->expr);
    return scan_settle_try(scan, &mark, ok);
}

static bool scan_not(scan_t *scan)
{
    scan_mark_t label, mark;
    scan_mark(scan, &label);
    scan_mark(scan, &mark);
    bool is_not = scan_settle_try(scan, &mark, scan_literal(scan, STR("not")) && rest_scan_delimiter(scan));
    scan_settle_label(scan, &label, true, "negation operator (not)");
    return is_not;
}

static bool scan_operator(scan_t *scan, bool *is_or)
{
    scan_mark_t label, mark;
    scan_mark(scan, &label);
    scan_mark(scan, &mark);
    bool ok = scan_settle_try(scan, &mark, scan_literal(scan, STR("and")));
    *is_or = !ok;
    if (!ok)
        ok = scan_literal(scan, STR("or"));
    return scan_settle_label(scan, &label, ok, "logic operator (and, or)");
}

static bool scan_children(scan_t *scan, const rest_settings_t *settings, uint32_t *nodes, rest_logic_t *out)
{
    uint32_t capacity = 0;
    if (!rest_scan_lexeme(scan, '('))
        return false;
    do {
        out->children = rest_grow(scan->pool, out->children, out->child_count, &capacity, sizeof(*out));
        if (!scan_tree(scan, settings, nodes, &out->children[out->child_count++]))
            return false;
    } while (rest_scan_lexeme(scan, ','));
    return rest_scan_lexeme(scan, ')');
}

static bool scan_tree(scan_t *scan, const rest_settings_t *settings, uint32_t *nodes, rest_logic_t *out)
{
    if (++*nodes > settings->filters_max)
        return over_limit(scan, "conditions");
    if (try_leaf(scan, settings, out))
        return true;
    if (scan->is_over_limit)
        return false;
    *out = (rest_logic_t){0};
    out->is_negated = scan_not(scan);
    if (!scan_operator(scan, &out->is_or))
        return false;
    if (++scan->depth > settings->logic_depth_max)
        return over_limit(scan, "levels of and/or");
    bool ok = scan_children(scan, settings, nodes, out);
    scan->depth--;
    return ok;
}

bool rest_scan_logic(scan_t *scan, const rest_settings_t *settings, rest_logic_t *out)
{
    uint32_t nodes = 0;
    scan->depth = 0;
    return scan_tree(scan, settings, &nodes, out);
}
