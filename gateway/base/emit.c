#include "base/emit.h"

#include "base/json_copy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What stands behind the backslash for each byte: 0 none needed, 'u' the \u00XX form. */
static const char ESCAPE[256] = {'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',          'n', 'u',
                                 'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',          'u', 'u',
                                 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\'};

static char *write_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    *to++ = '\\';
    *to++ = ESCAPE[c];
    if (ESCAPE[c] == 'u') {
        *to++ = '0';
        *to++ = '0';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    return to;
}

/* Eight bytes at once: none below a blank, no quote, no backslash. May say no to words with bytes from 0x80
 * on. */
static bool is_plain_word(const char *s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t word;
    memcpy(&word, s, sizeof(word));
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    return ((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & highs) == 0;
}

size_t emit_plain_run(const char *s, size_t len)
{
    size_t at = 0;
#if defined(__SSE2__)
    for (; at + 16 <= len; at += 16) {
        unsigned specials = json_specials(_mm_loadu_si128((const __m128i *)(const void *)(s + at)));
        if (specials != 0)
            return at + (size_t)__builtin_ctz(specials);
    }
#endif
    while (at + 8 <= len && is_plain_word(s + at))
        at += 8;
    while (at < len && ESCAPE[(unsigned char)s[at]] == 0)
        at++;
    return at;
}

void emit_json_text(buf_t *out, str_t value)
{
    while (value.len > 0) {
        char *to = buf_reserve(out, value.len + 6); /* the rest as it is, behind one escape */
        size_t plain = json_copy_plain(to, value.base, value.len);
        to += plain;
        if (plain < value.len)
            to = write_escape(to, (unsigned char)value.base[plain++]);
        out->len = (size_t)(to - out->base);
        value = str_slice(value, plain, value.len);
    }
}

void emit_json_string(buf_t *out, str_t value)
{
    char *to = buf_reserve(out, value.len + 2);
    *to = '"';
    size_t plain = json_copy_plain(to + 1, value.base, value.len);
    out->len += 1 + plain;
    if (plain < value.len)
        emit_json_text(out, str_slice(value, plain, value.len));
    buf_append_char(out, '"');
}

void emit_init(emit_t *emit, buf_t *out)
{
    *emit = (emit_t){.out = out};
}

static void before_value(emit_t *emit)
{
    if (emit->after_key)
        emit->after_key = false;
    else if (emit->has_items[emit->depth])
        buf_append_char(emit->out, ',');
    emit->has_items[emit->depth] = true;
}

static void open_level(emit_t *emit, char bracket)
{
    before_value(emit);
    buf_append_char(emit->out, bracket);
    if (emit->depth + 1 >= EMIT_DEPTH_MAX)
        abort(); /* depth is the program's own, never a peer's */
    emit->has_items[++emit->depth] = false;
}

static void close_level(emit_t *emit, char bracket)
{
    if (emit->depth == 0)
        abort();
    emit->depth--;
    buf_append_char(emit->out, bracket);
}

void emit_object_begin(emit_t *emit)
{
    open_level(emit, '{');
}

void emit_object_end(emit_t *emit)
{
    close_level(emit, '}');
}

void emit_array_begin(emit_t *emit)
{
    open_level(emit, '[');
}

void emit_array_end(emit_t *emit)
{
    close_level(emit, ']');
}

void emit_key(emit_t *emit, str_t key)
{
    before_value(emit);
    emit_json_string(emit->out, key);
    buf_append_char(emit->out, ':');
    emit->after_key = true;
}

void emit_string(emit_t *emit, str_t value)
{
    if (str_is_null(value)) {
        emit_null(emit);
        return;
    }
    before_value(emit);
    emit_json_string(emit->out, value);
}

void emit_int(emit_t *emit, int64_t value)
{
    before_value(emit);
    buf_append_int(emit->out, value);
}

void emit_double(emit_t *emit, double value)
{
    if (!isfinite(value)) {
        emit_null(emit);
        return;
    }
    before_value(emit);
    char text[32];
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) { /* shortest form that reads back the same */
        len = snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_append(emit->out, text, (size_t)len);
}

void emit_bool(emit_t *emit, bool value)
{
    before_value(emit);
    buf_append_str(emit->out, value ? STR("true") : STR("false"));
}

void emit_null(emit_t *emit)
{
    before_value(emit);
    buf_append_lit(emit->out, "null");
}

void emit_raw(emit_t *emit, str_t json)
{
    before_value(emit);
    buf_append_str(emit->out, json);
}

void emit_raw_members(emit_t *emit, str_t members)
{
    if (members.len == 0)
        return;
    before_value(emit);
    buf_append_str(emit->out, members);
}
