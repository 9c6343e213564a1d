#include "token/cache.h"

#include "base/crypt.h"
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

/* One allocation: the struct, then the bytes of token and strings. */
typedef struct entry {
    struct entry *newer, *older;
    size_t size;
    str_t jwt;
    token_facts_t facts;
    char bytes[];
} entry_t;

struct token_cache {
    pthread_mutex_t lock;
    map_t *by_token;
    entry_t *newest, *oldest;
    size_t count, count_max;
};

token_cache_t *token_cache_create(size_t entries_max)
{
    token_cache_t *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->lock, NULL);
    cache->by_token = map_create(NULL, 64);
    cache->count_max = entries_max;
    return cache;
}

static void unlink_entry(token_cache_t *cache, entry_t *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
}

static void link_newest(token_cache_t *cache, entry_t *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void remove_entry(token_cache_t *cache, entry_t *entry)
{
    map_remove(cache->by_token, entry->jwt);
    unlink_entry(cache, entry);
    cache->count--;
    crypt_wipe(entry, entry->size);
    free(entry);
}

void token_cache_destroy(token_cache_t *cache)
{
    if (cache == NULL)
        return;
    while (cache->oldest != NULL)
        remove_entry(cache, cache->oldest);
    map_destroy(cache->by_token);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

bool token_cache_get(token_cache_t *cache, pool_t *pool, str_t jwt, token_facts_t *out)
{
    pthread_mutex_lock(&cache->lock);
    entry_t *entry = map_get(cache->by_token, jwt);
    if (entry != NULL) {
        if (entry != cache->newest) {
            unlink_entry(cache, entry);
            link_newest(cache, entry);
        }
        *out = entry->facts;
        identity_t *identity = &out->identity;
        identity->role = pool_str(pool, identity->role);
        identity->claims_json = pool_str(pool, identity->claims_json);
        identity->sub = str_is_null(identity->sub) ? STR_NULL : pool_str(pool, identity->sub);
        identity->session_id =
            str_is_null(identity->session_id) ? STR_NULL : pool_str(pool, identity->session_id);
    }
    pthread_mutex_unlock(&cache->lock);
    return entry != NULL;
}

static str_t place(char **at, str_t s)
{
    if (str_is_null(s))
        return STR_NULL;
    if (s.len > 0)
        memcpy(*at, s.base, s.len);
    str_t placed = str_make(*at, s.len);
    *at += s.len;
    return placed;
}

static entry_t *entry_create(str_t jwt, const token_facts_t *facts)
{
    const identity_t *from = &facts->identity;
    size_t size = sizeof(entry_t) + jwt.len + from->role.len + from->claims_json.len + from->sub.len +
                  from->session_id.len + 1;
    entry_t *entry = malloc(size);
    if (entry == NULL)
        abort();
    char *at = entry->bytes;
    *entry = (entry_t){.size = size, .facts = *facts};
    entry->jwt = place(&at, jwt);
    entry->facts.identity.role = place(&at, from->role);
    entry->facts.identity.claims_json = place(&at, from->claims_json);
    entry->facts.identity.sub = place(&at, from->sub);
    entry->facts.identity.session_id = place(&at, from->session_id);
    return entry;
}

void token_cache_put(token_cache_t *cache, str_t jwt, const token_facts_t *facts)
{
    pthread_mutex_lock(&cache->lock);
    if (map_get(cache->by_token, jwt) == NULL) {
        if (cache->count >= cache->count_max)
            remove_entry(cache, cache->oldest);
        entry_t *entry = entry_create(jwt, facts);
        map_put(cache->by_token, entry->jwt, entry);
        link_newest(cache, entry);
        cache->count++;
    }
    pthread_mutex_unlock(&cache->lock);
}

void token_cache_drop(token_cache_t *cache, str_t jwt)
{
    pthread_mutex_lock(&cache->lock);
    entry_t *entry = map_get(cache->by_token, jwt);
    if (entry != NULL)
        remove_entry(cache, entry);
    pthread_mutex_unlock(&cache->lock);
}

size_t token_cache_count(token_cache_t *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t count = cache->count;
    pthread_mutex_unlock(&cache->lock);
    return count;
}
