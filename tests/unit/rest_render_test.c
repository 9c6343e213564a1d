/* Values and rows: what PostgreSQL's own json_agg and COPY would have written. */
#include "rest/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
        {REST_RULE_TIMESTAMP, "2026-01-02 03:04:05+00", "\"2026-01-02T03:04:05+00:00\""},
        {REST_RULE_TIMESTAMP, "2026-01-02 03:04:05.5+00 BC", "\"2026-01-02T03:04:05.5+00:00 BC\""},
        {REST_RULE_TIMESTAMP, "10000-01-01 00:00:00.5-03", "\"10000-01-01T00:00:00.5-03:00\""},
        {REST_RULE_TIMESTAMP, "infinity", "\"infinity\""},
        {REST_RULE_TIMESTAMP, "-infinity", "\"-infinity\""},
        {REST_RULE_QUOTE, "a\"b\\c\n\x01", "\"a\\\"b\\\\c\\n\\u0001\""},
        {REST_RULE_QUOTE, "", "\"\""},
        {REST_RULE_TEXTS, "{}", "[]"},
        {REST_RULE_TEXTS, "{a,NULL,\"NULL\",\"\"}", "[\"a\",null,\"NULL\",\"\"]"},
        {REST_RULE_TEXTS, "{\"a,b\",\"{}\",\"say \\\"x\\\"\",\"\\\\\"}",
         "[\"a,b\",\"{}\",\"say \\\"x\\\"\",\"\\\\\"]"},
        {REST_RULE_TEXTS, "[0:1][2:2]={{a},{\"b c\"}}", "[[\"a\"],[\"b c\"]]"},
        {REST_RULE_TEXTS, "{\"line\nend\",\xc3\xa4}", "[\"line\\nend\",\"\xc3\xa4\"]"},
        {REST_RULE_TEXTS, "{\"", "[\"\""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        buf_t out;
        buf_init(&out, NULL, 16);
        rest_render_value(&out, CASES[i].rule, str_from_c(CASES[i].value));
        assert_text(&out, CASES[i].expected);
        buf_dispose(&out);
    }
}

/* Texts of every length up to three blocks, with an escape at every place or none: as written byte by byte.
 */
static void an_escape_is_found_at_every_place(void **state)
{
    (void)state;
    static const struct {
        char byte;
        const char *escaped;
    } ESCAPES[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\x1f', "\\u001f"}};
    for (size_t len = 0; len <= 48; len++) {
        for (size_t at = 0; at <= len; at++) {
            char text[49], expected[64];
            size_t expected_len = 0;
            expected[expected_len++] = '"';
            for (size_t i = 0; i < len; i++) {
                text[i] = i == at ? ESCAPES[at % 4].byte : (char)(i % 2 == 0 ? 0x20 + i : 0xc3);
                if (text[i] == '"' && i != at)
                    text[i] = '!';
                const char *piece = ESCAPES[at % 4].escaped;
                if (i != at)
                    expected[expected_len++] = text[i];
                else
                    for (; *piece != '\0'; piece++)
                        expected[expected_len++] = *piece;
            }
            expected[expected_len++] = '"';
            expected[expected_len] = '\0';
            char *exact = malloc(len > 0 ? len : 1); /* a read beyond its end is seen */
            memcpy(exact, text, len);
            buf_t out;
            buf_init(&out, NULL, 1);
            rest_render_value(&out, REST_RULE_QUOTE, str_make(exact, len));
            assert_text(&out, expected);
            buf_dispose(&out);
            free(exact);
        }
    }
}

/* Rows that need more room than their text: escapes in some values, long ones beside short ones. */
static void rows_with_escapes_keep_their_other_values(void **state)
{
    (void)state;
    enum { LONG = 5000, PLAIN = 300000 };
    pool_t *pool = pool_create();
    rest_plan_t plan = {.format = REST_FORMAT_NDJSON};
    rest_renderer_t renderer;
    buf_t out, expected;
    char *controls = malloc(LONG), *plain = malloc(PLAIN);
    memset(controls, 1, LONG);
    memset(plain, 'p', PLAIN);
    buf_init(&out, NULL, 1);
    buf_init(&expected, NULL, 1);
    const db_column_t columns[] = {
        {STR("a\"b"), 25}, {STR("n"), 23}, {STR("at"), 1184}, {STR("z"), 25}, {STR(""), 16}};
    const str_t values[] = {str_make(controls, LONG), STR("-12"), STR("2026-01-02 03:04:05.123456+00"),
                            str_make(plain, PLAIN), STR("t")};
    buf_append_lit(&expected, "{\"a\\\"b\":\"");
    for (size_t i = 0; i < LONG; i++)
        buf_append_lit(&expected, "\\u0001");
    buf_append_lit(&expected, "\",\"n\":-12,\"at\":\"2026-01-02T03:04:05.123456+00:00\",\"z\":\"");
    buf_append(&expected, plain, PLAIN);
    buf_append_lit(&expected, "\",\"\":true}\n");
    buf_append_char(&expected, '\0');
    rest_render_init(&renderer, &plan, pool, NULL);
    rest_render_columns(&renderer, columns, 5);
    rest_render_row(&renderer, &out, values, 5);
    assert_text(&out, expected.base);
    buf_dispose(&out);
    buf_dispose(&expected);
    free(controls);
    free(plain);
    pool_destroy(pool);
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
    rest_render_init(&renderer, plan, pool, NULL);
    rest_render_columns(&renderer, COLUMNS, 2);
    for (size_t i = 0; i < rows; i++)
        rest_render_row(&renderer, &out, VALUES[i], 2);
    rest_render_end(&renderer, &out);
    assert_text(&out, expected);
    assert_int_equal(renderer.row_count, rows);
    pool_destroy(pool);
}

static void kept_columns_serve_only_their_own_result(void **state)
{
    (void)state;
    static const db_column_t COLUMNS[][2] = {{{STR("id"), 23}, {STR("name"), 25}},
                                             {{STR("id"), 23}, {STR("nama"), 25}},
                                             {{STR("id"), 25}, {STR("name"), 25}},
                                             {{STR("id"), 23}, {STR("name"), 25}}};
    static const char *const EXPECTED[] = {"{\"id\":1,\"name\":\"x\"}\n", "{\"id\":1,\"nama\":\"x\"}\n",
                                           "{\"id\":\"1\",\"name\":\"x\"}\n", "{\"id\":1,\"name\":\"x\"}\n"};
    static const str_t VALUES[] = {STR("1"), STR("x")};
    rest_plan_t plan = {.format = REST_FORMAT_NDJSON};
    pool_t *pool = pool_create();
    rest_columns_memo_t memo = {.pool = pool};
    const rest_columns_t *first = NULL;
    for (size_t i = 0; i < 4; i++) {
        pool_t *own = pool_create();
        buf_t out;
        rest_renderer_t renderer;
        buf_init(&out, own, 64);
        rest_render_init(&renderer, &plan, own, &memo);
        rest_render_columns(&renderer, COLUMNS[i], 2);
        rest_render_row(&renderer, &out, VALUES, 2);
        assert_text(&out, EXPECTED[i]);
        first = i == 0 ? renderer.columns : first;
        assert_int_equal(renderer.columns == first, i == 0 || i == 3);
        pool_destroy(own);
    }
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
        cmocka_unit_test(an_escape_is_found_at_every_place),
        cmocka_unit_test(rows_with_escapes_keep_their_other_values),
        cmocka_unit_test(csv_values_are_quoted_as_rows_are),
        cmocka_unit_test(kept_columns_serve_only_their_own_result),
        cmocka_unit_test(rows_take_the_shape_of_the_plan),
        cmocka_unit_test(planned_columns_win_over_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
