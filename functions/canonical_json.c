#include "functions/canonical_json.h"

#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 64

typedef enum { NODE_LITERAL, NODE_NUMBER, NODE_STRING, NODE_ARRAY, NODE_OBJECT } node_kind_t;

/* A parsed value; numbers keep their text, which jansson would lose. */
typedef struct node {
    node_kind_t kind;
    str_t text; /* literal, number, or the string's code points as UTF-8 (lone surrogates as 3 bytes) */
    str_t key;  /* in an object */
    struct node *first, *next;
} node_t;

typedef struct {
    pool_t *pool;
    const char *at, *end;
    int depth;
} reader_t;

static node_t *read_value(reader_t *reader);

static void skip_space(reader_t *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0')
        reader->at++;
}

static bool take(reader_t *reader, char c)
{
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static void append_code_point(buf_t *out, uint32_t cp)
{
    if (cp < 0x80) {
        buf_append_char(out, (char)cp);
    } else if (cp < 0x800) {
        buf_append_char(out, (char)(0xC0 | cp >> 6));
        buf_append_char(out, (char)(0x80 | (cp & 0x3F)));
    } else if (cp < 0x10000) {
        buf_append_char(out, (char)(0xE0 | cp >> 12));
        buf_append_char(out, (char)(0x80 | (cp >> 6 & 0x3F)));
        buf_append_char(out, (char)(0x80 | (cp & 0x3F)));
    } else {
        buf_append_char(out, (char)(0xF0 | cp >> 18));
        buf_append_char(out, (char)(0x80 | (cp >> 12 & 0x3F)));
        buf_append_char(out, (char)(0x80 | (cp >> 6 & 0x3F)));
        buf_append_char(out, (char)(0x80 | (cp & 0x3F)));
    }
}

static bool read_hex4(reader_t *reader, uint32_t *out)
{
    if (reader->end - reader->at < 4)
        return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = *reader->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

static bool read_unicode_escape(reader_t *reader, buf_t *out)
{
    uint32_t unit, low;
    if (!read_hex4(reader, &unit))
        return false;
    if (unit >= 0xD800 && unit < 0xDC00 && reader->end - reader->at >= 6 && reader->at[0] == '\\' &&
        reader->at[1] == 'u') {
        const char *before = reader->at;
        reader->at += 2;
        if (read_hex4(reader, &low) && low >= 0xDC00 && low < 0xE000)
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        else
            reader->at = before;
    }
    append_code_point(out, unit);
    return true;
}

static bool read_escape(reader_t *reader, buf_t *out)
{
    static const char NAMES[] = "\"\\/bfnrt", VALUES[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end)
        return false;
    char c = *reader->at++;
    if (c == 'u')
        return read_unicode_escape(reader, out);
    const char *found = c != '\0' ? strchr(NAMES, c) : NULL;
    if (found == NULL)
        return false;
    buf_append_char(out, VALUES[found - NAMES]);
    return true;
}

/* Behind the opening quote. */
static bool read_string(reader_t *reader, str_t *out)
{
    buf_t buf;
    buf_init(&buf, reader->pool, 32);
    while (reader->at < reader->end) {
        char c = *reader->at++;
        if (c == '"') {
            *out = buf_str(&buf);
            return str_is_utf8(*out) || memchr(out->base, 0xED, out->len) != NULL;
        }
        if ((unsigned char)c < 0x20 || (c == '\\' && !read_escape(reader, &buf)))
            return false;
        if (c != '\\')
            buf_append_char(&buf, c);
    }
    return false;
}

static node_t *node_create(reader_t *reader, node_kind_t kind)
{
    node_t *node = POOL_NEW(reader->pool, node_t);
    node->kind = kind;
    return node;
}

static node_t *read_scalar(reader_t *reader)
{
    const char *from = reader->at;
    while (reader->at < reader->end && strchr(",]} \t\r\n", *reader->at) == NULL)
        reader->at++;
    str_t text = str_make(from, (size_t)(reader->at - from));
    if (str_eq(text, STR("true")) || str_eq(text, STR("false")) || str_eq(text, STR("null"))) {
        node_t *node = node_create(reader, NODE_LITERAL);
        node->text = text;
        return node;
    }
    if (text.len == 0 || text.len > 400 ||
        strspn(pool_cstr(reader->pool, text), "0123456789+-.eE") != text.len)
        return NULL;
    node_t *node = node_create(reader, NODE_NUMBER);
    node->text = text;
    return node;
}

static node_t *read_members(reader_t *reader, node_t *parent, char close)
{
    node_t **link = &parent->first;
    if (take(reader, close))
        return parent;
    do {
        str_t key = STR_NULL;
        if (parent->kind == NODE_OBJECT &&
            !(take(reader, '"') && read_string(reader, &key) && take(reader, ':')))
            return NULL;
        node_t *member = read_value(reader);
        if (member == NULL)
            return NULL;
        member->key = key;
        *link = member;
        link = &member->next;
    } while (take(reader, ','));
    return take(reader, close) ? parent : NULL;
}

static node_t *read_value(reader_t *reader)
{
    node_t *node = NULL;
    if (++reader->depth > DEPTH_MAX)
        return NULL;
    if (take(reader, '{')) {
        node = read_members(reader, node_create(reader, NODE_OBJECT), '}');
    } else if (take(reader, '[')) {
        node = read_members(reader, node_create(reader, NODE_ARRAY), ']');
    } else if (take(reader, '"')) {
        node = node_create(reader, NODE_STRING);
        if (!read_string(reader, &node->text))
            return NULL;
    } else {
        node = read_scalar(reader);
    }
    reader->depth--;
    return node;
}

/* --- writing
 * ------------------------------------------------------------------------------------------------- */

static uint32_t next_code_point(str_t s, size_t *i)
{
    const unsigned char *p = (const unsigned char *)s.base + *i;
    size_t left = s.len - *i;
    int extra = p[0] < 0x80 ? 0 : p[0] < 0xE0 ? 1 : p[0] < 0xF0 ? 2 : 3;
    uint32_t cp = extra == 0 ? p[0] : extra == 1 ? p[0] & 0x1Fu : extra == 2 ? p[0] & 0x0Fu : p[0] & 0x07u;
    for (int k = 1; k <= extra && (size_t)k < left; k++)
        cp = cp << 6 | (p[k] & 0x3Fu);
    *i += (size_t)extra + 1;
    return cp;
}

static void write_escaped(buf_t *out, uint32_t cp, canonical_t dialect)
{
    static const char NAMES[] = "\"\\bfnrt", VALUES[] = "\"\\\b\f\n\r\t";
    const char *found = cp > 0 && cp < 0x80 ? strchr(VALUES, (int)cp) : NULL;
    bool is_surrogate = cp >= 0xD800 && cp < 0xE000;
    if (found != NULL)
        buf_printf(out, "\\%c", NAMES[found - VALUES]);
    else if (cp < 0x20 || is_surrogate || (dialect == CANONICAL_ASCII && cp >= 0x7F && cp < 0x10000))
        buf_printf(out, "\\u%04x", cp);
    else if (dialect == CANONICAL_ASCII && cp >= 0x10000)
        buf_printf(out, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10), 0xDC00 + ((cp - 0x10000) & 0x3FF));
    else
        append_code_point(out, cp);
}

static void write_string(buf_t *out, str_t s, canonical_t dialect)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.len;)
        write_escaped(out, next_code_point(s, &i), dialect);
    buf_append_char(out, '"');
}

/* ECMAScript Number::toString: shortest digits, exponent outside 1e-7..1e21. */
static void write_ecma_number(buf_t *out, const char *text)
{
    double value = strtod(text, NULL);
    char digits[40];
    int precision = 1;
    if (value == 0 || !isfinite(value)) {
        buf_append_str(out, isfinite(value) ? STR("0") : STR("null"));
        return;
    }
    do
        snprintf(digits, sizeof(digits), "%.*e", precision - 1, value);
    while (strtod(digits, NULL) != value && ++precision <= 17);
    char *e = strchr(digits, 'e');
    int exponent = atoi(e + 1), n = 0;
    char plain[24];
    for (const char *p = digits; p < e; p++)
        if (*p >= '0' && *p <= '9')
            plain[n++] = *p;
    if (value < 0)
        buf_append_char(out, '-');
    if (exponent >= 21 || exponent < -6) {
        buf_append_char(out, plain[0]);
        if (n > 1)
            buf_printf(out, ".%.*s", n - 1, plain + 1);
        buf_printf(out, "e%+d", exponent);
    } else if (exponent < 0) {
        buf_printf(out, "0.%.*s%.*s", -exponent - 1, "000000", n, plain);
    } else {
        for (int i = 0; i <= exponent; i++)
            buf_append_char(out, i < n ? plain[i] : '0');
        if (n > exponent + 1)
            buf_printf(out, ".%.*s", n - exponent - 1, plain + exponent + 1);
    }
}

/* Bytes order UTF-8 by code point; UTF-16 order differs only where surrogates meet U+E000..U+FFFF. */
static int compare_keys(const node_t *a, const node_t *b, canonical_t dialect)
{
    if (dialect == CANONICAL_ASCII)
        return str_cmp(a->key, b->key);
    size_t i = 0, k = 0;
    while (i < a->key.len && k < b->key.len) {
        uint32_t x = next_code_point(a->key, &i), y = next_code_point(b->key, &k);
        if (x == y)
            continue;
        uint32_t first = x >= 0x10000 ? 0xD800 + ((x - 0x10000) >> 10) : x;
        uint32_t second = y >= 0x10000 ? 0xD800 + ((y - 0x10000) >> 10) : y;
        return first != second ? (first < second ? -1 : 1) : (x < y ? -1 : 1);
    }
    return a->key.len < b->key.len ? -1 : a->key.len > b->key.len;
}

static int by_ascii_key(const void *a, const void *b)
{
    return compare_keys(*(node_t *const *)a, *(node_t *const *)b, CANONICAL_ASCII);
}

static int by_utf16_key(const void *a, const void *b)
{
    return compare_keys(*(node_t *const *)a, *(node_t *const *)b, CANONICAL_UTF8);
}

static void write_value(pool_t *pool, buf_t *out, const node_t *node, canonical_t dialect);

static void write_members(pool_t *pool, buf_t *out, const node_t *node, canonical_t dialect)
{
    size_t count = 0, written = 0;
    for (node_t *member = node->first; member != NULL; member = member->next)
        count++;
    node_t **members = POOL_ARRAY(pool, node_t *, count);
    for (node_t *member = node->first; member != NULL; member = member->next)
        members[written++] = member;
    bool is_object = node->kind == NODE_OBJECT;
    if (is_object && count > 1)
        qsort(members, count, sizeof(*members), dialect == CANONICAL_ASCII ? by_ascii_key : by_utf16_key);
    buf_append_char(out, is_object ? '{' : '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        if (is_object) {
            write_string(out, members[i]->key, dialect);
            buf_append_char(out, ':');
        }
        write_value(pool, out, members[i], dialect);
    }
    buf_append_char(out, is_object ? '}' : ']');
}

static void write_value(pool_t *pool, buf_t *out, const node_t *node, canonical_t dialect)
{
    if (node->kind == NODE_STRING)
        write_string(out, node->text, dialect);
    else if (node->kind == NODE_NUMBER && dialect == CANONICAL_UTF8)
        write_ecma_number(out, pool_cstr(pool, node->text));
    else if (node->kind == NODE_NUMBER || node->kind == NODE_LITERAL)
        buf_append_str(out, node->text);
    else
        write_members(pool, out, node, dialect);
}

str_t canonical_json(pool_t *pool, str_t text, canonical_t dialect)
{
    reader_t reader = {.pool = pool, .at = text.base, .end = text.base + text.len};
    node_t *root = text.len > 0 ? read_value(&reader) : NULL;
    skip_space(&reader);
    if (root == NULL || reader.at != reader.end)
        return STR_NULL;
    buf_t out;
    buf_init(&out, pool, text.len + 16);
    write_value(pool, &out, root, dialect);
    return buf_str(&out);
}
