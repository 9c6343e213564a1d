/* One pass over a JSON body: is it JSON, and which keys do its objects have? The text itself goes to
 * PostgreSQL. */
#include "base/emit.h"
#include "rest/grammar.h"
#include "rest/parse.h"

#include <stdlib.h>

typedef struct {
    pool_t *pool;
    const char *at, *end;
    uint32_t depth, depth_max;
} json_reader_t;

/* Keys of one object in order of appearance. */
typedef struct {
    str_t *names;
    uint32_t count, capacity;
} keys_t;

static void skip_blanks(json_reader_t *r)
{
    while (r->at < r->end && (unsigned char)*r->at <= ' ' &&
           (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool take(json_reader_t *r, char c)
{
    if (r->at >= r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* ---- scalars ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(json_reader_t *r)
{
    if (r->at >= r->end)
        return false;
    char c = *r->at++;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    if (r->end - r->at < 4)
        return false;
    for (int i = 0; i < 4; i++)
        if (!is_hex(*r->at++))
            return false;
    return true;
}

/* Behind the opening quote; `raw` is what stands between the quotes. */
static bool skip_string(json_reader_t *r, str_t *raw, bool *has_escape)
{
    const char *start = r->at;
    *has_escape = false;
    for (;;) {
        r->at += emit_plain_run(r->at, (size_t)(r->end - r->at));
        if (take(r, '"')) {
            *raw = str_make(start, (size_t)(r->at - start) - 1);
            return true;
        }
        *has_escape = true;
        if (!take(r, '\\') || !skip_escape(r))
            return false;
    }
}

static bool skip_digits(json_reader_t *r)
{
    const char *start = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > start;
}

static bool skip_number(json_reader_t *r)
{
    take(r, '-');
    if (take(r, '0')) {
        if (r->at < r->end && *r->at >= '0' && *r->at <= '9')
            return false;
    } else if (!skip_digits(r)) {
        return false;
    }
    if (take(r, '.') && !skip_digits(r))
        return false;
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (!take(r, '+'))
            take(r, '-');
        return skip_digits(r);
    }
    return true;
}

static bool skip_word(json_reader_t *r, str_t word)
{
    if ((size_t)(r->end - r->at) < word.len || memcmp(r->at, word.base, word.len) != 0)
        return false;
    r->at += word.len;
    return true;
}

/* ---- structure ---- */

static void append_utf8(char *to, size_t *len, uint32_t c)
{
    if (c < 0x80) {
        to[(*len)++] = (char)c;
    } else if (c < 0x800) {
        to[(*len)++] = (char)(0xC0 | c >> 6);
        to[(*len)++] = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        to[(*len)++] = (char)(0xE0 | c >> 12);
        to[(*len)++] = (char)(0x80 | (c >> 6 & 0x3F));
        to[(*len)++] = (char)(0x80 | (c & 0x3F));
    } else {
        to[(*len)++] = (char)(0xF0 | c >> 18);
        to[(*len)++] = (char)(0x80 | (c >> 12 & 0x3F));
        to[(*len)++] = (char)(0x80 | (c >> 6 & 0x3F));
        to[(*len)++] = (char)(0x80 | (c & 0x3F));
    }
}

static uint32_t read_hex4(const char *p)
{
    char text[5] = {p[0], p[1], p[2], p[3], '\0'};
    return (uint32_t)strtoul(text, NULL, 16);
}

/* The key itself; the escapes were checked by skip_string. */
static str_t unescape(pool_t *pool, str_t raw)
{
    char *to = pool_alloc(pool, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.base[i] != '\\') {
            to[len++] = raw.base[i];
            continue;
        }
        char c = raw.base[++i];
        if (c != 'u') {
            static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
            const char *known = strchr(FROM, c);
            to[len++] = known != NULL ? TO[known - FROM] : c;
            continue;
        }
        uint32_t code = read_hex4(raw.base + i + 1);
        i += 4;
        bool is_pair = code >= 0xD800 && code < 0xDC00 && i + 6 < raw.len && raw.base[i + 1] == '\\' &&
                       raw.base[i + 2] == 'u';
        if (is_pair) {
            uint32_t low = read_hex4(raw.base + i + 3);
            code = 0x10000 + ((code - 0xD800) << 10) + ((low - 0xDC00) & 0x3FF);
            i += 6;
        }
        append_utf8(to, &len, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
    }
    return str_make(to, len);
}

static bool skip_value(json_reader_t *r, keys_t *keys);

/* Behind '{'. `keys` may be NULL. */
static bool skip_object(json_reader_t *r, keys_t *keys)
{
    skip_blanks(r);
    if (take(r, '}'))
        return true;
    do {
        str_t raw;
        bool has_escape;
        skip_blanks(r);
        if (!take(r, '"') || !skip_string(r, &raw, &has_escape))
            return false;
        if (keys != NULL) {
            keys->names = rest_grow(r->pool, keys->names, keys->count, &keys->capacity, sizeof(*keys->names));
            keys->names[keys->count++] = has_escape ? unescape(r->pool, raw) : raw;
        }
        skip_blanks(r);
        if (!take(r, ':') || !skip_value(r, NULL))
            return false;
        skip_blanks(r);
    } while (take(r, ','));
    return take(r, '}');
}

static bool skip_array(json_reader_t *r)
{
    skip_blanks(r);
    if (take(r, ']'))
        return true;
    do {
        if (!skip_value(r, NULL))
            return false;
        skip_blanks(r);
    } while (take(r, ','));
    return take(r, ']');
}

static bool skip_value(json_reader_t *r, keys_t *keys)
{
    skip_blanks(r);
    if (r->at >= r->end)
        return false;
    char c = *r->at;
    if (c == '{' || c == '[') {
        if (++r->depth > r->depth_max)
            return false;
        r->at++;
        bool ok = c == '{' ? skip_object(r, keys) : skip_array(r);
        r->depth--;
        return ok;
    }
    if (c == '"') {
        str_t raw;
        bool has_escape;
        r->at++;
        return skip_string(r, &raw, &has_escape);
    }
    if (c == 't')
        return skip_word(r, STR("true"));
    if (c == 'f')
        return skip_word(r, STR("false"));
    if (c == 'n')
        return skip_word(r, STR("null"));
    return skip_number(r);
}

/* ---- keys ---- */

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const str_t *)a, *(const str_t *)b);
}

static void sort_unique(str_t *names, uint32_t *count)
{
    uint32_t kept = 0;
    if (*count > 1)
        qsort(names, *count, sizeof(*names), by_text);
    for (uint32_t i = 0; i < *count; i++)
        if (kept == 0 || !str_eq(names[kept - 1], names[i]))
            names[kept++] = names[i];
    *count = kept;
}

static bool is_same_list(const str_t *a, uint32_t a_count, const str_t *b, uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++)
        if (!str_eq(a[i], b[i]))
            return false;
    return true;
}

/* Elements behind '[' of a top-level array, each an object with the keys of the first. */
static rest_body_t check_elements(json_reader_t *r, const str_t **out, uint32_t *out_count)
{
    keys_t first = {0}, next = {0}; /* `first` in order of appearance */
    str_t *sorted = NULL;
    uint32_t sorted_count = 0, seen = 0;
    bool is_even = true;
    skip_blanks(r);
    if (take(r, ']'))
        return REST_BODY_EMPTY;
    do {
        keys_t *keys = seen == 0 ? &first : &next;
        keys->count = 0;
        skip_blanks(r);
        bool is_object = r->at < r->end && *r->at == '{';
        if (!skip_value(r, keys))
            return REST_BODY_INVALID;
        if (!is_object) {
            is_even = false;
        } else if (seen == 0) {
            sorted_count = first.count;
            sorted = POOL_ARRAY(r->pool, str_t, first.count + 1);
            if (first.count > 0)
                memcpy(sorted, first.names, first.count * sizeof(*sorted));
            sort_unique(sorted, &sorted_count);
        } else if (is_even && !is_same_list(first.names, first.count, next.names, next.count)) {
            sort_unique(next.names, &next.count);
            is_even = is_same_list(sorted, sorted_count, next.names, next.count);
        }
        seen++;
        skip_blanks(r);
    } while (take(r, ','));
    if (!take(r, ']'))
        return REST_BODY_INVALID;
    *out = sorted;
    *out_count = sorted_count;
    return is_even ? REST_BODY_ARRAY : REST_BODY_UNEVEN;
}

rest_body_t rest_check_json(pool_t *pool, str_t text, uint32_t depth_max, const str_t **keys,
                            uint32_t *key_count)
{
    json_reader_t r = {.pool = pool, .at = text.base, .end = text.base + text.len, .depth_max = depth_max};
    rest_body_t body;
    *keys = NULL;
    *key_count = 0;
    if (text.len == 0 || !str_is_utf8(text))
        return REST_BODY_INVALID;
    skip_blanks(&r);
    if (r.at < r.end && *r.at == '[') {
        r.at++;
        r.depth = 1;
        body = check_elements(&r, keys, key_count);
    } else {
        keys_t own = {0};
        body = r.at < r.end && *r.at == '{' ? REST_BODY_OBJECT : REST_BODY_EMPTY;
        if (!skip_value(&r, &own))
            return REST_BODY_INVALID;
        sort_unique(own.names, &own.count);
        *keys = own.names;
        *key_count = own.count;
    }
    skip_blanks(&r);
    return r.at == r.end ? body : REST_BODY_INVALID;
}
