#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define RED_ZONE 16  /* poisoned bytes behind every piece, so that overruns inside a block are seen */
#define SPARES_MAX 0 /* and what is freed stays poisoned */
#else
#define RED_ZONE 0
#define SPARES_MAX 32
#define ASAN_POISON_MEMORY_REGION(base, len) ((void)(base), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(base, len) ((void)(base), (void)(len))
#endif

#define ALIGN 16
#define FIRST_BLOCK 4096
#define BLOCK_MAX 65536

typedef struct block {
    struct block *next;
    char bytes[] __attribute__((aligned(ALIGN)));
} block_t;

typedef struct disposer {
    struct disposer *older;
    void (*dispose)(void *arg);
    void *arg;
} disposer_t;

/* Lives at the start of its own first block. */
struct pool {
    block_t *blocks; /* every block but the first, large ones included */
    char *free_base; /* free part of the block in use */
    size_t free_len;
    size_t block_size; /* of the block in use */
    size_t first_size; /* of its own block */
    size_t used;
    disposer_t *newest;
};

static void die_out_of_memory(void)
{
    static const char text[] = "out of memory\n";
    fwrite(text, 1, sizeof(text) - 1, stderr);
    abort();
}

static size_t align_up(size_t size)
{
    if (size > SIZE_MAX - 2 * BLOCK_MAX)
        die_out_of_memory();
    return (size + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);
}

static void *block_alloc(size_t size)
{
    void *block = malloc(size);
    if (block == NULL)
        die_out_of_memory();
    return block;
}

/* Blocks of ended requests for the next ones: too large for malloc's own quick lists. */
static _Thread_local struct {
    void *blocks[SPARES_MAX + 1];
    int count;
} spares;

static void *take_first(size_t size)
{
    return size == POOL_REQUEST_SIZE && spares.count > 0 ? spares.blocks[--spares.count] : block_alloc(size);
}

static void give_first(void *block, size_t size)
{
    if (size == POOL_REQUEST_SIZE && spares.count < SPARES_MAX)
        spares.blocks[spares.count++] = block;
    else
        free(block);
}

pool_t *pool_create(void)
{
    return pool_create_sized(FIRST_BLOCK);
}

pool_t *pool_create_sized(size_t first)
{
    size_t head = align_up(sizeof(pool_t));
    first = align_up(first < 2 * head ? 2 * head : first);
    pool_t *pool = take_first(first);
    *pool = (pool_t){
        .free_base = (char *)pool + head, .free_len = first - head, .block_size = first, .first_size = first};
    ASAN_POISON_MEMORY_REGION(pool->free_base, pool->free_len);
    return pool;
}

void pool_destroy(pool_t *pool)
{
    if (pool == NULL)
        return;
    while (pool->newest != NULL) {
        disposer_t *disposer = pool->newest;
        pool->newest = disposer->older;
        disposer->dispose(disposer->arg);
    }
    block_t *block = pool->blocks;
    while (block != NULL) {
        block_t *next = block->next;
        free(block);
        block = next;
    }
    give_first(pool, pool->first_size);
}

/* A block of its own for a piece that would waste the shared ones. */
static void *alloc_large(pool_t *pool, size_t size)
{
    block_t *block = block_alloc(sizeof(*block) + size);
    block->next = pool->blocks;
    pool->blocks = block;
    return block->bytes;
}

static void grow(pool_t *pool)
{
    size_t size = pool->block_size < BLOCK_MAX ? pool->block_size * 2 : pool->block_size;
    block_t *block = block_alloc(size);
    block->next = pool->blocks;
    pool->blocks = block;
    pool->block_size = size;
    pool->free_base = block->bytes;
    pool->free_len = size - sizeof(*block);
    ASAN_POISON_MEMORY_REGION(pool->free_base, pool->free_len);
}

void *pool_alloc(pool_t *pool, size_t size)
{
    size_t need = align_up(size) + RED_ZONE;
    pool->used += need;
    if (need > pool->free_len) {
        if (need > pool->block_size / 2)
            return alloc_large(pool, size != 0 ? size : 1);
        grow(pool);
    }
    char *piece = pool->free_base;
    pool->free_base += need;
    pool->free_len -= need;
    ASAN_UNPOISON_MEMORY_REGION(piece, size);
    return piece;
}

void *pool_calloc(pool_t *pool, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        die_out_of_memory();
    void *piece = pool_alloc(pool, total);
    memset(piece, 0, total);
    return piece;
}

char *pool_cstr(pool_t *pool, str_t s)
{
    char *copy = pool_alloc(pool, s.len + 1);
    if (s.len != 0)
        memcpy(copy, s.base, s.len);
    copy[s.len] = '\0';
    return copy;
}

str_t pool_str(pool_t *pool, str_t s)
{
    return s.base != NULL ? str_make(pool_cstr(pool, s), s.len) : STR_NULL;
}

str_t pool_vprintf(pool_t *pool, const char *format, va_list args)
{
    char small[256];
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(small, sizeof(small), format, args);
    if (len < 0) {
        va_end(again);
        return pool_str(pool, STR(""));
    }
    char *text = pool_alloc(pool, (size_t)len + 1);
    if ((size_t)len < sizeof(small))
        memcpy(text, small, (size_t)len + 1);
    else
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return str_make(text, (size_t)len);
}

str_t pool_printf(pool_t *pool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    str_t text = pool_vprintf(pool, format, args);
    va_end(args);
    return text;
}

/* A copy in which the letters from `first` on have moved by `distance`. */
static str_t shift_case(pool_t *pool, str_t s, char first, int distance)
{
    str_t copy = pool_str(pool, s);
    char *bytes = (char *)copy.base;
    for (size_t i = 0; i < copy.len; i++) {
        if (bytes[i] >= first && bytes[i] <= first + ('z' - 'a'))
            bytes[i] = (char)(bytes[i] + distance);
    }
    return copy;
}

str_t pool_lower(pool_t *pool, str_t s)
{
    return shift_case(pool, s, 'A', 'a' - 'A');
}

str_t pool_upper(pool_t *pool, str_t s)
{
    return shift_case(pool, s, 'a', 'A' - 'a');
}

str_t pool_concat(pool_t *pool, size_t count, ...)
{
    va_list args, again;
    va_start(args, count);
    va_copy(again, args);
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(len, va_arg(args, str_t).len, &len))
            die_out_of_memory();
    va_end(args);
    char *text = pool_alloc(pool, align_up(len) + 1);
    char *end = text;
    for (size_t i = 0; i < count; i++) {
        str_t part = va_arg(again, str_t);
        if (part.len != 0)
            memcpy(end, part.base, part.len);
        end += part.len;
    }
    va_end(again);
    *end = '\0';
    return str_make(text, len);
}

void pool_on_dispose(pool_t *pool, void (*dispose)(void *arg), void *arg)
{
    disposer_t *disposer = POOL_NEW(pool, disposer_t);
    *disposer = (disposer_t){.older = pool->newest, .dispose = dispose, .arg = arg};
    pool->newest = disposer;
}

size_t pool_used(const pool_t *pool)
{
    return pool->used;
}
