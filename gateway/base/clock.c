#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t shift_sec; /* tests move the wall clock with it; 0 in production */

int64_t clock_unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec + atomic_load_explicit(&shift_sec, memory_order_relaxed)) * 1000 +
           now.tv_nsec / 1000000;
}

int64_t clock_unix(void)
{
    return clock_unix_ms() / 1000;
}

int64_t clock_mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_shift(int64_t sec)
{
    atomic_fetch_add(&shift_sec, sec);
}

str_t clock_iso8601(pool_t *pool, int64_t unix_ms)
{
    int64_t ms = unix_ms % 1000;
    if (ms < 0)
        ms += 1000;
    time_t sec = (time_t)((unix_ms - ms) / 1000);
    struct tm utc;
    if (gmtime_r(&sec, &utc) == NULL)
        return pool_str(pool, STR("1970-01-01T00:00:00.000Z"));
    return pool_printf(pool, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                       utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)ms);
}
