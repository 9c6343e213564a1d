/* An index that knows which entry was used longest ago. Entries belong to their owner, who embeds a node,
 * keeps the bound and frees what falls out. Not thread-safe. */
#ifndef BASE_LRU_H
#define BASE_LRU_H

#include "base/str.h"

typedef struct lru_node {
    str_t key; /* set by the owner before lru_put, alive as long as the entry is in */
    struct lru_node *newer, *older;
} lru_node_t;

typedef struct lru lru_t;

lru_t *lru_create(void);
void lru_destroy(lru_t *lru); /* the entries must be out */

/* Marks it as used just now; NULL when absent. */
lru_node_t *lru_get(lru_t *lru, str_t key);
/* No entry of that key may be in. */
void lru_put(lru_t *lru, lru_node_t *node);
void lru_remove(lru_t *lru, lru_node_t *node);

lru_node_t *lru_oldest(lru_t *lru); /* NULL: empty */
size_t lru_count(const lru_t *lru);

#endif
