#include "base/map.h"

#include "base/rand.h"

#include <stdlib.h>

#define SMALLEST 8 /* slots; always a power of two, at most three quarters full */

typedef struct {
    str_t key; /* null: empty */
    void *value;
    uint64_t hash;
} slot_t;

struct map {
    pool_t *pool; /* NULL: heap */
    slot_t *slots;
    size_t slot_count, count;
    uint64_t seed[2];
};

#define ROTATE(x, bits) (((x) << (bits)) | ((x) >> (64 - (bits))))

/* The state in four names, so that it stays in registers. */
#define SIP_ROUND(v0, v1, v2, v3)                                                                            \
    do {                                                                                                     \
        v0 += v1;                                                                                            \
        v2 += v3;                                                                                            \
        v1 = ROTATE(v1, 13) ^ v0;                                                                            \
        v3 = ROTATE(v3, 16) ^ v2;                                                                            \
        v0 = ROTATE(v0, 32);                                                                                 \
        v2 += v1;                                                                                            \
        v0 += v3;                                                                                            \
        v1 = ROTATE(v1, 17) ^ v2;                                                                            \
        v3 = ROTATE(v3, 21) ^ v0;                                                                            \
        v2 = ROTATE(v2, 32);                                                                                 \
    } while (0)

/* SipHash-1-3 (Aumasson and Bernstein): peers choose keys, so the hash must not be predictable. */
static uint64_t hash_key(const map_t *map, str_t key)
{
    uint64_t v0 = map->seed[0] ^ UINT64_C(0x736f6d6570736575);
    uint64_t v1 = map->seed[1] ^ UINT64_C(0x646f72616e646f6d);
    uint64_t v2 = map->seed[0] ^ UINT64_C(0x6c7967656e657261);
    uint64_t v3 = map->seed[1] ^ UINT64_C(0x7465646279746573);
    uint64_t word;
    size_t at = 0;
    for (; at + sizeof(word) <= key.len; at += sizeof(word)) {
        memcpy(&word, key.base + at, sizeof(word));
        v3 ^= word;
        SIP_ROUND(v0, v1, v2, v3);
        v0 ^= word;
    }
    word = 0;
    if (at < key.len)
        memcpy(&word, key.base + at, key.len - at);
    word |= (uint64_t)key.len << 56;
    v3 ^= word;
    SIP_ROUND(v0, v1, v2, v3);
    v0 ^= word;
    v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        SIP_ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}

static slot_t *alloc_slots(pool_t *pool, size_t count)
{
    if (pool != NULL)
        return POOL_ARRAY(pool, slot_t, count);
    slot_t *slots = calloc(count, sizeof(*slots));
    if (slots == NULL)
        abort();
    return slots;
}

map_t *map_create(pool_t *pool, size_t expected)
{
    map_t *map = pool != NULL ? POOL_NEW(pool, map_t) : calloc(1, sizeof(*map));
    if (map == NULL || expected > SIZE_MAX / (4 * sizeof(slot_t)))
        abort();
    map->pool = pool;
    map->slot_count = SMALLEST;
    while (map->slot_count - map->slot_count / 4 < expected)
        map->slot_count *= 2;
    map->slots = alloc_slots(pool, map->slot_count);
    rand_bytes(map->seed, sizeof(map->seed));
    return map;
}

void map_destroy(map_t *map)
{
    if (map == NULL || map->pool != NULL)
        return;
    free(map->slots);
    free(map);
}

/* The slot that holds `key`, or the empty one where it belongs. */
static slot_t *find_slot(const map_t *map, str_t key, uint64_t hash)
{
    size_t mask = map->slot_count - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        slot_t *slot = &map->slots[at];
        if (slot->key.base == NULL || (slot->hash == hash && str_eq(slot->key, key)))
            return slot;
    }
}

void *map_get(const map_t *map, str_t key)
{
    return find_slot(map, key, hash_key(map, key))->value;
}

static void double_slots(map_t *map)
{
    slot_t *old = map->slots;
    size_t old_count = map->slot_count;
    map->slot_count *= 2;
    map->slots = alloc_slots(map->pool, map->slot_count);
    for (size_t i = 0; i < old_count; i++)
        if (old[i].key.base != NULL)
            *find_slot(map, old[i].key, old[i].hash) = old[i];
    if (map->pool == NULL)
        free(old);
}

void *map_put(map_t *map, str_t key, void *value)
{
    if (key.base == NULL)
        key = STR("");
    uint64_t hash = hash_key(map, key);
    slot_t *slot = find_slot(map, key, hash);
    if (slot->key.base == NULL && map->count + 1 > map->slot_count - map->slot_count / 4) {
        double_slots(map);
        slot = find_slot(map, key, hash);
    }
    void *replaced = slot->value;
    if (slot->key.base == NULL)
        map->count++;
    *slot = (slot_t){.key = key, .value = value, .hash = hash};
    return replaced;
}

void *map_remove(map_t *map, str_t key)
{
    slot_t *slot = find_slot(map, key, hash_key(map, key));
    if (slot->key.base == NULL)
        return NULL;
    void *removed = slot->value;
    map->count--;
    /* Close the gap: move later members of the probe run back, so that no tombstones are needed. */
    size_t mask = map->slot_count - 1, gap = (size_t)(slot - map->slots);
    for (size_t at = (gap + 1) & mask; map->slots[at].key.base != NULL; at = (at + 1) & mask) {
        size_t home = map->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        map->slots[gap] = map->slots[at];
        gap = at;
    }
    map->slots[gap] = (slot_t){0};
    return removed;
}

size_t map_count(const map_t *map)
{
    return map->count;
}

bool map_next(const map_t *map, size_t *cursor, str_t *key, void **value)
{
    while (*cursor < map->slot_count) {
        const slot_t *slot = &map->slots[(*cursor)++];
        if (slot->key.base == NULL)
            continue;
        if (key != NULL)
            *key = slot->key;
        if (value != NULL)
            *value = slot->value;
        return true;
    }
    return false;
}
