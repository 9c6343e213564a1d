#include "realtime/json_slice.h"

typedef struct {
    const char *at, *end;
    int depth;
} scan_t;

static bool skip_value(scan_t *scan);

static void skip_space(scan_t *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(scan_t *scan)
{
    if (scan->at == scan->end)
        return false;
    char c = *scan->at++;
    if (c != 'u')
        return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't';
    for (int i = 0; i < 4; i++, scan->at++) {
        if (scan->at == scan->end || !is_hex(*scan->at))
            return false;
    }
    return true;
}

/* At the opening quote. */
static bool skip_string(scan_t *scan)
{
    if (scan->at == scan->end || *scan->at != '"')
        return false;
    scan->at++;
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !skip_escape(scan)))
            return false;
    }
    return false;
}

static bool skip_digits(scan_t *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start;
}

static bool skip_number(scan_t *scan)
{
    if (*scan->at == '-')
        scan->at++;
    if (scan->at < scan->end && *scan->at == '0')
        scan->at++;
    else if (!skip_digits(scan))
        return false;
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!skip_digits(scan))
            return false;
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        return skip_digits(scan);
    }
    return true;
}

static bool skip_word(scan_t *scan, str_t word)
{
    if ((size_t)(scan->end - scan->at) < word.len || memcmp(scan->at, word.base, word.len) != 0)
        return false;
    scan->at += word.len;
    return true;
}

/* Behind the key's first quote up to the member's value. */
static bool skip_key(scan_t *scan)
{
    if (!skip_string(scan))
        return false;
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != ':')
        return false;
    scan->at++;
    skip_space(scan);
    return true;
}

static bool skip_container(scan_t *scan, char close)
{
    scan->at++;
    skip_space(scan);
    if (scan->at < scan->end && *scan->at == close) {
        scan->at++;
        return true;
    }
    for (;;) {
        skip_space(scan);
        if ((close == '}' && !skip_key(scan)) || !skip_value(scan))
            return false;
        skip_space(scan);
        if (scan->at == scan->end)
            return false;
        char c = *scan->at++;
        if (c == close)
            return true;
        if (c != ',')
            return false;
    }
}

static bool skip_value(scan_t *scan)
{
    if (scan->at == scan->end)
        return false;
    switch (*scan->at) {
    case '{':
    case '[': {
        if (++scan->depth > JSON_SLICE_DEPTH_MAX)
            return false;
        bool is_good = skip_container(scan, *scan->at == '{' ? '}' : ']');
        scan->depth--;
        return is_good;
    }
    case '"':
        return skip_string(scan);
    case 't':
        return skip_word(scan, STR("true"));
    case 'f':
        return skip_word(scan, STR("false"));
    case 'n':
        return skip_word(scan, STR("null"));
    default:
        return skip_number(scan);
    }
}

bool json_slice_is_valid(str_t text)
{
    scan_t scan = {text.base, text.base + text.len, 0};
    skip_space(&scan);
    if (!skip_value(&scan))
        return false;
    skip_space(&scan);
    return scan.at == scan.end;
}

/* Positions at the next entry of a container opened by `open`; false at its end. */
static bool next_entry(str_t text, size_t at, char open, char close, scan_t *scan)
{
    *scan = (scan_t){text.base + at, text.base + text.len, 0};
    skip_space(scan);
    if (at == 0) {
        if (scan->at == scan->end || *scan->at != open)
            return false;
        scan->at++;
        skip_space(scan);
    }
    if (scan->at < scan->end && *scan->at == ',')
        scan->at++;
    skip_space(scan);
    return scan->at < scan->end && *scan->at != close;
}

bool json_slice_member(str_t text, size_t *at, str_t *key, str_t *value)
{
    scan_t scan;
    if (text.len == 0 || !next_entry(text, *at, '{', '}', &scan))
        return false;
    const char *start = scan.at;
    if (!skip_string(&scan))
        return false;
    *key = str_make(start + 1, (size_t)(scan.at - start) - 2);
    scan.at = start;
    if (!skip_key(&scan))
        return false;
    start = scan.at;
    if (!skip_value(&scan))
        return false;
    *value = str_make(start, (size_t)(scan.at - start));
    *at = (size_t)(scan.at - text.base);
    return true;
}

bool json_slice_item(str_t text, size_t *at, str_t *value)
{
    scan_t scan;
    if (text.len == 0 || !next_entry(text, *at, '[', ']', &scan))
        return false;
    const char *start = scan.at;
    if (!skip_value(&scan))
        return false;
    *value = str_make(start, (size_t)(scan.at - start));
    *at = (size_t)(scan.at - text.base);
    return true;
}

str_t json_slice_get(str_t object, str_t key)
{
    size_t at = 0;
    str_t name, value, found = STR_NULL;
    while (json_slice_member(object, &at, &name, &value)) {
        if (str_eq(name, key))
            found = value;
    }
    return found;
}

static uint32_t read_hex4(const char *p)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t digit = c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a') + 10;
        code = code << 4 | digit;
    }
    return code;
}

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* At the 'u' of \uXXXX; a lone surrogate becomes U+FFFD. Returns how far to go on. */
static size_t put_unicode(char *out, size_t *len, const char *p, const char *end)
{
    uint32_t code = read_hex4(p + 1);
    size_t taken = 5;
    if (code >= 0xd800 && code < 0xdc00 && end - p >= 11 && p[5] == '\\' && p[6] == 'u') {
        uint32_t low = read_hex4(p + 7);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            taken = 11;
        }
    }
    if (code >= 0xd800 && code < 0xe000)
        code = 0xfffd;
    *len += put_utf8(out + *len, code);
    return taken;
}

str_t json_slice_string(pool_t *pool, str_t value)
{
    if (!json_slice_is_string(value))
        return STR_NULL;
    str_t raw = str_slice(value, 1, value.len - 1);
    if (str_find_char(raw, '\\', 0) == SIZE_MAX)
        return raw;
    char *out = pool_alloc(pool, raw.len + 1);
    size_t len = 0;
    for (const char *p = raw.base, *end = raw.base + raw.len; p < end;) {
        if (*p != '\\') {
            out[len++] = *p++;
            continue;
        }
        p++;
        if (*p == 'u') {
            p += put_unicode(out, &len, p, end);
            continue;
        }
        static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
        const char *named = strchr(names, *p);
        out[len++] = named != NULL ? bytes[named - names] : *p;
        p++;
    }
    return str_make(out, len);
}
