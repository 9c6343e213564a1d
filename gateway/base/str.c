#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool str_eq_nocase(str_t a, str_t b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.base[i]) != lower(b.base[i]))
            return false;
    return true;
}

int str_cmp(str_t a, str_t b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common != 0 ? memcmp(a.base, b.base, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

size_t str_find_char(str_t s, char c, size_t from)
{
    if (from >= s.len)
        return SIZE_MAX;
    const char *hit = memchr(s.base + from, c, s.len - from);
    return hit != NULL ? (size_t)(hit - s.base) : SIZE_MAX;
}

size_t str_find(str_t s, str_t needle, size_t from)
{
    if (from > s.len)
        return SIZE_MAX;
    if (needle.len == 0)
        return from;
    if (from == s.len)
        return SIZE_MAX;
    const char *hit = memmem(s.base + from, s.len - from, needle.base, needle.len);
    return hit != NULL ? (size_t)(hit - s.base) : SIZE_MAX;
}

str_t str_trim(str_t s)
{
    while (s.len > 0 && is_space(s.base[0])) {
        s.base++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.base[s.len - 1]))
        s.len--;
    return s;
}

str_t str_split(str_t *rest, char sep)
{
    size_t at = str_find_char(*rest, sep, 0);
    str_t head = *rest;
    if (at == SIZE_MAX) {
        *rest = STR_NULL;
        return head;
    }
    head.len = at;
    rest->base += at + 1;
    rest->len -= at + 1;
    return head;
}

bool str_to_int64(str_t s, int64_t *out)
{
    bool is_negative = false;
    if (s.len > 0 && (s.base[0] == '-' || s.base[0] == '+')) {
        is_negative = s.base[0] == '-';
        s.base++;
        s.len--;
    }
    if (s.len == 0)
        return false;
    int64_t value = 0; /* counted downwards: INT64_MIN has no positive twin */
    for (size_t i = 0; i < s.len; i++) {
        if (s.base[i] < '0' || s.base[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.base[i] - '0', &value))
            return false;
    }
    if (!is_negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return false;
    *out = value;
    return true;
}

/* Length of the well-formed sequence at `p` (`left` bytes remain), or 0. Ranges of RFC 3629 section 4. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    unsigned char low = 0x80, high = 0xbf;
    size_t len;
    if (c >= 0xc2 && c <= 0xdf) {
        len = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        len = 3;
        low = c == 0xe0 ? 0xa0 : 0x80;
        high = c == 0xed ? 0x9f : 0xbf;
    } else if (c >= 0xf0 && c <= 0xf4) {
        len = 4;
        low = c == 0xf0 ? 0x90 : 0x80;
        high = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool str_is_utf8(str_t s)
{
    const unsigned char *p = (const unsigned char *)s.base;
    size_t left = s.len;
    while (left > 0) {
        uint64_t word;
        while (left >= sizeof(word)) {
            memcpy(&word, p, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) != 0)
                break;
            p += sizeof(word);
            left -= sizeof(word);
        }
        if (left == 0)
            break;
        size_t step = *p < 0x80 ? 1 : utf8_sequence(p, left);
        if (step == 0)
            return false;
        p += step;
        left -= step;
    }
    return true;
}

bool str_is_uuid(str_t s)
{
    if (s.len != 36)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = lower(s.base[i]);
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (is_dash ? c != '-' : !is_hex)
            return false;
    }
    return true;
}

static uint64_t mix(uint64_t hash)
{
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

uint64_t str_hash(str_t s)
{
    uint64_t hash = s.len, word = 0;
    size_t i = 0;
    for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
        memcpy(&word, s.base + i, sizeof(word));
        hash = mix(hash ^ word);
    }
    word = 0;
    if (i < s.len)
        memcpy(&word, s.base + i, s.len - i);
    return mix(hash ^ word);
}
