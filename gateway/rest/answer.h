/* The answer being made: status and headers with the overrides of response.status and response.headers.
 * Private to response.c and answer.c. */
#ifndef REST_ANSWER_H
#define REST_ANSWER_H

#include "rest/run.h"

#define REST_HEADERS_MAX 48

typedef struct {
    int status;
    str_t content_type; /* null string: none */
    str_t body;         /* null: the result's */
    rest_pair_t headers[REST_HEADERS_MAX];
    size_t header_count;
} rest_answer_t;

void rest_answer_header(rest_answer_t *answer, str_t name, str_t value);

/* Applies response.status and response.headers: the caller's headers replace ours of the same name. Errors:
 * PGRST111, PGRST112. */
err_t *rest_answer_override(pool_t *pool, const rest_result_t *result, rest_answer_t *answer) MUST_CHECK;

/* Preference-Applied, or the null string. */
str_t rest_preference_applied(pool_t *pool, const rest_request_t *request, const rest_plan_t *plan);

#endif
