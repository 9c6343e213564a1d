/* What all Redfish clients of a process share: the throttle and one circuit breaker per device address.
 * Thread-safe. Devices are weak: at most one request at a time to each, a pause between two, few over all;
 * and after repeated failures none at all for a while, because wrong passwords lock accounts. */
#ifndef REDFISH_GUARD_H
#define REDFISH_GUARD_H

#include "base/str.h"

typedef struct redfish_guard redfish_guard_t;

typedef struct {
    int concurrent_max; /* requests over all devices; at least 1 */
    int delay_ms;       /* from the end of one request to the start of the next on the same device */
    int failures_max;   /* consecutive failures that open the breaker; 0: never */
    int open_ms;        /* how long it stays open */
} redfish_guard_options_t;

redfish_guard_t *redfish_guard_create(const redfish_guard_options_t *options);
void redfish_guard_destroy(redfish_guard_t *guard); /* nobody may hold a slot */
void redfish_guard_set_options(redfish_guard_t *guard, const redfish_guard_options_t *options);

typedef enum {
    REDFISH_GUARD_ENTERED, /* owner: the caller, until redfish_guard_leave */
    REDFISH_GUARD_OPEN,    /* the breaker is open; `*wait_ms` says for how long */
    REDFISH_GUARD_CANCELLED
} redfish_guard_entry_t;

/* Waits for a slot for `address`. `is_forced` enters in spite of an open breaker (an operator asked). */
redfish_guard_entry_t redfish_guard_enter(redfish_guard_t *guard, str_t address, bool is_forced,
                                          const volatile bool *is_cancelled, int64_t *wait_ms);

typedef enum {
    REDFISH_GUARD_GOOD,   /* resets the count */
    REDFISH_GUARD_FAILED, /* counts */
    REDFISH_GUARD_NEUTRAL /* neither: the device is well but has not what was asked for */
} redfish_guard_outcome_t;

void redfish_guard_leave(redfish_guard_t *guard, str_t address, redfish_guard_outcome_t outcome);

/* Forgets the failures of a device (its credentials were changed). */
void redfish_guard_reset(redfish_guard_t *guard, str_t address);

#endif
