/* What all Redfish clients of a process share: the throttle and one circuit breaker per device address.
 * Thread-safe. Devices are weak: at most one request at a time to each, a pause between two, few over all;
 * and after repeated failures none at all for a while. Refused passwords lock accounts, so their pause is
 * long; a device that does not answer may only be restarting, so its first pause is short. */
#ifndef REDFISH_GUARD_H
#define REDFISH_GUARD_H

#include "base/str.h"

#include <stdatomic.h>

typedef struct redfish_guard redfish_guard_t;

typedef struct {
    int concurrent_max; /* requests over all devices; at least 1 */
    int delay_ms;       /* from the end of one request to the start of the next on the same device */
    int failures_max;   /* calls in a row with the same trouble that open the breaker; 0: never */
    int refused_ms;     /* the pause after refused passwords, and the longest for an unwell device */
    int unwell_ms;      /* its first one; doubled by each call that fails after a pause */
} redfish_guard_options_t;

redfish_guard_t *redfish_guard_create(const redfish_guard_options_t *options);
void redfish_guard_destroy(redfish_guard_t *guard); /* nobody may hold a slot */
void redfish_guard_set_pace(redfish_guard_t *guard, int concurrent_max, int delay_ms);

typedef enum {
    REDFISH_GUARD_ENTERED, /* owner: the caller, until redfish_guard_leave */
    REDFISH_GUARD_OPEN,    /* the breaker is open; `*wait_ms` says for how long */
    REDFISH_GUARD_CANCELLED
} redfish_guard_entry_t;

/* Waits for a slot for `address`. `is_forced` enters in spite of an open breaker (an operator asked). */
redfish_guard_entry_t redfish_guard_enter(redfish_guard_t *guard, str_t address, bool is_forced,
                                          const atomic_bool *is_cancelled, int64_t *wait_ms);

typedef enum {
    REDFISH_GUARD_GOOD,    /* ends both counts */
    REDFISH_GUARD_REFUSED, /* a password was refused */
    REDFISH_GUARD_UNWELL,  /* no answer, or none of use */
    REDFISH_GUARD_NEUTRAL  /* counts nowhere: the device is well but has not what was asked for, or the call
                              goes on with another try */
} redfish_guard_outcome_t;

void redfish_guard_leave(redfish_guard_t *guard, str_t address, redfish_guard_outcome_t outcome);

#endif
