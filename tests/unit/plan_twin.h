/* Cached plans against plans made afresh: shared by the unit test and the fuzz target. */
#ifndef PLAN_TWIN_H
#define PLAN_TWIN_H

#include "rest/plan_cache.h"

/* Another request with the same key: every operand is replaced by a text of the same kind that is full of
 * traps, and so are the values of a JSON payload in `other_body`. */
rest_input_t plan_twin_of(pool_t *pool, const rest_settings_t *settings, const rest_input_t *in,
                          str_t other_body);

/* NULL when a cached plan equals one made afresh in everything that is sent, answered or decided by, else
 * what differs. */
const char *plan_twin_difference(const rest_request_t *a_request, const rest_plan_t *a,
                                 const rest_request_t *b_request, const rest_plan_t *b);

#endif
