#include "filter/scan.h"

#define TAB_WIDTH 8

void scan_init(scan_t *scan, pool_t *pool, str_t text)
{
    scan->pool = pool;
    scan->text = text;
    scan->at = 0;
    scan->depth = 0;
    scan->is_over_limit = scan->is_quiet = false;
    scan->limit_what = NULL;
    scan->error.at = 0;
    scan->error.count = 0;
}

void scan_init_quiet(scan_t *scan, pool_t *pool, str_t text)
{
    scan_init(scan, pool, text);
    scan->is_quiet = true;
}

/* ---- characters ---- */

int32_t scan_peek(const scan_t *scan, size_t *size)
{
    if (scan->at >= scan->text.len) {
        *size = 0;
        return -1;
    }
    const unsigned char *p = (const unsigned char *)scan->text.base + scan->at;
    size_t left = scan->text.len - scan->at;
    size_t n = p[0] < 0xC0 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n == 1 || n > left) {
        *size = 1;
        return p[0];
    }
    int32_t c = p[0] & (0x7F >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3F);
    *size = n;
    return c;
}

bool scan_at_end(const scan_t *scan)
{
    return scan->at >= scan->text.len;
}

/* Letters beyond ASCII, near enough for identifiers: everything but the symbols, spaces and punctuation of
 * the blocks where those live. */
static bool is_letter(int32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c < 0x100)
        return c == 0xAA || c == 0xB5 || c == 0xBA || (c >= 0xC0 && c != 0xD7 && c != 0xF7);
    return !(c >= 0x2000 && c <= 0x2BFF) && !(c >= 0x3000 && c <= 0x3004) && !(c >= 0x3008 && c <= 0x3020) &&
           !(c >= 0xE000 && c <= 0xF8FF) && !(c >= 0x1F000 && c <= 0x1FAFF);
}

/* ---- errors ---- */

static bool same_message(const scan_message_t *a, const scan_message_t *b)
{
    return a->kind == b->kind && a->character == b->character && a->is_quoted == b->is_quoted &&
           str_eq(a->text, b->text) && str_is_null(a->text) == str_is_null(b->text);
}

static void add_message(scan_error_t *error, const scan_message_t *message)
{
    for (uint8_t i = 0; i < error->count; i++)
        if (same_message(&error->messages[i], message))
            return;
    if (error->count < SCAN_MESSAGES_MAX)
        error->messages[error->count++] = *message;
}

static void copy_error(scan_error_t *to, const scan_error_t *from)
{
    to->at = from->at;
    to->count = from->count;
    memcpy(to->messages, from->messages, from->count * sizeof(from->messages[0]));
}

/* The furthest one wins, an empty one never does, equals join. */
static void merge_error(scan_error_t *into, const scan_error_t *other)
{
    if (other->count == 0)
        return;
    if (into->count == 0 || other->at > into->at) {
        copy_error(into, other);
        return;
    }
    if (other->at < into->at)
        return;
    for (uint8_t i = 0; i < other->count; i++)
        add_message(into, &other->messages[i]);
}

/* Like merge_error with an error of one or two messages, without building it. */
static bool fail_at(scan_t *scan, size_t at, const scan_message_t *unexpected, const scan_message_t *expected)
{
    scan_error_t *error = &scan->error;
    if (error->count > 0 && at < error->at)
        return false;
    if (error->count == 0 || at > error->at) {
        error->at = at;
        error->count = 0;
    }
    add_message(error, unexpected);
    if (expected != NULL)
        add_message(error, expected);
    return false;
}

bool scan_take(scan_t *scan, size_t size)
{
    scan->at += size;
    scan->error.at = scan->at;
    scan->error.count = 0;
    return true;
}

/* ---- rules ---- */

static bool satisfy(scan_t *scan, bool ok, int32_t c, size_t size, const scan_message_t *expected)
{
    if (ok && c >= 0)
        return scan_take(scan, size);
    if (scan->is_quiet)
        return false;
    scan_message_t unexpected = {.kind = SCAN_SYS_UNEXPECTED, .character = c};
    return fail_at(scan, scan->at, &unexpected, expected);
}

bool scan_char(scan_t *scan, char wanted)
{
    if (scan->at < scan->text.len && scan->text.base[scan->at] == wanted)
        return scan_take(scan, 1);
    if (scan->is_quiet)
        return false;
    size_t size;
    int32_t c = scan_peek(scan, &size);
    scan_message_t expected = {.kind = SCAN_EXPECTED, .character = wanted};
    return satisfy(scan, false, c, size, &expected);
}

bool scan_literal(scan_t *scan, str_t literal)
{
    size_t start = scan->at, i = 0;
    while (i < literal.len && start + i < scan->text.len && scan->text.base[start + i] == literal.base[i])
        i++;
    if (i == literal.len)
        return scan_take(scan, i);
    scan->at = start + i;
    if (scan->is_quiet)
        return false;
    size_t size;
    scan_message_t unexpected = {.kind = SCAN_SYS_UNEXPECTED, .character = scan_peek(scan, &size)};
    scan_message_t expected = {.kind = SCAN_EXPECTED, .text = literal, .is_quoted = true};
    if (i > 0)
        scan->error.count = 0; /* a failure that consumed stands alone */
    return fail_at(scan, start, &unexpected, &expected);
}

bool scan_literal_nocase(scan_t *scan, const char *lower)
{
    for (; *lower != '\0'; lower++) {
        size_t size;
        int32_t c = scan_peek(scan, &size);
        int32_t folded = c >= 'A' && c <= 'Z' ? c + 32 : c;
        if (!satisfy(scan, folded == *lower, c, size, NULL))
            return false;
    }
    return true;
}

static bool is_in(int32_t c, const char *set)
{
    return c > 0 && c < 0x80 && strchr(set, c) != NULL;
}

bool scan_one_of(scan_t *scan, const char *set)
{
    size_t size;
    int32_t c = scan_peek(scan, &size);
    return satisfy(scan, is_in(c, set), c, size, NULL);
}

bool scan_none_of(scan_t *scan, const char *set)
{
    size_t size;
    int32_t c = scan_peek(scan, &size);
    return satisfy(scan, c >= 0 && !is_in(c, set), c, size, NULL);
}

bool scan_letter(scan_t *scan)
{
    size_t size;
    int32_t c = scan_peek(scan, &size);
    scan_message_t expected = {.kind = SCAN_EXPECTED, .text = STR("letter")};
    return satisfy(scan, c >= 0 && is_letter(c), c, size, &expected);
}

bool scan_digit(scan_t *scan)
{
    size_t size;
    int32_t c = scan_peek(scan, &size);
    scan_message_t expected = {.kind = SCAN_EXPECTED, .text = STR("digit")};
    return satisfy(scan, c >= '0' && c <= '9', c, size, &expected);
}

bool scan_any(scan_t *scan)
{
    size_t size;
    int32_t c = scan_peek(scan, &size);
    return satisfy(scan, c >= 0, c, size, NULL);
}

bool scan_eof(scan_t *scan)
{
    size_t size;
    int32_t c = scan_peek(scan, &size);
    if (c < 0 || scan->is_quiet)
        return c < 0;
    scan_message_t unexpected = {.kind = SCAN_UNEXPECTED, .character = c};
    scan_message_t expected = {.kind = SCAN_EXPECTED, .text = STR("end of input")};
    return fail_at(scan, scan->at, &unexpected, &expected);
}

void scan_spaces(scan_t *scan)
{
    size_t len = 0;
    while (scan->at + len < scan->text.len &&
           (scan->text.base[scan->at + len] == ' ' || scan->text.base[scan->at + len] == '\t'))
        len++;
    if (len > 0)
        scan_take(scan, len);
    scan_one_of(scan, " \t"); /* what stands there instead */
}

str_t scan_while_none_of(scan_t *scan, const char *set)
{
    size_t start = scan->at, len = 0;
    while (start + len < scan->text.len && !is_in((unsigned char)scan->text.base[start + len], set))
        len++;
    if (len > 0)
        scan_take(scan, len);
    scan_none_of(scan, set); /* what ended it */
    return str_make(scan->text.base + start, len);
}

/* ---- checkpoints ---- */

void scan_mark(scan_t *scan, scan_mark_t *mark)
{
    mark->at = scan->at;
    if (scan->is_quiet)
        return;
    copy_error(&mark->error, &scan->error);
    scan->error.at = scan->at;
    scan->error.count = 0;
}

/* The rule's own error joins what was known before it, unless the rule moved on. */
static void rejoin(scan_t *scan, const scan_mark_t *mark)
{
    if (scan->is_quiet)
        return;
    scan_error_t own;
    copy_error(&own, &scan->error);
    copy_error(&scan->error, &mark->error);
    merge_error(&scan->error, &own);
}

bool scan_settle_try(scan_t *scan, const scan_mark_t *mark, bool ok)
{
    if (!ok)
        scan->at = mark->at;
    if (scan->at == mark->at)
        rejoin(scan, mark);
    return ok;
}

bool scan_settle_label(scan_t *scan, const scan_mark_t *mark, bool ok, const char *label)
{
    if (scan->at != mark->at || scan->is_quiet)
        return ok;
    if (!ok || scan->error.count > 0) {
        scan_error_t *error = &scan->error;
        uint8_t kept = 0;
        for (uint8_t i = 0; i < error->count; i++)
            if (error->messages[i].kind != SCAN_EXPECTED)
                error->messages[kept++] = error->messages[i];
        error->count = kept;
        add_message(error, &(scan_message_t){.kind = SCAN_EXPECTED, .text = str_from_c(label)});
    }
    rejoin(scan, mark);
    return ok;
}

bool scan_settle_ahead(scan_t *scan, const scan_mark_t *mark, bool ok)
{
    if (ok) {
        scan->at = mark->at;
        if (!scan->is_quiet)
            copy_error(&scan->error, &mark->error);
    } else if (scan->at == mark->at) {
        rejoin(scan, mark);
    }
    return ok;
}

bool scan_settle_not_ahead(scan_t *scan, const scan_mark_t *mark, bool ok)
{
    size_t reached = scan->at;
    scan->at = mark->at;
    if (scan->is_quiet)
        return !ok;
    if (!ok) {
        rejoin(scan, mark);
        return true;
    }
    size_t size;
    scan_message_t unexpected = {.kind = SCAN_UNEXPECTED, .character = scan_peek(scan, &size)};
    scan->error.count = 0;
    fail_at(scan, reached, &unexpected, NULL);
    rejoin(scan, mark);
    return false;
}

/* ---- messages ---- */

str_t scan_error_position(const scan_t *scan, pool_t *pool)
{
    scan_t walk = {.text = scan->text};
    unsigned line = 1, column = 1;
    while (walk.at < scan->error.at && walk.at < walk.text.len) {
        size_t size;
        int32_t c = scan_peek(&walk, &size);
        walk.at += size;
        if (c == '\n') {
            line++;
            column = 1;
        } else if (c == '\t') {
            column += TAB_WIDTH - (column - 1) % TAB_WIDTH;
        } else {
            column++;
        }
    }
    return pool_printf(pool, "(line %u, column %u)", line, column);
}

/* A character as the peer's language prints it: named or decimal escapes outside of printable ASCII. */
static void append_shown(buf_t *out, int32_t c, char quote)
{
    static const char *const NAMES = "abtnvfr"; /* 7 .. 13 */
    if (c == quote || c == '\\') {
        buf_append_char(out, '\\');
        buf_append_char(out, (char)c);
    } else if (c >= 7 && c <= 13) {
        buf_append_char(out, '\\');
        buf_append_char(out, NAMES[c - 7]);
    } else if (c == 0x7F) {
        buf_append_lit(out, "\\DEL");
    } else if (c < 0x20 || c > 0x7F) {
        buf_printf(out, "\\%d", (int)c);
    } else {
        buf_append_char(out, (char)c);
    }
}

static str_t show_message(pool_t *pool, const scan_message_t *message)
{
    buf_t out;
    buf_init(&out, pool, 16);
    if (!str_is_null(message->text)) {
        if (!message->is_quoted)
            return message->text;
        buf_append_char(&out, '"');
        buf_append_str(&out, message->text);
        buf_append_char(&out, '"');
    } else if (message->character < 0) {
        return STR("end of input");
    } else {
        char quote = message->kind == SCAN_UNEXPECTED ? '\'' : '"';
        buf_append_char(&out, quote);
        append_shown(&out, message->character, quote);
        buf_append_char(&out, quote);
    }
    return buf_str(&out);
}

/* Distinct texts of one kind: "a, b or c" behind `intro`. */
static void append_kind(buf_t *out, pool_t *pool, const scan_error_t *error, scan_message_kind_t kind,
                        const char *intro)
{
    str_t shown[SCAN_MESSAGES_MAX];
    unsigned count = 0;
    for (uint8_t i = 0; i < error->count; i++) {
        if (error->messages[i].kind != kind)
            continue;
        str_t text = show_message(pool, &error->messages[i]);
        bool is_known = text.len == 0;
        for (unsigned j = 0; j < count; j++)
            is_known = is_known || str_eq(shown[j], text);
        if (!is_known)
            shown[count++] = text;
    }
    if (count == 0)
        return;
    if (out->len > 0)
        buf_append_char(out, ' ');
    buf_append_str(out, str_from_c(intro));
    for (unsigned i = 0; i < count; i++) {
        buf_append_str(out, i == 0 ? STR(" ") : i + 1 == count ? STR(" or ") : STR(", "));
        buf_append_str(out, shown[i]);
    }
}

str_t scan_error_text(const scan_t *scan, pool_t *pool)
{
    const scan_error_t *error = &scan->error;
    if (error->count == 0)
        return STR("unknown parse error");
    buf_t out;
    buf_init(&out, pool, 128);
    append_kind(&out, pool, error, SCAN_UNEXPECTED, "unexpected");
    if (out.len == 0) {
        for (uint8_t i = 0; i < error->count; i++) {
            if (error->messages[i].kind == SCAN_SYS_UNEXPECTED) {
                buf_append_lit(&out, "unexpected ");
                buf_append_str(&out, show_message(pool, &error->messages[i]));
                break;
            }
        }
    }
    append_kind(&out, pool, error, SCAN_EXPECTED, "expecting");
    return buf_str(&out);
}
