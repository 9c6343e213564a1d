/* Hash map from str_t to pointer: SipHash-1-3 under a random key (peers choose keys), open addressing.
 * Keys are borrowed: they must live as long as the entry; replacing a value also replaces its key.
 * Not thread-safe. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/pool.h"

typedef struct map map_t;

/* On the pool when given (never shrinks, no destroy needed), else on the heap. */
map_t *map_create(pool_t *pool, size_t expected);
void map_destroy(map_t *map);

void *map_get(const map_t *map, str_t key);        /* NULL when absent */
void *map_put(map_t *map, str_t key, void *value); /* returns the value that was replaced, or NULL */
void *map_remove(map_t *map, str_t key);           /* returns the removed value, or NULL */
size_t map_count(const map_t *map);

/* Iterates in no special order: start with *cursor = 0; false at the end. No changes while iterating. */
bool map_next(const map_t *map, size_t *cursor, str_t *key, void **value);

#endif
