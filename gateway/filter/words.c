/* The words that filters, selects and orders are made of. */
#include "filter/scan.h"

static str_t unescape(pool_t *pool, str_t raw)
{
    char *to = pool_alloc(pool, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.base[i] == '\\' && i + 1 < raw.len)
            i++;
        to[len++] = raw.base[i];
    }
    return str_make(to, len);
}

bool scan_quoted(scan_t *scan, str_t *out)
{
    if (!scan_char(scan, '"'))
        return false;
    size_t start = scan->at;
    bool has_escape = false;
    for (;;) {
        scan_while_none_of(scan, "\\\"");
        if (!scan_char(scan, '\\'))
            break;
        has_escape = true;
        if (!scan_any(scan))
            return false;
    }
    str_t raw = str_make(scan->text.base + start, scan->at - start);
    if (!scan_char(scan, '"'))
        return false;
    *out = has_escape ? unescape(scan->pool, raw) : raw;
    return true;
}

/* Characters of identifiers below 0x80. */
static size_t ascii_run(str_t text, size_t at)
{
    size_t end = at;
    for (; end < text.len; end++) {
        unsigned char c = (unsigned char)text.base[end];
        bool is_letter = (c | 32) >= 'a' && (c | 32) <= 'z';
        if (!is_letter && !(c >= '0' && c <= '9') && c != '_' && c != ' ' && c != '$')
            break;
    }
    return end - at;
}

bool scan_identifier(scan_t *scan, str_t *out)
{
    size_t start = scan->at;
    do {
        size_t len = ascii_run(scan->text, scan->at);
        if (len > 0)
            scan_take(scan, len);
    } while (scan_letter(scan) || scan_digit(scan) || scan_one_of(scan, "_ $"));
    if (scan->at == start)
        return false;
    *out = str_trim(str_make(scan->text.base + start, scan->at - start));
    return true;
}

void scan_element(scan_t *scan, str_t *out)
{
    scan_mark_t mark, after;
    scan_mark(scan, &mark);
    bool ok = scan_quoted(scan, out);
    if (ok) {
        scan_mark(scan, &after);
        ok = scan_settle_not_ahead(scan, &after, scan_none_of(scan, ",)"));
    }
    if (!scan_settle_try(scan, &mark, ok))
        *out = scan_while_none_of(scan, ",)");
}
