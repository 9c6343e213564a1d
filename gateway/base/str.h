/* Borrowed strings: a pointer and a length, never relying on a terminating zero. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *base;
    size_t len;
} str_t;

#define STR(literal) ((str_t){"" literal "", sizeof(literal) - 1})
#define STR_NULL ((str_t){NULL, 0})
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, ((s).base != NULL ? (s).base : "")

static inline str_t str_make(const char *base, size_t len)
{
    return (str_t){base, len};
}

/* Borrows a C string; NULL gives the null string. */
static inline str_t str_from_c(const char *c)
{
    return (str_t){c, c != NULL ? strlen(c) : 0};
}

static inline bool str_is_null(str_t s)
{
    return s.base == NULL;
}

static inline bool str_eq(str_t a, str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

static inline bool str_starts_with(str_t s, str_t prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.base, prefix.base, prefix.len) == 0);
}

static inline bool str_ends_with(str_t s, str_t suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.base + s.len - suffix.len, suffix.base, suffix.len) == 0);
}

/* The part of `s` from `from` up to `to` (clamped to its length). */
static inline str_t str_slice(str_t s, size_t from, size_t to)
{
    to = to > s.len ? s.len : to;
    from = from > to ? to : from;
    return (str_t){s.base != NULL ? s.base + from : NULL, to - from};
}

/* ASCII case-insensitive equality (header names, keywords). */
bool str_eq_nocase(str_t a, str_t b);

/* Orders bytes, shorter first on a tie; for qsort and bsearch. */
int str_cmp(str_t a, str_t b);

/* Position of the first `c` at or after `from`, or SIZE_MAX. */
size_t str_find_char(str_t s, char c, size_t from);

/* Position of `needle` at or after `from`, or SIZE_MAX. */
size_t str_find(str_t s, str_t needle, size_t from);

/* Without leading and trailing ASCII white space. */
str_t str_trim(str_t s);

/* Cuts `*rest` at the first `sep`: returns the part before it and advances `*rest` behind it.
 * When there is none, returns all of it and makes `*rest` the null string. */
str_t str_split(str_t *rest, char sep);

/* Decimal, whole string, optional sign. False when malformed or out of range. */
bool str_to_int64(str_t s, int64_t *out);

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(str_t s);

/* The 8-4-4-4-12 form of a UUID, any case. */
bool str_is_uuid(str_t s);

/* A quick 64-bit hash, eight bytes at a step, for tables that no attacker can profit from (base/map
 * otherwise). */
uint64_t str_hash(str_t s);

#endif
