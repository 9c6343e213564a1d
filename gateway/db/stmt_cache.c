#include "db/stmt_cache.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

struct stmt_cache {
    map_t *by_key;    /* borrowed keys of the entries */
    stmt_entry_t lru; /* head of the ring */
    size_t entries_max;
    uint32_t names_used;
    buf_t to_close; /* names of 12 bytes each */
};

stmt_cache_t *stmt_cache_create(size_t entries_max)
{
    stmt_cache_t *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        abort();
    cache->by_key = map_create(NULL, 32);
    cache->lru.prev = cache->lru.next = &cache->lru;
    cache->entries_max = entries_max;
    buf_init(&cache->to_close, NULL, 0);
    return cache;
}

static void entry_free(stmt_entry_t *entry)
{
    free((char *)entry->key.base);
    free(entry);
}

static void entry_unlink(stmt_entry_t *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
}

static void entry_push_front(stmt_cache_t *cache, stmt_entry_t *entry)
{
    entry->next = cache->lru.next;
    entry->prev = &cache->lru;
    entry->next->prev = entry->prev->next = entry;
}

void stmt_cache_destroy(stmt_cache_t *cache)
{
    if (cache == NULL)
        return;
    stmt_cache_clear(cache, false);
    map_destroy(cache->by_key);
    buf_dispose(&cache->to_close);
    free(cache);
}

void stmt_cache_key(buf_t *out, str_t sql, str_t role, str_t search_path)
{
    buf_append_str(out, sql);
    buf_append_char(out, '\0');
    buf_append_str(out, role);
    buf_append_char(out, '\0');
    buf_append_str(out, search_path);
}

stmt_entry_t *stmt_cache_find(stmt_cache_t *cache, str_t key)
{
    stmt_entry_t *entry = map_get(cache->by_key, key);
    if (entry != NULL && cache->lru.next != entry) {
        entry_unlink(entry);
        entry_push_front(cache, entry);
    }
    return entry;
}

stmt_entry_t *stmt_cache_add(stmt_cache_t *cache, str_t key)
{
    stmt_entry_t *entry = calloc(1, sizeof(*entry));
    char *copy = malloc(key.len + 1);
    if (entry == NULL || copy == NULL)
        abort();
    memcpy(copy, key.base, key.len);
    copy[key.len] = '\0';
    entry->key = str_make(copy, key.len);
    snprintf(entry->name, sizeof(entry->name), "s%u", ++cache->names_used);
    map_put(cache->by_key, entry->key, entry);
    entry_push_front(cache, entry);
    return entry;
}

void stmt_cache_pin(stmt_entry_t *entry)
{
    entry->pins++;
}

void stmt_cache_unpin(stmt_entry_t *entry)
{
    if (--entry->pins == 0 && entry->state == STMT_STATE_DEAD)
        entry_free(entry);
}

void stmt_cache_drop(stmt_cache_t *cache, stmt_entry_t *entry, bool must_close)
{
    if (entry->state == STMT_STATE_DEAD)
        return;
    map_remove(cache->by_key, entry->key);
    entry_unlink(entry);
    entry->state = STMT_STATE_DEAD;
    if (must_close)
        buf_append(&cache->to_close, entry->name, sizeof(entry->name));
    if (entry->pins == 0)
        entry_free(entry);
}

void stmt_cache_clear(stmt_cache_t *cache, bool must_close)
{
    while (cache->lru.next != &cache->lru)
        stmt_cache_drop(cache, cache->lru.next, must_close);
}

void stmt_cache_trim(stmt_cache_t *cache)
{
    stmt_entry_t *entry = cache->lru.prev;
    while (map_count(cache->by_key) > cache->entries_max && entry != &cache->lru) {
        stmt_entry_t *newer = entry->prev;
        if (entry->pins == 0)
            stmt_cache_drop(cache, entry, true);
        entry = newer;
    }
}

bool stmt_cache_next_close(stmt_cache_t *cache, buf_t *sql)
{
    size_t name_size = sizeof(((stmt_entry_t *)NULL)->name);
    if (cache->to_close.len < name_size)
        return false;
    cache->to_close.len -= name_size;
    buf_printf(sql, "DEALLOCATE %s", cache->to_close.base + cache->to_close.len);
    return true;
}

size_t stmt_cache_count(const stmt_cache_t *cache)
{
    return map_count(cache->by_key);
}
