#include "executor/try_limit.h"

#include "base/clock.h"
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

#define SECOND_US 1000000
#define KEEP_US (24LL * 3600 * SECOND_US)

typedef struct {
    int64_t count, seen_us, locked_until_us; /* 0: not locked */
    size_t key_len;
    char key[];
} entry_t;

struct try_limit {
    pthread_mutex_t mutex;
    map_t *entries;
    size_t entries_max;
};

try_limit_t *try_limit_create(size_t entries_max)
{
    try_limit_t *limit = calloc(1, sizeof(*limit));
    if (limit == NULL)
        abort();
    pthread_mutex_init(&limit->mutex, NULL);
    limit->entries = map_create(NULL, 64);
    limit->entries_max = entries_max;
    return limit;
}

void try_limit_destroy(try_limit_t *limit)
{
    size_t cursor = 0;
    str_t key;
    void *value;
    while (map_next(limit->entries, &cursor, &key, &value))
        free(value);
    map_destroy(limit->entries);
    pthread_mutex_destroy(&limit->mutex);
    free(limit);
}

static bool is_over(const entry_t *entry, int64_t now)
{
    return entry->locked_until_us != 0 ? entry->locked_until_us <= now : entry->seen_us + KEEP_US <= now;
}

static void remove_entry(try_limit_t *limit, str_t key)
{
    free(map_remove(limit->entries, key));
}

/* A full table is searched through at most once for each key that is new to it. */
static void remove_old(try_limit_t *limit, int64_t now)
{
    size_t cursor = 0;
    str_t key;
    void *value;
    while (map_next(limit->entries, &cursor, &key, &value)) {
        if (is_over(value, now)) {
            remove_entry(limit, key);
            cursor = 0;
        }
    }
}

static entry_t *find_or_make(try_limit_t *limit, str_t key, int64_t now)
{
    entry_t *entry = map_get(limit->entries, key);
    if (entry != NULL && is_over(entry, now))
        entry->count = entry->locked_until_us = 0;
    if (entry != NULL)
        return entry;
    if (map_count(limit->entries) >= limit->entries_max)
        remove_old(limit, now);
    if (map_count(limit->entries) >= limit->entries_max)
        return NULL;
    entry = calloc(1, sizeof(*entry) + key.len);
    if (entry == NULL)
        abort();
    memcpy(entry->key, key.base, key.len);
    entry->key_len = key.len;
    map_put(limit->entries, str_make(entry->key, key.len), entry);
    return entry;
}

int64_t try_limit_enter(try_limit_t *limit, str_t key, int64_t max, int64_t lock_s)
{
    int64_t now = clock_mono_us(), wait_s = 0;
    pthread_mutex_lock(&limit->mutex);
    entry_t *entry = find_or_make(limit, key, now);
    if (entry == NULL) {
        wait_s = lock_s;
    } else if (entry->locked_until_us > now) {
        wait_s = (entry->locked_until_us - now + SECOND_US - 1) / SECOND_US;
    } else {
        entry->seen_us = now;
        if (++entry->count >= max)
            entry->locked_until_us = now + lock_s * SECOND_US;
    }
    pthread_mutex_unlock(&limit->mutex);
    return wait_s;
}

void try_limit_forget(try_limit_t *limit, str_t key)
{
    pthread_mutex_lock(&limit->mutex);
    remove_entry(limit, key);
    pthread_mutex_unlock(&limit->mutex);
}

void try_limit_give_back(try_limit_t *limit, str_t key)
{
    pthread_mutex_lock(&limit->mutex);
    entry_t *entry = map_get(limit->entries, key);
    if (entry != NULL && entry->count > 0) {
        entry->count--;
        entry->locked_until_us = 0;
    }
    pthread_mutex_unlock(&limit->mutex);
}
