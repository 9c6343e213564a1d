/* What the planner's tests share: a snapshot, requests made from query strings, and how plans are compared.
 */
#ifndef PLAN_SCENE_H
#define PLAN_SCENE_H

#include "rest/parse.h"
#include "schema/snapshot.h"

/* cmocka group fixtures: a fresh snapshot and pool. */
int plan_set_up(void **state);
int plan_tear_down(void **state);

/* A request of schema `api` for JSON, with this query string. */
rest_request_t plan_request(rest_action_t action, const char *target, const char *query);
void plan_body(rest_request_t *r, const char *json);
err_t *plan_as(const rest_request_t *r, const char *role, rest_plan_t *out);
/* The error, which must have this code. */
err_t *plan_failed(const rest_request_t *r, const char *code);

/* The statement with its parameters behind it: "select .. | a | b". */
str_t plan_shown(const db_stmt_t *stmt);
void assert_text(str_t got, const char *expected);
/* Last statement of the plan for role `web`. */
void assert_sql(const rest_request_t *r, const char *expected);
void assert_read(const char *target, const char *query, const char *expected);

#endif
