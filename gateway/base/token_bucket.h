/* Token bucket on the monotonic clock; not thread-safe, the owner locks. */
#ifndef BASE_TOKEN_BUCKET_H
#define BASE_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double tokens, burst, per_second;
    int64_t updated_us;
} token_bucket_t;

void token_bucket_init(token_bucket_t *bucket, double per_second, double burst);

/* Takes `cost` if it is there; otherwise false and, when given, the wait in milliseconds. */
bool token_bucket_take(token_bucket_t *bucket, double cost, int64_t *wait_ms);

#endif
