#include "base/token_bucket.h"

#include "base/clock.h"

#include <math.h>

void token_bucket_init(token_bucket_t *bucket, double per_second, double burst)
{
    *bucket = (token_bucket_t){
        .tokens = burst, .burst = burst, .per_second = per_second, .updated_us = clock_mono_us()};
}

bool token_bucket_take(token_bucket_t *bucket, double cost, int64_t *wait_ms)
{
    int64_t now = clock_mono_us();
    bucket->tokens =
        fmin(bucket->burst, bucket->tokens + (double)(now - bucket->updated_us) * bucket->per_second / 1e6);
    bucket->updated_us = now;
    if (bucket->tokens >= cost) {
        bucket->tokens -= cost;
        return true;
    }
    if (wait_ms != NULL) {
        double wait = bucket->per_second > 0 && cost <= bucket->burst
                          ? ceil((cost - bucket->tokens) * 1000 / bucket->per_second)
                          : (double)INT32_MAX;
        *wait_ms = (int64_t)fmin(wait, (double)INT32_MAX);
    }
    return false;
}
