#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALLEST 64

static void grow_to(buf_t *buf, size_t capacity)
{
    if (buf->pool != NULL) {
        char *bigger = pool_alloc(buf->pool, capacity);
        if (buf->len != 0)
            memcpy(bigger, buf->base, buf->len);
        buf->base = bigger;
    } else {
        char *bigger = realloc(buf->base, capacity);
        if (bigger == NULL)
            abort();
        buf->base = bigger;
    }
    buf->capacity = capacity;
}

void buf_init(buf_t *buf, pool_t *pool, size_t capacity)
{
    *buf = (buf_t){.pool = pool};
    if (capacity != 0)
        grow_to(buf, capacity);
}

void buf_dispose(buf_t *buf)
{
    if (buf->pool == NULL)
        free(buf->base);
    *buf = (buf_t){.pool = buf->pool};
}

char *buf_reserve(buf_t *buf, size_t more)
{
    if (buf->capacity - buf->len < more || buf->base == NULL) {
        size_t need;
        if (__builtin_add_overflow(buf->len, more, &need) || need > SIZE_MAX / 2)
            abort();
        size_t capacity = buf->capacity < SMALLEST ? SMALLEST : buf->capacity * 2;
        grow_to(buf, capacity < need ? need : capacity);
    }
    return buf->base + buf->len;
}

void buf_append_int(buf_t *buf, int64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0)
        digits[--at] = '-';
    buf_append(buf, digits + at, sizeof(digits) - at);
}

void buf_printf(buf_t *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buf->capacity - buf->len;
    int len = vsnprintf(room != 0 ? buf->base + buf->len : NULL, room, format, args);
    va_end(args);
    if (len > 0 && (size_t)len >= room)
        vsnprintf(buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, format, again);
    va_end(again);
    if (len > 0)
        buf->len += (size_t)len;
}

char *buf_take(buf_t *buf, size_t *len)
{
    buf_append_char(buf, '\0');
    char *bytes = buf->base;
    if (len != NULL)
        *len = buf->len - 1;
    *buf = (buf_t){.pool = buf->pool};
    return bytes;
}
