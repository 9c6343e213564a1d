#include "rest/errors.h"
#include "rest/grammar.h"

void *rest_grow(pool_t *pool, void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    uint32_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void *grown = pool_calloc(pool, wanted, size);
    if (count > 0)
        memcpy(grown, array, count * size);
    *capacity = wanted;
    return grown;
}

err_t *rest_scan_error(pool_t *pool, const scan_t *scan, str_t source)
{
    if (scan->is_over_limit) {
        err_t *err = rest_error(pool, REST_ERR_QUERY, pool_printf(pool, "\"%.*s\"", STR_ARG(source)));
        return err_details(pool, err, "too many or too deeply nested %s", scan->limit_what);
    }
    str_t where = scan_error_position(scan, pool);
    err_t *err =
        rest_error(pool, REST_ERR_QUERY, pool_printf(pool, "\"%.*s\" %.*s", STR_ARG(source), STR_ARG(where)));
    err->details = scan_error_text(scan, pool);
    return err;
}

/* ---- small rules ---- */

bool rest_scan_lexeme(scan_t *scan, char c)
{
    scan_spaces(scan);
    if (!scan_char(scan, c))
        return false;
    scan_spaces(scan);
    return true;
}

bool rest_scan_delimiter(scan_t *scan)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_label(scan, &mark, scan_char(scan, '.'), "delimiter (.)");
}

bool rest_scan_ahead(scan_t *scan, str_t literal)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    if (scan_literal(scan, literal))
        return scan_settle_ahead(scan, &mark, true);
    return scan_settle_try(scan, &mark, false);
}

bool rest_scan_end(scan_t *scan)
{
    return scan_eof(scan); /* never consumes, so it needs no try */
}

/* ---- names ---- */

/* '-' that does not begin an arrow. */
static bool scan_dash(scan_t *scan)
{
    scan_mark_t mark, after;
    scan_mark(scan, &mark);
    bool ok = scan_char(scan, '-');
    if (ok) {
        scan_mark(scan, &after);
        ok = scan_settle_not_ahead(scan, &after, scan_char(scan, '>'));
    }
    return scan_settle_try(scan, &mark, ok);
}

typedef bool (*word_fn)(scan_t *scan, str_t *out);

static bool scan_dashed(scan_t *scan, word_fn word, str_t *out)
{
    if (!word(scan, out))
        return false;
    while (scan_dash(scan)) {
        str_t next;
        if (!word(scan, &next))
            return false;
        *out = pool_concat(scan->pool, 3, *out, STR("-"), next);
    }
    return true;
}

static bool scan_word(scan_t *scan, word_fn word, const char *label, str_t *out)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    bool ok = scan_quoted(scan, out);
    if (!ok && scan->at == mark.at)
        ok = scan_dashed(scan, word, out);
    return scan_settle_label(scan, &mark, ok, label);
}

/* An empty quoted name names nothing: PostgreSQL would refuse it as a mistake in our SQL. */
bool rest_scan_name(scan_t *scan, str_t *out)
{
    return scan_word(scan, scan_identifier, "field name (* or [a..z0..9_$])", out) && out->len > 0;
}

static bool scan_json_key(scan_t *scan, str_t *out)
{
    str_t key = scan_while_none_of(scan, "(-:.,>)");
    *out = str_trim(key);
    return key.len > 0;
}

/* ---- JSON paths ---- */

static bool scan_index_end(scan_t *scan)
{
    return rest_scan_ahead(scan, STR("->")) || rest_scan_ahead(scan, STR("::")) ||
           rest_scan_ahead(scan, STR(".")) || rest_scan_ahead(scan, STR(",")) || rest_scan_end(scan);
}

static bool scan_json_index(scan_t *scan, str_t *out)
{
    size_t start = scan->at;
    bool is_negative = scan_char(scan, '-');
    if (!scan_digit(scan))
        return false;
    while (scan_digit(scan))
        ;
    str_t digits = str_make(scan->text.base + start, scan->at - start);
    *out = is_negative ? digits : pool_concat(scan->pool, 2, STR("+"), digits);
    return scan_index_end(scan);
}

static bool try_arrow(scan_t *scan, str_t arrow)
{
    scan_mark_t mark;
    scan_mark(scan, &mark);
    return scan_settle_try(scan, &mark, scan_literal(scan, arrow));
}

bool rest_scan_json_path(scan_t *scan, rest_field_t *out)
{
    rest_json_step_t *steps = NULL;
    uint32_t count = 0, capacity = 0;
    scan_mark_t mark;
    for (;;) {
        rest_json_step_t step = {0};
        step.is_text = try_arrow(scan, STR("->>"));
        if (!step.is_text && !try_arrow(scan, STR("->")))
            break;
        scan_mark(scan, &mark);
        step.is_index = scan_settle_try(scan, &mark, scan_json_index(scan, &step.operand));
        if (!step.is_index) {
            scan_mark(scan, &mark);
            bool ok = scan_word(scan, scan_json_key, "any non reserved character different from: .,>()",
                                &step.operand);
            if (!scan_settle_try(scan, &mark, ok))
                return false;
        }
        steps = rest_grow(scan->pool, steps, count, &capacity, sizeof(*steps));
        steps[count++] = step;
    }
    out->steps = steps;
    out->step_count = count;
    return true;
}

bool rest_scan_field(scan_t *scan, rest_field_t *out)
{
    *out = (rest_field_t){0};
    scan_spaces(scan);
    if (!rest_scan_name(scan, &out->name) || !rest_scan_json_path(scan, out))
        return false;
    scan_spaces(scan);
    return true;
}

/* ---- lists of names ---- */

bool rest_scan_tree_path(scan_t *scan, rest_path_t *path, rest_field_t *field)
{
    str_t *names = NULL;
    uint32_t count = 0, capacity = 0;
    do {
        names = rest_grow(scan->pool, names, count, &capacity, sizeof(*names));
        if (!rest_scan_name(scan, &names[count++]))
            return false;
    } while (rest_scan_delimiter(scan));
    *field = (rest_field_t){.name = names[count - 1]};
    *path = (rest_path_t){.names = names, .count = count - 1};
    return rest_scan_json_path(scan, field);
}

bool rest_scan_columns(scan_t *scan, const str_t **out, uint32_t *out_count)
{
    str_t *names = NULL;
    uint32_t count = 0, capacity = 0;
    do {
        names = rest_grow(scan->pool, names, count, &capacity, sizeof(*names));
        if (!rest_scan_name(scan, &names[count++]))
            return false;
    } while (rest_scan_lexeme(scan, ','));
    *out = names;
    *out_count = count;
    return true;
}
