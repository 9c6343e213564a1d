/* Wall and monotonic time; tests may shift the wall clock. Never cached where security depends on it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/pool.h"

int64_t clock_unix(void);      /* seconds since 1970 */
int64_t clock_unix_ms(void);   /* milliseconds since 1970 */
int64_t clock_mono_us(void);   /* monotonic microseconds */
void clock_shift(int64_t sec); /* tests only: added to the wall clock from now on */

/* "2026-01-02T03:04:05.678Z" of a wall time in milliseconds. */
str_t clock_iso8601(pool_t *pool, int64_t unix_ms);

#endif
