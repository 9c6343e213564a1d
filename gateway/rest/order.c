#include "rest/grammar.h"

/* try(.word) */
static bool try_suffix(scan_t *scan, str_t word)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_try(scan, &mark, rest_scan_delimiter(scan) && scan_literal(scan, word));
}

static bool scan_term_end(scan_t *scan)
{
    return rest_scan_ahead(scan, STR(",")) || rest_scan_end(scan);
}

static bool scan_modifiers(scan_t *scan, rest_order_term_t *term)
{
    term->dir = try_suffix(scan, STR("asc"))    ? REST_DIR_ASC
                : try_suffix(scan, STR("desc")) ? REST_DIR_DESC
                                                : REST_DIR_NONE;
    term->nulls = try_suffix(scan, STR("nullsfirst"))  ? REST_NULLS_FIRST
                  : try_suffix(scan, STR("nullslast")) ? REST_NULLS_LAST
                                                       : REST_NULLS_NONE;
    return scan_term_end(scan);
}

/* relation(field) */
static bool try_related_term(scan_t *scan, rest_order_term_t *term)
{
    *term = (rest_order_term_t){0};
    scan_mark_t mark;
    scan_mark(scan, &mark);
    bool ok = rest_scan_name(scan, &term->relation) && scan_char(scan, '(') &&
              rest_scan_field(scan, &term->field) && scan_char(scan, ')') && scan_modifiers(scan, term);
    return scan_settle_try(scan, &mark, ok);
}

static bool scan_term(scan_t *scan, rest_order_term_t *term)
{
    scan_spaces(scan);
    if (!try_related_term(scan, term)) {
        *term = (rest_order_term_t){0};
        if (!rest_scan_field(scan, &term->field) || !scan_modifiers(scan, term))
            return false;
    }
    scan_spaces(scan);
    return true;
}

bool rest_scan_order(scan_t *scan, const rest_settings_t *settings, rest_order_t *out)
{
    rest_order_term_t *terms = NULL;
    uint32_t count = 0, capacity = 0;
    do {
        if (count == settings->columns_max) {
            scan->is_over_limit = true;
            scan->limit_what = "order terms";
            return false;
        }
        terms = rest_grow(scan->pool, terms, count, &capacity, sizeof(*terms));
        if (!scan_term(scan, &terms[count++]))
            return false;
    } while (scan_char(scan, ','));
    out->terms = terms;
    out->term_count = count;
    return true;
}
