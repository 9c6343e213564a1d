/* "Perhaps you meant": the nearest name by shared letter groups and edit distance, as the peer computes it.
 */
#ifndef SCHEMA_HINT_H
#define SCHEMA_HINT_H

#include "base/pool.h"

#define SCHEMA_HINT_LOOSE 0.33         /* for what the caller can see anyway */
#define SCHEMA_HINT_STRICT 0.75        /* for names of tables and functions */
#define SCHEMA_HINT_CANDIDATES_MAX 500 /* larger sets get no hint */

/* The candidate nearest to `wanted` with at least `score_min` (0..1), or the null string. Case does not
 * count. An equal name is returned only when `accept_equal`. Working memory comes from `pool`. */
str_t schema_nearest(pool_t *pool, str_t wanted, const str_t *candidates, size_t count, double score_min,
                     bool accept_equal);

#endif
