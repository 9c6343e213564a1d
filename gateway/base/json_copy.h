/* The inner loop of every JSON string: copying and looking for what needs an escape in one go, 16 bytes at a
 * time, never reading or writing beyond `len`. */
#ifndef BASE_JSON_COPY_H
#define BASE_JSON_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>

/* One bit per byte that is a control character, a quote or a backslash. */
static inline unsigned json_specials(__m128i bytes)
{
    const __m128i last_control = _mm_set1_epi8(0x1f);
    __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    __m128i is_quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i is_backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(is_control, _mm_or_si128(is_quote, is_backslash)));
}

/* Fewer than 16 bytes, as two halves that may overlap. */
static inline size_t json_copy_halves(char *to, const char *from, size_t len, size_t half)
{
    uint64_t front = 0, back = 0;
    memcpy(&front, from, half);
    memcpy(&back, from + len - half, half);
    /* what lies behind a half of four bytes must not look like a control character */
    uint64_t pad = half == 8 ? 0 : 0x2020202000000000u;
    __m128i both = _mm_set_epi64x((long long)(back | pad), (long long)(front | pad));
    unsigned specials = json_specials(both);
    memcpy(to, &front, half);
    memcpy(to + len - half, &back, half);
    if (specials == 0)
        return len;
    unsigned in_front = specials & 0xff;
    return in_front != 0 ? (size_t)__builtin_ctz(in_front)
                         : len - half + (size_t)__builtin_ctz(specials >> 8);
}

/* Copies `len` bytes and returns how many of them come before the first that needs an escape (`len`: none
 * does). */
static inline size_t json_copy_plain(char *to, const char *from, size_t len)
{
    size_t at = 0;
    for (; len - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(from + at));
        _mm_storeu_si128((__m128i *)(void *)(to + at), bytes);
        unsigned specials = json_specials(bytes);
        if (specials != 0)
            return at + (size_t)__builtin_ctz(specials);
    }
    to += at;
    from += at;
    size_t rest = len - at;
    if (rest >= 8)
        return at + json_copy_halves(to, from, rest, 8);
    if (rest >= 4)
        return at + json_copy_halves(to, from, rest, 4);
    for (size_t i = 0; i < rest; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c < 0x20 || c == '"' || c == '\\')
            return at + i;
        to[i] = from[i];
    }
    return len;
}

#else

static inline size_t json_copy_plain(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c < 0x20 || c == '"' || c == '\\')
            return i;
        to[i] = from[i];
    }
    return len;
}

#endif

#endif
