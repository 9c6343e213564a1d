#include "base/lru.h"

#include "base/map.h"

#include <stdlib.h>

struct lru {
    map_t *by_key;
    lru_node_t ring; /* `older` is the newest, `newer` the oldest */
};

lru_t *lru_create(void)
{
    lru_t *lru = calloc(1, sizeof(*lru));
    if (lru == NULL)
        abort();
    lru->by_key = map_create(NULL, 64);
    lru->ring.newer = lru->ring.older = &lru->ring;
    return lru;
}

void lru_destroy(lru_t *lru)
{
    map_destroy(lru->by_key);
    free(lru);
}

static void leave_ring(lru_node_t *node)
{
    node->newer->older = node->older;
    node->older->newer = node->newer;
}

static void enter_ring(lru_t *lru, lru_node_t *node)
{
    node->newer = &lru->ring;
    node->older = lru->ring.older;
    node->older->newer = lru->ring.older = node;
}

lru_node_t *lru_get(lru_t *lru, str_t key)
{
    lru_node_t *node = map_get(lru->by_key, key);
    if (node != NULL && lru->ring.older != node) {
        leave_ring(node);
        enter_ring(lru, node);
    }
    return node;
}

void lru_put(lru_t *lru, lru_node_t *node)
{
    map_put(lru->by_key, node->key, node);
    enter_ring(lru, node);
}

void lru_remove(lru_t *lru, lru_node_t *node)
{
    map_remove(lru->by_key, node->key);
    leave_ring(node);
}

lru_node_t *lru_oldest(lru_t *lru)
{
    return lru->ring.newer != &lru->ring ? lru->ring.newer : NULL;
}

size_t lru_count(const lru_t *lru)
{
    return map_count(lru->by_key);
}
