/* Arena for everything that lives as long as one request (or one job step, one snapshot...).
 * Nothing in it is freed singly; resources that need more than memory hang a callback on it. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/str.h"

#include <stdarg.h>

typedef struct pool pool_t;

/* Never fails: running out of memory ends the process, as in libh2o. */
pool_t *pool_create(void);

/* The same with a first block of `first` bytes instead of 4 KiB: for what is small and many, or, from 64 KiB
 * on, large: all its blocks are as large then. */
pool_t *pool_create_sized(size_t first);
/* A first block that holds what an ordinary request needs. The thread keeps some of them for its next
 * requests. */
#define POOL_REQUEST_SIZE ((size_t)8192)

/* Runs the dispose callbacks, newest first, then frees all memory. NULL is allowed. */
void pool_destroy(pool_t *pool);

/* `size` bytes aligned for any type, uninitialised / zeroed. Owned by the pool. */
void *pool_alloc(pool_t *pool, size_t size);
void *pool_calloc(pool_t *pool, size_t count, size_t size);

#define POOL_NEW(pool, type) ((type *)pool_calloc((pool), 1, sizeof(type)))
#define POOL_ARRAY(pool, type, count) ((type *)pool_calloc((pool), (count), sizeof(type)))

/* Copies into the pool, with a terminating zero behind it (not counted in len). */
str_t pool_str(pool_t *pool, str_t s);
char *pool_cstr(pool_t *pool, str_t s);
str_t pool_printf(pool_t *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));
str_t pool_vprintf(pool_t *pool, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* A copy with the ASCII letters in lower, or upper, case. */
str_t pool_lower(pool_t *pool, str_t s);
str_t pool_upper(pool_t *pool, str_t s);

/* Joins two or more strings: pool_concat(pool, 3, a, b, c). */
str_t pool_concat(pool_t *pool, size_t count, ...);

/* Calls `dispose(arg)` when the pool is destroyed: the only way to bind a foreign resource to its life. */
void pool_on_dispose(pool_t *pool, void (*dispose)(void *arg), void *arg);

/* Bytes handed out so far (budget checks). */
size_t pool_used(const pool_t *pool);

#endif
