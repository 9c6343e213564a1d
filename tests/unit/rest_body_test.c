/* Bodies, media types, preferences and ranges. */
#include "rest/media.h"
#include "rest/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const rest_settings_t SETTINGS = {.json_depth_max = 8};

static str_t join(pool_t *pool, const str_t *names, uint32_t count)
{
    buf_t out;
    buf_init(&out, pool, 64);
    for (uint32_t i = 0; i < count; i++)
        buf_printf(&out, "%s%.*s", i > 0 ? "," : "", STR_ARG(names[i]));
    return buf_str(&out);
}

static void assert_str(str_t got, const char *expected, const char *what)
{
    if (!str_eq(got, str_from_c(expected)))
        fail_msg("`%s`\n  expected %s\n  got      %.*s", what, expected, STR_ARG(got));
}

static void json_bodies_are_checked_and_their_keys_collected(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        rest_body_t body;
        const char *keys;
    } CASES[] = {
        {"{\"b\":1,\"a\":[{\"x\":{}}],\"a\":null}", REST_BODY_OBJECT, "a,b"},
        {" [ {\"a\":1,\"b\":2} , {\"b\":1,\"a\":2} ] ", REST_BODY_ARRAY, "a,b"},
        {"[{\"\\u0061\":1},{\"a\":2}]", REST_BODY_ARRAY, "a"},
        {"[{\"a\":1},{\"b\":2}]", REST_BODY_UNEVEN, "a"},
        {"[{\"a\":1},{\"a\":2,\"b\":2}]", REST_BODY_UNEVEN, "a"},
        {"[1]", REST_BODY_UNEVEN, ""},
        {"[{},1]", REST_BODY_UNEVEN, ""},
        {"[]", REST_BODY_EMPTY, ""},
        {"5", REST_BODY_EMPTY, ""},
        {"null", REST_BODY_EMPTY, ""},
        {"{}", REST_BODY_OBJECT, ""},
        {"-0.5e+3", REST_BODY_EMPTY, ""},
        {"\"\\ud83d\\ude00\"", REST_BODY_EMPTY, ""},
        {"", REST_BODY_INVALID, ""},
        {"{", REST_BODY_INVALID, ""},
        {"{\"a\":}", REST_BODY_INVALID, ""},
        {"{\"a\":1,}", REST_BODY_INVALID, ""},
        {"[{\"a\":1}", REST_BODY_INVALID, ""},
        {"[{}] x", REST_BODY_INVALID, ""},
        {"01", REST_BODY_INVALID, ""},
        {"1.", REST_BODY_INVALID, ""},
        {"1e", REST_BODY_INVALID, ""},
        {"\"\\x\"", REST_BODY_INVALID, ""},
        {"\"\\u12\"", REST_BODY_INVALID, ""},
        {"\"a\nb\"", REST_BODY_INVALID, ""},
        {"\"\xff\"", REST_BODY_INVALID, ""},
        {"tru", REST_BODY_INVALID, ""},
        {"[[[[[[[[[1]]]]]]]]]", REST_BODY_INVALID, ""},
        {"[[[[[[[[1]]]]]]]]", REST_BODY_UNEVEN, ""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        pool_t *pool = pool_create();
        const str_t *keys;
        uint32_t count;
        rest_body_t body =
            rest_check_json(pool, str_from_c(CASES[i].text), SETTINGS.json_depth_max, &keys, &count);
        if (body != CASES[i].body)
            fail_msg("`%s`: expected %d, got %d", CASES[i].text, CASES[i].body, body);
        if (body != REST_BODY_INVALID)
            assert_str(join(pool, keys, count), CASES[i].keys, CASES[i].text);
        pool_destroy(pool);
    }
}

static void every_cut_of_a_json_body_is_invalid(void **state)
{
    (void)state;
    str_t whole = STR("[{\"a\\u00e9\\ud83d\\ude00\":[1.5e-3,true,null,{\"b\":\"\\\\\"}]},{\"x\":\"y\"}]");
    for (size_t len = 0; len < whole.len; len++) {
        pool_t *pool = pool_create();
        const str_t *keys;
        uint32_t count;
        str_t cut = pool_str(pool, str_slice(whole, 0, len));
        assert_int_equal(rest_check_json(pool, cut, 8, &keys, &count), REST_BODY_INVALID);
        pool_destroy(pool);
    }
}

static void csv_becomes_json(void **state)
{
    (void)state;
    static const struct {
        const char *csv, *json; /* NULL: malformed */
    } CASES[] = {
        {"a,b\n1,2\n3,4\n", "[{\"a\":\"1\",\"b\":\"2\"},{\"a\":\"3\",\"b\":\"4\"}]"},
        {"a,b\r\n1,NULL\r\n", "[{\"a\":\"1\",\"b\":null}]"},
        {"a\n\"x,\"\"y\"\"\nz\"", "[{\"a\":\"x,\\\"y\\\"\\nz\"}]"},
        {"a,b\n1\n", "[{\"a\":\"1\"}]"},
        {"a\n\"\"\n\nx", "[{\"a\":\"x\"}]"},
        {"a,b\n,\n", "[{\"a\":\"\",\"b\":\"\"}]"},
        {"a", "[]"},
        {"a\n,,\n1,2\n", "[{\"a\":\"\"},{\"a\":\"1\"}]"},
        {"a,b\n\"\",\"\"\"\"\n", "[{\"a\":\"\",\"b\":\"\\\"\"}]"},
        {"a\n\"x\"\"\"\n", "[{\"a\":\"x\\\"\"}]"},
        {"", NULL},
        {"a\nx\"y\n", NULL},
        {"a\n\"x\n", NULL},
        {"a\n\"x\"y\n", NULL},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        pool_t *pool = pool_create();
        str_t json = rest_csv_to_json(pool, str_from_c(CASES[i].csv));
        if (CASES[i].json == NULL)
            assert_true(str_is_null(json));
        else
            assert_str(json, CASES[i].json, CASES[i].csv);
        pool_destroy(pool);
    }
}

/* A million times `unit` behind `head`. */
static str_t repeated(pool_t *pool, const char *head, const char *unit)
{
    size_t len = strlen(unit), count = 1000000 / len;
    buf_t out;
    buf_init(&out, pool, 1000100);
    buf_append(&out, head, strlen(head));
    for (size_t i = 0; i < count; i++)
        buf_append(&out, unit, len);
    return buf_str(&out);
}

static void a_hostile_body_costs_no_many_times_its_size(void **state)
{
    (void)state;
    static const char *const UNITS[] = {"&", "a&", "=&", "%41", "+", ";"};
    static const char *const LINES[][2] = {
        {"a,b\n", ","}, {"a,b\n", "\"\","}, {"a\n", "\"\"\"\"\n"}, {"a\n", "\n"}, {"a\n", "\"a\",\"\"\n"}};
    pool_t *texts = pool_create();
    uint32_t count;
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        pool_t *pool = pool_create();
        rest_parse_form(pool, repeated(texts, "", UNITS[i]), 1000, &count);
        assert_in_range(count, 1, 1001);
        assert_in_range(pool_used(pool), 0, 3000000);
        pool_destroy(pool);
    }
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        pool_t *pool = pool_create();
        assert_false(str_is_null(rest_csv_to_json(pool, repeated(texts, LINES[i][0], LINES[i][1]))));
        assert_in_range(pool_used(pool), 0, 17000000);
        pool_destroy(pool);
    }
    static const char *const VALUES[] = {"[", "{\"a\":", "1", "\"", "[1,", "\\"};
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        pool_t *pool = pool_create();
        const str_t *keys;
        rest_check_json(pool, repeated(texts, "", VALUES[i]), 64, &keys, &count);
        assert_in_range(pool_used(pool), 0, 1000000);
        pool_destroy(pool);
    }
    pool_destroy(texts);
}

static void payload_depends_on_content_type_and_action(void **state)
{
    (void)state;
    static const struct {
        rest_action_t action;
        const char *type, *body, *expected;
    } CASES[] = {
        {REST_ACTION_CREATE, "application/json", "[{\"a\":1}]", "json [{\"a\":1}] (a)"},
        {REST_ACTION_CREATE, "application/json", "", "PGRST102 Empty or invalid json"},
        {REST_ACTION_CREATE, "application/json", "[{\"a\":1},{}]", "PGRST102 All object keys must match"},
        {REST_ACTION_CREATE, "application/json", "7", "json [] ()"},
        {REST_ACTION_CALL, "application/json", "", "json object {} ()"},
        {REST_ACTION_CREATE, "text/csv", "a,b\n1\n2,3", "PGRST102 All lines must have same number of fields"},
        {REST_ACTION_CREATE, "application/x-www-form-urlencoded", "b=1&a=x%20y&b=2",
         "json object {\"a\":\"x y\",\"b\":\"2\"} (a,b)"},
        {REST_ACTION_CALL, "application/x-www-form-urlencoded", "b=1&a=2&b=3", "form b=1&a=2&b=3 (a,b)"},
        {REST_ACTION_CALL, "text/plain", "hello", "raw hello ()"},
        {REST_ACTION_CREATE, "text/plain", "hello", "PGRST102 Content-Type not acceptable: text/plain"},
        {REST_ACTION_CREATE, "Application/JSON; charset=utf-8", "{\"a\":1}", "json object {\"a\":1} (a)"},
        {REST_ACTION_DELETE, "application/json", "nonsense", "none ()"},
        {REST_ACTION_READ, "application/json", "nonsense", "none ()"},
    };
    static const char *const KINDS[] = {"none", "json", "raw-json", "form", "raw"};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        pool_t *pool = pool_create();
        rest_request_t request = {.action = CASES[i].action};
        request.content_type = rest_media_parse(pool, str_from_c(CASES[i].type));
        err_t *err = rest_parse_payload(&SETTINGS, pool, str_from_c(CASES[i].body), &request);
        const rest_payload_t *payload = &request.payload;
        str_t got = err != NULL ? pool_printf(pool, "%.*s %.*s", STR_ARG(err->code), STR_ARG(err->message))
                                : pool_printf(pool, "%s%s%s%.*s (%.*s)", KINDS[payload->kind],
                                              payload->is_object ? " object" : "",
                                              payload->text.len > 0 ? " " : "", STR_ARG(payload->text),
                                              STR_ARG(join(pool, request.columns, request.column_count)));
        assert_str(got, CASES[i].expected, CASES[i].body);
        pool_destroy(pool);
    }
}

static void media_types_are_recognised_with_their_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *text, *mime;
    } CASES[] = {
        {"application/json", "application/json; charset=utf-8"},
        {"text/csv;q=1", "text/csv; charset=utf-8"},
        {"*/*", "*/*; charset=utf-8"},
        {"ApplicatIon/vnd.PgRsT.object+json", "application/vnd.pgrst.object+json; charset=utf-8"},
        {"application/vnd.pgrst.object+json;nulls=stripped",
         "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"},
        {"application/vnd.pgrst.array+json;nulls=stripped",
         "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
        {"application/vnd.pgrst.array", "application/json; charset=utf-8"},
        {"application/octet-stream", "application/octet-stream"},
        {"application/vnd.twkb", "application/vnd.twkb"},
        {"image/png; x=\"y\"", "image/png; x=\"y\""},
        {"nonsense", "nonsense"},
        {"application/vnd.pgrst.plan",
         "application/vnd.pgrst.plan+text; for=\"application/json\"; charset=utf-8"},
        {"application/vnd.pgrst.plan+json ; for=\"text/xml\" ; options=wal|analyze|nothing",
         "application/vnd.pgrst.plan+json; for=\"text/xml\"; options=analyze|wal; charset=utf-8"},
        {"application/vnd.pgrst.plan;for=\"application/vnd.pgrst.plan;for=x\"",
         "application/vnd.pgrst.plan+text; for=\"application/json\"; charset=utf-8"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        pool_t *pool = pool_create();
        rest_media_t media = rest_media_parse(pool, str_from_c(CASES[i].text));
        assert_str(rest_media_content_type(pool, &media), CASES[i].mime, CASES[i].text);
        pool_destroy(pool);
    }
}

static void accept_orders_by_quality_then_specificity(void **state)
{
    (void)state;
    static const struct {
        const char *header, *expected;
    } CASES[] = {
        {"text/csv, application/json", "text/csv,application/json"},
        {"text/csv;q=0.5, application/json;q=0.9", "application/json,text/csv"},
        {"*/*, text/csv", "text/csv,*/*"},
        {"text/html,application/xml;q=0.9,*/*;q=0.8", "text/html,application/xml,*/*"},
        {"", "*/*"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        pool_t *pool = pool_create();
        uint32_t count;
        const rest_media_t *accept = rest_media_accept(pool, str_from_c(CASES[i].header), &count);
        str_t *names = POOL_ARRAY(pool, str_t, count);
        for (uint32_t j = 0; j < count; j++)
            names[j] = rest_media_mime(pool, &accept[j]);
        assert_str(join(pool, names, count), CASES[i].expected, CASES[i].header);
        pool_destroy(pool);
    }
}

static void the_first_of_equal_preferences_counts(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    const str_t values[] = {
        STR("return=representation , count=exact,tx=rollback, odd, max-affected=7"),
        STR("return=minimal,timezone=UTC,handling=strict,missing=default,resolution=ignore-duplicates,x=y")};
    rest_preferences_t prefer;
    rest_parse_preferences(true, pool, values, 2, &prefer);
    assert_int_equal(prefer.ret, REST_RETURN_FULL);
    assert_int_equal(prefer.count, REST_COUNT_EXACT);
    assert_int_equal(prefer.tx, REST_TX_ROLLBACK);
    assert_int_equal(prefer.handling, REST_HANDLING_STRICT);
    assert_int_equal(prefer.missing, REST_MISSING_DEFAULT);
    assert_int_equal(prefer.resolution, REST_RESOLUTION_IGNORE);
    assert_true(prefer.has_max_affected);
    assert_int_equal(prefer.max_affected, 7);
    assert_str(prefer.timezone, "UTC", "timezone");
    assert_str(join(pool, prefer.invalid, prefer.invalid_count), "odd,x=y", "invalid");
    rest_parse_preferences(false, pool, values, 1, &prefer);
    assert_int_equal(prefer.tx, REST_TX_NONE);
    pool_destroy(pool);
}

static void ranges_of_query_and_header_meet(void **state)
{
    (void)state;
    static const struct {
        const char *limit, *offset, *header; /* NULL: absent */
        rest_action_t action;
        const char *expected;
    } CASES[] = {
        {NULL, NULL, NULL, REST_ACTION_READ, "0,-1"},
        {"5", NULL, NULL, REST_ACTION_READ, "0,5"},
        {"5", "10", NULL, REST_ACTION_READ, "10,5"},
        {NULL, "10", NULL, REST_ACTION_READ, "10,-1"},
        {"0", NULL, NULL, REST_ACTION_READ, "0,0"},
        {"x", NULL, NULL, REST_ACTION_READ, "0,-1"},
        {NULL, NULL, "0-9", REST_ACTION_READ, "0,10"},
        {NULL, NULL, "5-", REST_ACTION_READ, "5,-1"},
        {"3", "2", "0-9", REST_ACTION_READ, "2,3"},
        {"20", "5", "0-9", REST_ACTION_READ, "5,5"},
        {NULL, NULL, "items=0-9", REST_ACTION_READ, "0,-1"},
        {NULL, NULL, "0-9223372036854775807", REST_ACTION_READ, "0,-1"},
        {NULL, NULL, "1-9223372036854775807", REST_ACTION_READ, "1,9223372036854775807"},
        {NULL, NULL, "9-1", REST_ACTION_READ, "PGRST103 lower"},
        {"-1", NULL, NULL, REST_ACTION_READ, "PGRST103 Limit"},
        {"1", NULL, NULL, REST_ACTION_UPSERT, "PGRST114 "},
        {"9223372036854775807", "9223372036854775807", NULL, REST_ACTION_READ, "9223372036854775807,-1"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        pool_t *pool = pool_create();
        rest_request_t request = {.action = CASES[i].action};
        rest_query_range_t query = {.has_limit = CASES[i].limit != NULL,
                                    .has_offset = CASES[i].offset != NULL};
        query.has_limit_value = query.has_limit && str_to_int64(str_from_c(CASES[i].limit), &query.limit);
        query.has_offset_value = query.has_offset && str_to_int64(str_from_c(CASES[i].offset), &query.offset);
        err_t *err = rest_parse_range(pool, &query, str_from_c(CASES[i].header), &request);
        str_t got = err == NULL ? pool_printf(pool, "%lld,%lld", (long long)request.range.offset,
                                              (long long)request.range.limit)
                                : pool_printf(pool, "%.*s %s", STR_ARG(err->code),
                                              str_is_null(err->details) ? ""
                                              : str_find(err->details, STR("lower boundary"), 0) == SIZE_MAX
                                                  ? "Limit"
                                                  : "lower");
        assert_str(got, CASES[i].expected, CASES[i].header != NULL ? CASES[i].header : "query");
        pool_destroy(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_bodies_are_checked_and_their_keys_collected),
        cmocka_unit_test(every_cut_of_a_json_body_is_invalid),
        cmocka_unit_test(csv_becomes_json),
        cmocka_unit_test(a_hostile_body_costs_no_many_times_its_size),
        cmocka_unit_test(payload_depends_on_content_type_and_action),
        cmocka_unit_test(media_types_are_recognised_with_their_parameters),
        cmocka_unit_test(accept_orders_by_quality_then_specificity),
        cmocka_unit_test(the_first_of_equal_preferences_counts),
        cmocka_unit_test(ranges_of_query_and_header_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
