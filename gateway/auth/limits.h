/* GoTrue's rate limits: token buckets per caller and kind, bounded in number, safe for all workers. */
#ifndef AUTH_LIMITS_H
#define AUTH_LIMITS_H

#include "base/str.h"
#include "base/token_bucket.h"

typedef struct auth_limits auth_limits_t;

auth_limits_t *auth_limits_create(void);
void auth_limits_destroy(auth_limits_t *limits);

/* Takes `cost` (0 only asks whether one is there) from the bucket of (kind, caller), made full on first use.
 * When the table is full the bucket used longest ago makes room. */
bool auth_limits_take(auth_limits_t *limits, const char *kind, str_t caller, double per_second, double burst,
                      double cost);

#endif
