#include "plan_scene.h"

#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static schema_snapshot_t *snapshot;
static pool_t *pool;

static rest_settings_t settings(void)
{
    static const str_t schemas[] = {{"api", 3}};
    return (rest_settings_t){.schemas = schemas,
                             .schema_count = 1,
                             .max_rows = -1,
                             .has_aggregates = true,
                             .has_legacy_targets = true,
                             .filters_max = 50,
                             .logic_depth_max = 8,
                             .list_max = 100,
                             .embed_depth_max = 5,
                             .embeds_max = 10,
                             .columns_max = 50,
                             .json_depth_max = 8};
}

int plan_set_up(void **state)
{
    (void)state;
    snapshot = snapshot_fixture();
    pool = pool_create();
    return 0;
}

int plan_tear_down(void **state)
{
    (void)state;
    pool_destroy(pool);
    schema_unref(snapshot);
    return 0;
}

/* ---- requests ---- */

rest_request_t plan_request(rest_action_t action, const char *target, const char *query)
{
    static const rest_media_t json = {.kind = REST_MEDIA_JSON};
    rest_settings_t s = settings();
    rest_request_t r = {.action = action, .schema = STR("api"), .target = str_from_c(target)};
    rest_query_range_t range = {0};
    err_t *err = rest_parse_query(&s, pool, str_from_c(query), action == REST_ACTION_CALL_READ, &r, &range);
    if (err != NULL)
        print_error("%s: %.*s\n", query, STR_ARG(err->message));
    assert_null(err);
    r.range = REST_RANGE_ALL;
    if (range.has_limit_value)
        r.range.limit = range.limit;
    if (range.has_offset_value)
        r.range.offset = range.offset;
    r.accept = &json;
    r.accept_count = 1;
    r.content_type = json;
    return r;
}

void plan_body(rest_request_t *r, const char *json)
{
    rest_body_t kind = rest_check_json(pool, str_from_c(json), 8, &r->columns, &r->column_count);
    r->payload = (rest_payload_t){
        .kind = REST_PAYLOAD_JSON, .text = str_from_c(json), .is_object = kind == REST_BODY_OBJECT};
}

err_t *plan_as(const rest_request_t *r, const char *role, rest_plan_t *out)
{
    rest_settings_t *s = POOL_NEW(pool, rest_settings_t);
    *s = settings();
    identity_t identity = {.role = str_from_c(role)};
    return rest_plan(s, pool, r, snapshot, &identity, out);
}

void assert_text(str_t got, const char *expected)
{
    if (got.len == strlen(expected) && memcmp(got.base, expected, got.len) == 0)
        return;
    print_error("expected: %s\n     got: %.*s\n", expected, STR_ARG(got));
    fail();
}

/* The statement with the parameters behind it: "select .. | a | b". */
str_t plan_shown(const db_stmt_t *stmt)
{
    buf_t out;
    buf_init(&out, pool, 256);
    buf_append_str(&out, stmt->sql);
    for (size_t i = 0; i < stmt->param_count; i++)
        buf_printf(&out, " | %.*s", STR_ARG(stmt->params[i]));
    return buf_str(&out);
}

void assert_sql(const rest_request_t *r, const char *expected)
{
    rest_plan_t plan;
    err_t *err = plan_as(r, "web", &plan);
    if (err != NULL)
        print_error("%.*s\n", STR_ARG(err->message));
    assert_null(err);
    assert_true(plan.stmt_count > 0);
    assert_text(plan_shown(&plan.stmts[plan.stmt_count - 1]), expected);
}

void assert_read(const char *target, const char *query, const char *expected)
{
    rest_request_t r = plan_request(REST_ACTION_READ, target, query);
    assert_sql(&r, expected);
}

err_t *plan_failed(const rest_request_t *r, const char *code)
{
    rest_plan_t plan;
    err_t *err = plan_as(r, "web", &plan);
    assert_non_null(err);
    assert_text(err->code, code);
    return err;
}
