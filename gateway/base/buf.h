/* Growing byte writer: on a pool (request life) or on the heap (own life). */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/pool.h"
#include "base/str.h"

typedef struct {
    char *base;
    size_t len, capacity;
    pool_t *pool; /* NULL: heap, freed by buf_dispose */
} buf_t;

void buf_init(buf_t *buf, pool_t *pool, size_t capacity);
void buf_dispose(buf_t *buf); /* no-op on a pool */

/* Room for `more` bytes behind len; returns where to write them. The caller adds to len. */
char *buf_reserve(buf_t *buf, size_t more);

static inline void buf_append(buf_t *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    if (buf->capacity - buf->len < len)
        buf_reserve(buf, len);
    memcpy(buf->base + buf->len, bytes, len);
    buf->len += len;
}

static inline void buf_append_str(buf_t *buf, str_t s)
{
    buf_append(buf, s.base, s.len);
}

static inline void buf_append_char(buf_t *buf, char c)
{
    if (buf->len == buf->capacity)
        buf_reserve(buf, 1);
    buf->base[buf->len++] = c;
}

void buf_append_int(buf_t *buf, int64_t value);
void buf_printf(buf_t *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define buf_append_lit(buf, literal) buf_append((buf), "" literal "", sizeof(literal) - 1)

/* Borrowed view of what is written; valid until the next append. */
static inline str_t buf_str(const buf_t *buf)
{
    return str_make(buf->base, buf->len);
}

/* Hands the heap bytes to the caller (free) and empties the buffer; adds a zero behind the length. */
char *buf_take(buf_t *buf, size_t *len);

static inline void buf_clear(buf_t *buf)
{
    buf->len = 0;
}

#endif
