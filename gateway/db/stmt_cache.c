#include "db/stmt_cache.h"

#include "db/binary_text.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 256 /* a power of two, about twice the entries that a connection keeps */

struct stmt_cache {
    stmt_entry_t *buckets[BUCKETS];
    stmt_entry_t lru; /* head of the ring */
    size_t count, entries_max;
    uint32_t names_used;
    buf_t to_close; /* names of 12 bytes each */
};

stmt_cache_t *stmt_cache_create(size_t entries_max)
{
    stmt_cache_t *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        abort();
    cache->lru.prev = cache->lru.next = &cache->lru;
    cache->entries_max = entries_max;
    buf_init(&cache->to_close, NULL, 0);
    return cache;
}

static void entry_free(stmt_entry_t *entry)
{
    free((char *)entry->key.text.base);
    free((db_column_t *)entry->columns);
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
    buf_dispose(&cache->to_close);
    free(cache);
}

stmt_key_t stmt_cache_key(uint64_t text_hash, str_t text, str_t role, str_t search_path)
{
    uint64_t hash = (text_hash * 31 + str_hash(role)) * 31 + str_hash(search_path);
    return (stmt_key_t){hash, text, role, search_path};
}

static bool is_same(const stmt_key_t *a, const stmt_key_t *b)
{
    return a->hash == b->hash && str_eq(a->text, b->text) && str_eq(a->role, b->role) &&
           str_eq(a->search_path, b->search_path);
}

static stmt_entry_t **bucket_of(stmt_cache_t *cache, const stmt_key_t *key)
{
    return &cache->buckets[(key->hash ^ key->hash >> 32) % BUCKETS];
}

stmt_entry_t *stmt_cache_find(stmt_cache_t *cache, const stmt_key_t *key)
{
    stmt_entry_t *entry = *bucket_of(cache, key);
    while (entry != NULL && !is_same(&entry->key, key))
        entry = entry->chain;
    if (entry != NULL && cache->lru.next != entry) {
        entry_unlink(entry);
        entry_push_front(cache, entry);
    }
    return entry;
}

/* The three strings in one piece of memory that begins with the text. */
static stmt_key_t key_copy(const stmt_key_t *key)
{
    stmt_key_t copy = *key;
    str_t *const parts[] = {&copy.text, &copy.role, &copy.search_path};
    char *at = malloc(key->text.len + key->role.len + key->search_path.len + 1);
    if (at == NULL)
        abort();
    for (size_t i = 0; i < 3; i++) {
        if (parts[i]->len > 0)
            memcpy(at, parts[i]->base, parts[i]->len);
        parts[i]->base = at;
        at += parts[i]->len;
    }
    return copy;
}

stmt_entry_t *stmt_cache_add(stmt_cache_t *cache, const stmt_key_t *key)
{
    stmt_entry_t *entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        abort();
    entry->key = key_copy(key);
    snprintf(entry->name, sizeof(entry->name), "s%u", ++cache->names_used);
    stmt_entry_t **bucket = bucket_of(cache, key);
    entry->chain = *bucket;
    *bucket = entry;
    cache->count++;
    entry_push_front(cache, entry);
    return entry;
}

/* The names lie behind the columns. */
void stmt_entry_describe(stmt_entry_t *entry, const db_column_t *columns, size_t count)
{
    if (entry->is_described)
        return;
    entry->is_described = true;
    if (columns == NULL)
        return;
    size_t size = count * (sizeof(*columns) + 1) + 1;
    for (size_t i = 0; i < count; i++)
        size += columns[i].name.len + 1;
    db_column_t *copy = malloc(size);
    if (copy == NULL)
        abort();
    char *name = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        str_t from = columns[i].name;
        memcpy(name, from.base, from.len);
        name[from.len] = '\0';
        copy[i] = (db_column_t){.name = {name, from.len}, .type_oid = columns[i].type_oid};
        name += from.len + 1;
    }
    entry->formats = (stmt_formats_t){.is_binary = (uint8_t *)name, .count = count};
    for (size_t i = 0; i < count; i++)
        entry->formats.binary_count += name[i] = binary_is_cheaper(columns[i].type_oid);
    entry->has_rows = true;
    entry->columns = copy;
    entry->column_count = count;
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
    stmt_entry_t **link = bucket_of(cache, &entry->key);
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    cache->count--;
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
    while (cache->count > cache->entries_max && entry != &cache->lru) {
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
    return cache->count;
}
