/* What decides about a request's plan, as one text. Two requests with the same key differ in their operands
 * and in the payload's text at most: those are parameters of the same statements. Read straight from the
 * request, before and without parsing it. */
#ifndef REST_PLAN_KEY_H
#define REST_PLAN_KEY_H

#include "rest/stages.h"

typedef struct {
    str_t text;            /* null: this request is parsed and planned for itself */
    const str_t *operands; /* decoded, as rest/operand.h counts them: number 1 is the first */
    uint32_t operand_count;
    str_t payload; /* what REST_BIND_BODY stands for */
} rest_plan_key_t;

/* `role`: the caller's where plans depend on it, else the null string. */
void rest_plan_key_read(const rest_settings_t *settings, pool_t *pool, const rest_input_t *in, str_t role,
                        rest_plan_key_t *out);

#endif
