#include "token/cache.h"

#include "base/crypt.h"
#include "base/lru.h"
#include "base/metrics.h"

#include <pthread.h>
#include <stdlib.h>

/* One allocation: the struct, the strings of the facts, the token. */
typedef struct {
    lru_node_t node; /* first; its key is the token */
    size_t size, facts_len;
    token_facts_t facts;
    char bytes[];
} entry_t;

struct token_cache {
    pthread_mutex_t lock;
    lru_t *entries;
    size_t count_max;
    metric_t *requests, *hits, *evictions;
};

token_cache_t *token_cache_create(size_t entries_max)
{
    token_cache_t *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->lock, NULL);
    cache->entries = lru_create();
    cache->count_max = entries_max;
    /* under PostgREST's names, for what watches it already */
    cache->requests =
        metric_counter("pgrst_jwt_cache_requests_total", "Tokens looked up among the verified ones", "");
    cache->hits = metric_counter("pgrst_jwt_cache_hits_total", "Tokens found among the verified ones", "");
    cache->evictions =
        metric_counter("pgrst_jwt_cache_evictions_total", "Verified tokens forgotten for newer ones", "");
    return cache;
}

static void remove_entry(token_cache_t *cache, lru_node_t *node)
{
    entry_t *entry = (entry_t *)(void *)node;
    lru_remove(cache->entries, node);
    crypt_wipe(entry, entry->size);
    free(entry);
}

void token_cache_destroy(token_cache_t *cache)
{
    if (cache == NULL)
        return;
    for (lru_node_t *oldest; (oldest = lru_oldest(cache->entries)) != NULL;)
        remove_entry(cache, oldest);
    lru_destroy(cache->entries);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* ---- strings of an identity ---- */

typedef struct {
    str_t *items[5];
} strings_t;

static strings_t strings_of(identity_t *identity)
{
    return (strings_t){{&identity->role, &identity->claims_json, &identity->session_claims, &identity->sub,
                        &identity->session_id}};
}

static void move(str_t *s, const char *from, const char *to)
{
    if (!str_is_null(*s))
        s->base = to + (s->base - from);
}

bool token_cache_get(token_cache_t *cache, pool_t *pool, str_t jwt, token_facts_t *out)
{
    pthread_mutex_lock(&cache->lock);
    const entry_t *entry = (const entry_t *)(void *)lru_get(cache->entries, jwt);
    if (entry != NULL) {
        *out = entry->facts;
        char *bytes = pool_alloc(pool, entry->facts_len);
        memcpy(bytes, entry->bytes, entry->facts_len);
        strings_t strings = strings_of(&out->identity);
        for (size_t i = 0; i < 5; i++)
            move(strings.items[i], entry->bytes, bytes);
    }
    pthread_mutex_unlock(&cache->lock);
    metric_add(cache->requests, 1);
    metric_add(cache->hits, entry != NULL ? 1 : 0);
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

/* Most tokens name their role, so that both forms of the claims are one text. */
static entry_t *entry_create(str_t jwt, const token_facts_t *facts)
{
    token_facts_t placed = *facts;
    strings_t strings = strings_of(&placed.identity);
    bool is_one_text = facts->identity.session_claims.base == facts->identity.claims_json.base;
    size_t size = sizeof(entry_t) + jwt.len + 1;
    for (size_t i = 0; i < 5; i++)
        size += strings.items[i]->len;
    entry_t *entry = malloc(size);
    if (entry == NULL)
        abort();
    char *at = entry->bytes;
    for (size_t i = 0; i < 5; i++)
        if (strings.items[i] != &placed.identity.session_claims || !is_one_text)
            *strings.items[i] = place(&at, *strings.items[i]);
    if (is_one_text)
        placed.identity.session_claims = placed.identity.claims_json;
    *entry = (entry_t){.size = size, .facts_len = (size_t)(at - entry->bytes), .facts = placed};
    entry->node.key = place(&at, jwt);
    return entry;
}

void token_cache_put(token_cache_t *cache, str_t jwt, const token_facts_t *facts)
{
    pthread_mutex_lock(&cache->lock);
    if (lru_get(cache->entries, jwt) == NULL) {
        if (lru_count(cache->entries) >= cache->count_max) {
            remove_entry(cache, lru_oldest(cache->entries));
            metric_add(cache->evictions, 1);
        }
        lru_put(cache->entries, &entry_create(jwt, facts)->node);
    }
    pthread_mutex_unlock(&cache->lock);
}

void token_cache_drop(token_cache_t *cache, str_t jwt)
{
    pthread_mutex_lock(&cache->lock);
    lru_node_t *node = lru_get(cache->entries, jwt);
    if (node != NULL)
        remove_entry(cache, node);
    pthread_mutex_unlock(&cache->lock);
}

size_t token_cache_count(token_cache_t *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t count = lru_count(cache->entries);
    pthread_mutex_unlock(&cache->lock);
    return count;
}
