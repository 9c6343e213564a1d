/* When a recurring maintenance window is due. Pure; all times are UTC. */
#ifndef FUNCTIONS_RECURRENCE_H
#define FUNCTIONS_RECURRENCE_H

#include "base/str.h"

#include <jansson.h>

/* The latest time due after `base` and not after `now` (seconds since 1970): runs that were missed before it
 * are not made up for. `config` is details.recurrence_config ({enabled, interval, unit, hour, minute,
 * dayOfWeek, dayOfMonth}; may be NULL) and wins when it is enabled; else `pattern` is a cron pattern
 * (base/cron.h). False when nothing is due or neither makes sense. */
bool recurrence_due(const json_t *config, str_t pattern, int64_t base, int64_t now, int64_t *due);

#endif
