/* Realtime's text handling: JSON slices, both serializers, subscription filters, change records. */
#include "realtime/change_filter.h"
#include "realtime/frame.h"
#include "realtime/inside.h"
#include "realtime/json_slice.h"
#include "realtime/judge.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define assert_str(found, expected) assert_str_at((found), str_from_c(expected), __FILE__, __LINE__)

static void assert_str_at(str_t found, str_t expected, const char *file, int line)
{
    if (!str_eq(found, expected)) {
        print_error("found <%.*s>, expected <%.*s>\n", STR_ARG(found), STR_ARG(expected));
        _fail(file, line);
    }
}

static int set_up(void **state)
{
    *state = pool_create();
    return 0;
}

static int tear_down(void **state)
{
    pool_destroy(*state);
    return 0;
}

static void json_that_is_not_well_formed_is_refused(void **state)
{
    static const char *const good[] = {"{}", " [1,2.5e-3,\"\\u00e9\\n\",null,true,{\"a\":[]}] ", "\"x\"",
                                       "-0", "0.1"};
    static const char *const bad[] = {"",        "{",        "[1,]",    "{\"a\"}",     "{a:1}",
                                      "01",      "1.",       "\"\\x\"", "\"\\u12g4\"", "tru",
                                      "[1] [2]", "\"a\nb\"", "+1",      "-",           "{\"a\":1,}"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(json_slice_is_valid(str_from_c(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(json_slice_is_valid(str_from_c(bad[i])));
}

static void json_that_is_nested_too_deep_is_refused(void **state)
{
    (void)state;
    char text[2 * JSON_SLICE_DEPTH_MAX + 2];
    memset(text, '[', JSON_SLICE_DEPTH_MAX + 1);
    memset(text + JSON_SLICE_DEPTH_MAX + 1, ']', JSON_SLICE_DEPTH_MAX + 1);
    assert_false(json_slice_is_valid(str_make(text, sizeof(text))));
    assert_true(json_slice_is_valid(str_make(text + 1, sizeof(text) - 2)));
}

static void slices_keep_the_text_of_values(void **state)
{
    str_t object = STR(" { \"n\" : 12345678901234567890.10 , \"o\":{\"a\": [1, 2]}, \"n\":1e400 } ");
    assert_str(json_slice_get(object, STR("o")), "{\"a\": [1, 2]}");
    assert_str(json_slice_get(object, STR("n")), "1e400"); /* the last one, as in JSON.parse */
    assert_true(str_is_null(json_slice_get(object, STR("x"))));
    assert_true(str_is_null(json_slice_get(STR("[1]"), STR("x"))));
    assert_str(json_slice_string(*state, STR("\"a\\u00e9\\ud83d\\ude00\\/\\\"\\t\\ud800z\"")),
               "a\xc3\xa9\xf0\x9f\x98\x80/\"\t\xef\xbf\xbdz");
    size_t at = 0;
    str_t item;
    assert_true(json_slice_item(STR("[ [1] , 2]"), &at, &item));
    assert_str(item, "[1]");
    assert_true(json_slice_item(STR("[ [1] , 2]"), &at, &item));
    assert_str(item, "2");
    assert_false(json_slice_item(STR("[ [1] , 2]"), &at, &item));
}

static void both_serializers_are_read(void **state)
{
    rt_message_t message;
    str_t one = STR("{\"topic\":\"realtime:a\",\"event\":\"e\",\"payload\":{\"x\": "
                    "1.0},\"ref\":\"7\",\"join_ref\":\"3\"}");
    assert_true(rt_frame_parse_text(*state, RT_VSN_1, one, &message));
    assert_str(message.topic, "realtime:a");
    assert_str(message.ref, "\"7\"");
    assert_str(message.join_ref, "\"3\"");
    assert_str(message.payload, "{\"x\": 1.0}");
    assert_true(
        rt_frame_parse_text(*state, RT_VSN_2, STR("[null,\"9\",\"phoenix\",\"heartbeat\",{}]"), &message));
    assert_str(message.join_ref, "null");
    assert_str(message.event, "heartbeat");
}

static void frames_that_lack_a_part_are_dropped(void **state)
{
    static const char *const one[] = {"{\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}",
                                      "{\"topic\":\"t\",\"payload\":{},\"ref\":\"1\"}",
                                      "{\"topic\":\"t\",\"event\":\"e\",\"ref\":\"1\"}",
                                      "{\"topic\":\"t\",\"event\":\"e\",\"payload\":{}}",
                                      "{\"topic\":1,\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}",
                                      "[null,\"1\",\"t\",\"e\",{}]"};
    static const char *const two[] = {"[null,\"1\",\"t\",\"e\"]", "[null,\"1\",5,\"e\",{}]", "{}",
                                      "[{},\"1\",\"t\",\"e\",{}]"};
    rt_message_t message;
    for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++)
        assert_false(rt_frame_parse_text(*state, RT_VSN_1, str_from_c(one[i]), &message));
    for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++)
        assert_false(rt_frame_parse_text(*state, RT_VSN_2, str_from_c(two[i]), &message));
}

static void binary_broadcasts_are_read_and_written(void **state)
{
    static const char frame[] = "\x03\x01\x02\x03\x01\x02\x01"
                                "142"
                                "top"
                                "e"
                                "{}"
                                "[1]";
    rt_message_t message;
    assert_true(rt_frame_parse_binary(*state, str_make(frame, sizeof(frame) - 1), &message));
    assert_str(message.topic, "top");
    assert_str(message.user_event, "e");
    assert_str(message.ref, "\"42\"");
    assert_str(message.metadata, "{}");
    assert_str(message.payload, "[1]");
    assert_false(message.is_binary);
    /* every prefix is too short for what it announces, but for those that only shorten the payload */
    for (size_t len = 0; len < sizeof(frame) - 4; len++)
        assert_false(rt_frame_parse_binary(*state, str_make(frame, len), &message));
    buf_t out;
    buf_init(&out, *state, 64);
    assert_true(rt_frame_write_broadcast(&out, STR("t"), STR("e"), STR(""), true, STR("\xff")));
    assert_memory_equal(out.base, "\x04\x01\x01\x00\x00te\xff", 8);
    char name[256];
    memset(name, 'x', sizeof(name));
    assert_false(rt_frame_write_broadcast(&out, str_make(name, 256), STR("e"), STR(""), true, STR("")));
}

static void filters_split_at_commas_outside_quotes_and_parentheses(void **state)
{
    rt_filter_t filter;
    str_t why;
    assert_true(rt_filter_parse(*state, STR("a=eq.x y,b=in.(1,\"2,3\"),c=not.like.\"p,\\\"q\",d=is.null"),
                                &filter, &why));
    assert_int_equal(filter.count, 4);
    assert_str(filter.conds[0].value, "x y");
    assert_str(filter.conds[1].value, "{1,\"2,3\"}");
    assert_str(filter.conds[2].value, "p,\"q");
    assert_true(filter.conds[2].is_negated);
    assert_int_equal(filter.conds[3].op, RT_OP_IS);
    assert_true(rt_filter_parse(*state, STR("  "), &filter, &why));
    assert_int_equal(filter.count, 0);
}

static void bad_filters_are_named_as_the_peer_names_them(void **state)
{
    static const char *const cases[][2] = {
        {"id=foo.hey", "Error parsing `filter` params: [\"foo\", \"hey\"]"},
        {"undefined", "Error parsing `filter` params: [\"undefined\"]"},
        {"id=eq", "Error parsing `filter` params: [\"eq\"]"},
        {"id=is.NULL", "Error parsing `filter` params: [\"is\", \"NULL\"]"},
        {"id=in.1", "Error parsing `filter` params: `in` filter value must be wrapped by parentheses"},
        {"a=eq.1,,b=eq.2",
         "Error parsing `filter` params: filter must not contain empty segments (check for extra commas)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rt_filter_t filter;
        str_t why = STR_NULL;
        assert_false(rt_filter_parse(*state, str_from_c(cases[i][0]), &filter, &why));
        assert_str(why, cases[i][1]);
    }
}

static rt_column_t columns[] = {
    {.name = STR("id"),
     .key = STR("id"),
     .sql = STR("pg_catalog.int4"),
     .base_oid = 23,
     .is_key = true,
     .is_identity = true,
     .is_visible = true},
    {.name = STR("f"), .key = STR("f"), .sql = STR("pg_catalog.float8"), .base_oid = 701, .is_visible = true},
    {.name = STR("b"), .key = STR("b"), .sql = STR("pg_catalog.bytea"), .base_oid = 17, .is_visible = true},
    {.name = STR("s"), .key = STR("s"), .sql = STR("pg_catalog.text"), .base_oid = 25, .is_visible = false},
};
static const rt_table_t table = {
    .columns = columns, .column_count = 4, .key_count = 1, .is_key_visible = true};

static void records_are_cut_and_formatted(void **state)
{
    buf_t out;
    buf_init(&out, *state, 64);
    str_t row = STR("{\"id\":1,\"dropped\":2,\"f\":\"NaN\",\"b\":\"\\\\x6869\",\"s\":\"secret\"}");
    rt_row_write(&out, &table, row, RT_WANT_ALL, SIZE_MAX);
    assert_str(buf_str(&out), "{\"id\":1,\"f\":null,\"b\":\"6869\"}");
    buf_clear(&out);
    rt_row_write(&out, &table, row, RT_WANT_IDENTITY, SIZE_MAX);
    assert_str(buf_str(&out), "{\"id\":1}");
    buf_clear(&out);
    rt_row_write(&out, &table, row, RT_WANT_ALL, 3);
    assert_str(buf_str(&out), "{\"id\":1}");
}

static void filter_sql_holds_no_value_and_quotes_every_name(void **state)
{
    rt_column_t odd = {.name = STR("a\"b"), .key = STR("a\\\"b"), .sql = STR("public.\"T\"")};
    rt_table_t of_odd = {.columns = &odd, .column_count = 1};
    rt_filter_t filter;
    str_t why, params[4];
    assert_true(rt_filter_parse(*state, STR("a\"b=eq.'; drop table x,a\"b=not.in.(1,2)"), &filter, &why));
    const rt_filter_t *filters[] = {&filter};
    buf_t sql;
    buf_init(&sql, *state, 256);
    assert_int_equal(rt_judge_filter_sql(&sql, &of_odd, filters, 1, params), 2);
    assert_str(buf_str(&sql),
               "select e.n, ((r.\"a\"\"b\" = $2::public.\"T\") and not (r.\"a\"\"b\" = any "
               "($3::public.\"T\"[]))) from "
               "pg_catalog.json_array_elements($1::pg_catalog.json) with ordinality as e (j, n), lateral "
               "pg_catalog.json_to_record(e.j) as r (\"a\"\"b\" public.\"T\")");
    assert_str(params[0], "'; drop table x");
    assert_str(params[1], "{1,2}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json_that_is_not_well_formed_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_that_is_nested_too_deep_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slices_keep_the_text_of_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_serializers_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_that_lack_a_part_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(binary_broadcasts_are_read_and_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters_split_at_commas_outside_quotes_and_parentheses, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bad_filters_are_named_as_the_peer_names_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_are_cut_and_formatted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filter_sql_holds_no_value_and_quotes_every_name, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
