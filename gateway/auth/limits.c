#include "auth/limits.h"

#include "base/map.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS_MAX 10000
#define KEY_MAX 120

typedef struct bucket {
    struct bucket *newer, *older;
    token_bucket_t tokens;
    str_t key;
    char bytes[KEY_MAX];
} bucket_t;

struct auth_limits {
    pthread_mutex_t lock;
    map_t *by_key;
    bucket_t *newest, *oldest;
};

auth_limits_t *auth_limits_create(void)
{
    auth_limits_t *limits = calloc(1, sizeof(*limits));
    if (limits == NULL)
        abort();
    pthread_mutex_init(&limits->lock, NULL);
    limits->by_key = map_create(NULL, 64);
    return limits;
}

static void unlink_bucket(auth_limits_t *limits, bucket_t *bucket)
{
    *(bucket->newer != NULL ? &bucket->newer->older : &limits->newest) = bucket->older;
    *(bucket->older != NULL ? &bucket->older->newer : &limits->oldest) = bucket->newer;
}

static void link_newest(auth_limits_t *limits, bucket_t *bucket)
{
    bucket->newer = NULL;
    bucket->older = limits->newest;
    *(limits->newest != NULL ? &limits->newest->newer : &limits->oldest) = bucket;
    limits->newest = bucket;
}

static void remove_bucket(auth_limits_t *limits, bucket_t *bucket)
{
    map_remove(limits->by_key, bucket->key);
    unlink_bucket(limits, bucket);
    free(bucket);
}

void auth_limits_destroy(auth_limits_t *limits)
{
    if (limits == NULL)
        return;
    while (limits->oldest != NULL)
        remove_bucket(limits, limits->oldest);
    map_destroy(limits->by_key);
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

static bucket_t *bucket_create(auth_limits_t *limits, str_t key, double per_second, double burst)
{
    if (map_count(limits->by_key) >= BUCKETS_MAX)
        remove_bucket(limits, limits->oldest);
    bucket_t *bucket = calloc(1, sizeof(*bucket));
    if (bucket == NULL)
        abort();
    memcpy(bucket->bytes, key.base, key.len);
    bucket->key = str_make(bucket->bytes, key.len);
    token_bucket_init(&bucket->tokens, per_second, burst);
    map_put(limits->by_key, bucket->key, bucket);
    link_newest(limits, bucket);
    return bucket;
}

bool auth_limits_take(auth_limits_t *limits, const char *kind, str_t caller, double per_second, double burst,
                      double cost)
{
    char text[KEY_MAX];
    int len = snprintf(text, sizeof(text), "%s %.*s", kind, caller.len > 80 ? 80 : (int)caller.len,
                       caller.base != NULL ? caller.base : "");
    str_t key = str_make(text, (size_t)len);
    pthread_mutex_lock(&limits->lock);
    bucket_t *bucket = map_get(limits->by_key, key);
    if (bucket == NULL) {
        bucket = bucket_create(limits, key, per_second, burst);
    } else if (bucket != limits->newest) {
        unlink_bucket(limits, bucket);
        link_newest(limits, bucket);
    }
    bool is_taken = token_bucket_take(&bucket->tokens, cost > 0 ? cost : 1, NULL);
    if (is_taken && cost <= 0)
        bucket->tokens.tokens += 1; /* only asked */
    pthread_mutex_unlock(&limits->lock);
    return is_taken;
}
