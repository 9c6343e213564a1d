/* Values and rows: what PostgreSQL's own json_agg and COPY would have written. */
#include "rest/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_text(const buf_t *got, const char *expected)
{
    if (!str_eq(buf_str(got), str_from_c(expected)))
        fail_msg("expected %s\n got %.*s", expected, STR_ARG(buf_str(got)));
}

static void values_follow_their_rule(void **state)
{
    (void)state;
    static const struct {
        rest_rule_t rule;
        const char *value, *expected;
    } CASES[] = {
        {REST_RULE_COPY, "{\"a\":1}", "{\"a\":1}"},
        {REST_RULE_COPY, NULL, "null"},
        {REST_RULE_NUMBER, "-1.50", "-1.50"},
        {REST_RULE_NUMBER, "1e+20", "1e+20"},
        {REST_RULE_NUMBER, "NaN", "\"NaN\""},
        {REST_RULE_NUMBER, "-Infinity", "\"-Infinity\""},
        {REST_RULE_BOOL, "t", "true"},
        {REST_RULE_BOOL, "f", "false"},
        {REST_RULE_TIMESTAMP, "2026-01-02 03:04:05", "\"2026-01-02T03:04:05\""},
        {REST_RULE_TIMESTAMP, "2026-01-02 03:04:05.123456+00", "\"2026-01-02T03:04:05.123456+00:00\""},
        {REST_RULE_TIMESTAMP, "2026-01-02 03:04:05-07", "\"2026-01-02T03:04:05-07:00\""},
        {REST_RULE_TIMESTAMP, "2026-01-02 03:04:05+05:30", "\"2026-01-02T03:04:05+05:30\""},
        {REST_RULE_TIMESTAMP, "0044-03-15 12:00:00+00 BC", "\"0044-03-15T12:00:00+00:00 BC\""},
        {REST_RULE_TIMESTAMP, "10000-01-01 00:00:00", "\"10000-01-01T00:00:00\""},
        {REST_RULE_TIMESTAMP, "infinity", "\"infinity\""},
        {REST_RULE_TIMESTAMP, "-infinity", "\"-infinity\""},
        {REST_RULE_QUOTE, "a\"b\\c\n\x01", "\"a\\\"b\\\\c\\n\\u0001\""},
        {REST_RULE_QUOTE, "", "\"\""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        buf_t out;
        buf_init(&out, NULL, 16);
        rest_render_value(&out, CASES[i].rule, str_from_c(CASES[i].value));
        assert_text(&out, CASES[i].expected);
        buf_dispose(&out);
    }
}

static void csv_values_are_quoted_as_rows_are(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {{"plain", "plain"}, {"", "\"\""},           {"a b", "\"a b\""},
                                           {"a,b", "\"a,b\""}, {"q\"q", "\"q\"\"q\""}, {"b\\b", "\"b\\\\b\""},
                                           {"(x)", "\"(x)\""}, {"a\nb", "\"a\nb\""},   {NULL, ""}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        buf_t out;
        buf_init(&out, NULL, 16);
        rest_render_csv_value(&out, str_from_c(CASES[i][0]));
        assert_text(&out, CASES[i][1]);
        buf_dispose(&out);
    }
}

/* Two columns, id int4 and "na\"me" text. */
static void render(const rest_plan_t *plan, size_t rows, const char *expected)
{
    static const db_column_t COLUMNS[] = {{STR("id"), 23}, {STR("na\"me"), 25}};
    static const str_t VALUES[][2] = {{STR("1"), STR("x")}, {STR("2"), STR_NULL}, {STR("3"), STR("y")}};
    pool_t *pool = pool_create();
    buf_t out;
    rest_renderer_t renderer;
    buf_init(&out, pool, 64);
    rest_render_init(&renderer, plan, pool, &out);
    rest_render_columns(&renderer, COLUMNS, 2);
    for (size_t i = 0; i < rows; i++)
        rest_render_row(&renderer, VALUES[i], 2);
    rest_render_end(&renderer);
    assert_text(&out, expected);
    assert_int_equal(renderer.row_count, rows);
    pool_destroy(pool);
}

static void rows_take_the_shape_of_the_plan(void **state)
{
    (void)state;
    rest_plan_t plan = {.format = REST_FORMAT_JSON, .shape = REST_SHAPE_ROWS};
    render(&plan, 0, "[]");
    render(&plan, 1, "[{\"id\":1,\"na\\\"me\":\"x\"}]");
    render(&plan, 2, "[{\"id\":1,\"na\\\"me\":\"x\"}, \n {\"id\":2,\"na\\\"me\":null}]");
    plan.is_null_stripped = true;
    render(&plan, 2, "[{\"id\":1,\"na\\\"me\":\"x\"}, \n {\"id\":2}]");
    plan = (rest_plan_t){.format = REST_FORMAT_JSON, .is_singular = true};
    render(&plan, 1, "{\"id\":1,\"na\\\"me\":\"x\"}");
    plan = (rest_plan_t){.format = REST_FORMAT_JSON, .shape = REST_SHAPE_OBJECT};
    render(&plan, 0, "null");
    plan.shape = REST_SHAPE_SCALAR;
    render(&plan, 0, "null");
    render(&plan, 1, "1");
    plan.shape = REST_SHAPE_SCALARS;
    render(&plan, 3, "[1, 2, 3]");
    plan = (rest_plan_t){.format = REST_FORMAT_CSV};
    render(&plan, 0, "\n");
    render(&plan, 2, "id,na\"me\n1,x\n2,");
    plan.format = REST_FORMAT_NDJSON;
    render(&plan, 2, "{\"id\":1,\"na\\\"me\":\"x\"}\n{\"id\":2,\"na\\\"me\":null}\n");
    render(&plan, 0, "");
}

static void planned_columns_win_over_the_result(void **state)
{
    (void)state;
    static const rest_column_t PLANNED[] = {{STR("a"), REST_RULE_QUOTE}, {STR("b"), REST_RULE_COPY}};
    rest_plan_t plan = {.format = REST_FORMAT_JSON, .columns = PLANNED, .column_count = 2};
    render(&plan, 1, "[{\"a\":\"1\",\"b\":x}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_follow_their_rule),
        cmocka_unit_test(csv_values_are_quoted_as_rows_are),
        cmocka_unit_test(rows_take_the_shape_of_the_plan),
        cmocka_unit_test(planned_columns_win_over_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
