#include "base/emit.h"
#include "base/map.h"
#include "base/match.h"
#include "base/pool.h"
#include "base/read_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_str(str_t got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.base, expected, got.len);
}

/* --- str --- */

static void comparisons_know_lengths_and_case(void **state)
{
    (void)state;
    assert_true(str_eq_nocase(STR("Content-Type"), STR("cONTENT-tYPE")));
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_false(str_eq_nocase(STR("[\\]"), STR("{|}"))); /* not letters, though 32 apart */
    assert_true(str_eq(STR_NULL, STR("")));
    assert_true(str_cmp(STR("ab"), STR("abc")) < 0);
    assert_true(str_cmp(STR("b"), STR("abc")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR(""), STR_NULL), 0);
    assert_true(str_starts_with(STR("abc"), STR("ab")));
    assert_false(str_starts_with(STR("a"), STR("ab")));
    assert_true(str_ends_with(STR("abc"), STR("bc")));
    assert_true(str_ends_with(STR(""), STR("")));
}

static void searching_stays_inside(void **state)
{
    (void)state;
    assert_int_equal(str_find_char(STR("a.b.c"), '.', 2), 3);
    assert_int_equal(str_find_char(STR("abc"), 'x', 0), SIZE_MAX);
    assert_int_equal(str_find_char(STR("abc"), 'a', 99), SIZE_MAX);
    assert_int_equal(str_find_char(STR_NULL, 'a', 0), SIZE_MAX);
    assert_int_equal(str_find(STR("hay needle"), STR("needle"), 0), 4);
    assert_int_equal(str_find(STR("aaa"), STR("aa"), 2), SIZE_MAX);
    assert_int_equal(str_find(STR("aaa"), STR(""), 3), 3);
    assert_int_equal(str_find(STR_NULL, STR("x"), 0), SIZE_MAX);
    assert_str(str_slice(STR("hello"), 1, 3), "el");
    assert_str(str_slice(STR("hello"), 4, 99), "o");
    assert_str(str_slice(STR("hello"), 9, 2), "");
    assert_str(str_trim(STR(" \t\r\n x y \v")), "x y");
    assert_str(str_trim(STR("   ")), "");
}

static void splitting_tells_an_empty_rest_from_none(void **state)
{
    (void)state;
    str_t rest = STR("a,,b,");
    assert_str(str_split(&rest, ','), "a");
    assert_str(str_split(&rest, ','), "");
    assert_str(str_split(&rest, ','), "b");
    assert_false(str_is_null(rest));
    assert_str(str_split(&rest, ','), "");
    assert_true(str_is_null(rest));
}

static void integers_are_read_to_their_very_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
        int64_t value;
    } cases[] = {{"0", true, 0},
                 {"+7", true, 7},
                 {"-12", true, -12},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775808", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"", false, 0},
                 {"-", false, 0},
                 {" 1", false, 0},
                 {"1 ", false, 0},
                 {"0x1", false, 0},
                 {"1.0", false, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 0;
        assert_int_equal(str_to_int64(str_from_c(cases[i].text), &value), cases[i].is_good);
        if (cases[i].is_good)
            assert_int_equal(value, cases[i].value);
    }
}

static void only_well_formed_utf8_passes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {{"", true},
                 {"plain ascii, longer than a word of eight", true},
                 {"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true},
                 {"1234567\xe2\x82\xac", true}, /* across the word boundary */
                 {"1234567\xe2\x82", false},
                 {"\x80", false},
                 {"\xc0\x80", false},
                 {"\xc1\xbf", false},
                 {"\xe0\x9f\xbf", false},
                 {"\xed\xa0\x80", false},
                 {"\xed\xbf\xbf", false},
                 {"\xf0\x8f\xbf\xbf", false},
                 {"\xf4\x90\x80\x80", false},
                 {"\xf5\x80\x80\x80", false},
                 {"\xff", false},
                 {"ok \xe2\x28\xa1", false},
                 {"12345678\xf0\x9f\x98", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(str_is_utf8(str_from_c(cases[i].text)), cases[i].is_good);
    assert_true(str_is_utf8(STR("a\0b")));
}

static void uuids_have_one_form(void **state)
{
    (void)state;
    assert_true(str_is_uuid(STR("0E37DF36-f698-11e6-8dd4-cb9ced3df976")));
    assert_false(str_is_uuid(STR("0e37df36-f698-11e6-8dd4-cb9ced3df97")));
    assert_false(str_is_uuid(STR("0e37df36f-698-11e6-8dd4-cb9ced3df976")));
    assert_false(str_is_uuid(STR("0e37df36-f698-11e6-8dd4-cb9ced3df97g")));
}

/* --- pool and buf --- */

typedef struct {
    pool_t *pool;
    int order[8];
    int count;
} disposals_t;

static void note_first(void *arg)
{
    disposals_t *d = arg;
    d->order[d->count++] = 1;
}

static void note_second(void *arg)
{
    disposals_t *d = arg;
    d->order[d->count++] = 2;
    pool_on_dispose(d->pool, note_first, d); /* registered while disposing: still run */
    assert_str(pool_printf(d->pool, "%d", 5), "5");
}

static void disposers_run_newest_first(void **state)
{
    (void)state;
    disposals_t d = {.pool = pool_create()};
    pool_on_dispose(d.pool, note_first, &d);
    pool_on_dispose(d.pool, note_second, &d);
    pool_destroy(d.pool);
    pool_destroy(NULL);
    assert_int_equal(d.count, 3);
    assert_int_equal(d.order[0], 2);
    assert_int_equal(d.order[1], 1);
    assert_int_equal(d.order[2], 1);
}

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    enum { COUNT = 300 };
    unsigned char *pieces[COUNT];
    size_t sizes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = i % 50 == 0 ? i * 700 : (i * 37) % 900;
        pieces[i] = pool_alloc(pool, sizes[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 0xff), sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(pieces[i][b], i & 0xff);
    char *zeroed = pool_calloc(pool, 100, 100);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(zeroed[i], 0);
    assert_true(pool_used(pool) > 10000);
    pool_destroy(pool);
}

static void texts_in_a_pool_end_with_zero(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    str_t copy = pool_str(pool, str_make("abcdef", 3));
    assert_string_equal(copy.base, "abc");
    assert_true(str_is_null(pool_str(pool, STR_NULL)));
    assert_string_equal(pool_concat(pool, 4, STR("a"), STR_NULL, STR("bc"), STR("")).base, "abc");
    assert_string_equal(pool_lower(pool, STR("@AZaz[\xc3\x84")).base, "@azaz[\xc3\x84");
    assert_string_equal(pool_upper(pool, STR("`AZaz{\xc3\xa4")).base, "`AZAZ{\xc3\xa4");
    char wide[2000];
    memset(wide, 'w', sizeof(wide));
    str_t printed = pool_printf(pool, "<%.*s>", 1999, wide);
    assert_int_equal(printed.len, 2001);
    assert_int_equal(printed.base[2000], '>');
    pool_destroy(pool);
}

static void buffers_grow_on_pool_and_heap_alike(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    pool_t *homes[] = {pool, NULL};
    for (int h = 0; h < 2; h++) {
        buf_t buf;
        buf_init(&buf, homes[h], 0);
        buf_append_lit(&buf, "n=");
        buf_append_int(&buf, INT64_MIN);
        buf_append_char(&buf, ' ');
        buf_append_int(&buf, 0);
        buf_printf(&buf, " %s %0100d", "x", 7);
        assert_int_equal(buf.len, 2 + 20 + 1 + 1 + 3 + 100);
        assert_memory_equal(buf.base, "n=-9223372036854775808 0 x 000", 30);
        size_t len;
        char *bytes = buf_take(&buf, &len);
        assert_int_equal(len, 127);
        assert_int_equal(bytes[127], 0);
        assert_int_equal(buf.len, 0);
        if (homes[h] == NULL)
            free(bytes);
        buf_append_str(&buf, STR_NULL);
        assert_int_equal(buf_str(&buf).len, 0);
        buf_dispose(&buf);
    }
    pool_destroy(pool);
}

/* --- emit --- */

/* The plainest escaper, to compare with. */
static void reference_escape(buf_t *out, str_t value)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        const char *at = strchr("\"\\\b\f\n\r\t", c);
        if (c != 0 && at != NULL)
            buf_printf(out, "\\%c", "\"\\bfnrt"[at - "\"\\\b\f\n\r\t"]);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static void check_escape(str_t value)
{
    buf_t got, expected;
    buf_init(&got, NULL, 0);
    buf_init(&expected, NULL, 0);
    emit_json_string(&got, value);
    reference_escape(&expected, value);
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.base, expected.base, got.len);
    buf_dispose(&got);
    buf_dispose(&expected);
}

static void every_byte_is_escaped_right_at_every_place(void **state)
{
    (void)state;
    char text[40];
    for (size_t len = 1; len <= sizeof(text); len += 3) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(text, 'm', len);
                text[at] = (char)c;
                char *exact = malloc(len); /* so that a read past the end is seen */
                memcpy(exact, text, len);
                check_escape(str_make(exact, len));
                free(exact);
            }
        }
    }
    check_escape(STR(""));
    check_escape(STR_NULL);
}

static void random_strings_are_escaped_as_by_the_reference(void **state)
{
    (void)state;
    uint32_t seed = 99;
    char text[400];
    for (int round = 0; round < 3000; round++) {
        seed = seed * 1664525 + 1013904223;
        size_t len = (seed >> 8) % sizeof(text);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = (seed >> 28) == 0 ? (char)(seed >> 8) % 34 : (char)(seed >> 16);
        }
        check_escape(str_make(text, len));
    }
}

static void the_writer_places_commas(void **state)
{
    (void)state;
    buf_t out;
    buf_init(&out, NULL, 0);
    emit_t emit;
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "s", STR("a\"b"));
    emit_kv_string(&emit, "none", STR_NULL);
    emit_key(&emit, STR("list"));
    emit_array_begin(&emit);
    emit_int(&emit, -1);
    emit_bool(&emit, true);
    emit_array_begin(&emit);
    emit_array_end(&emit);
    emit_object_begin(&emit);
    emit_kv_int(&emit, "k", 1);
    emit_kv_bool(&emit, "f", false);
    emit_object_end(&emit);
    emit_double(&emit, 0.1);
    emit_double(&emit, 1e300);
    emit_double(&emit, 0.0 / 0.0);
    emit_double(&emit, 5);
    emit_array_end(&emit);
    emit_kv_raw(&emit, "raw", STR("{\"x\":1}"));
    emit_kv_null(&emit, "end");
    emit_object_end(&emit);
    assert_str(
        buf_str(&out),
        "{\"s\":\"a\\\"b\",\"none\":null,\"list\":[-1,true,[],{\"k\":1,\"f\":false},0.1,1e+300,null,5],"
        "\"raw\":{\"x\":1},\"end\":null}");
    buf_dispose(&out);
}

/* --- read_json --- */

static unsigned status_of(const char *text, const read_json_limits_t *limits)
{
    pool_t *pool = pool_create();
    json_t *value;
    err_t *err = read_json(pool, str_from_c(text), limits, &value);
    unsigned status = err != NULL ? err->status : 200;
    assert_int_equal(value == NULL, err != NULL);
    pool_destroy(pool);
    return status;
}

static void json_is_read_within_its_caps(void **state)
{
    (void)state;
    const read_json_limits_t tight = {.size_max = 20, .depth_max = 3, .nodes_max = 5};
    assert_int_equal(status_of("{\"a\":[{}]}", &tight), 200);
    assert_int_equal(status_of("{\"a\":[{\"b\":[]}]}", &tight), 400);
    assert_int_equal(status_of("[1,2,3,4,5]", &tight), 413);
    assert_int_equal(status_of("[1,2,3,4]", &tight), 200);
    assert_int_equal(status_of("[\"[[[[[[[[,,,,\"]", &tight), 200); /* brackets in strings do not count */
    assert_int_equal(status_of("[\"\\\"[[[[\"]", &tight), 200);
    assert_int_equal(status_of("[                    ]", &tight), 413);
    const read_json_limits_t any = {.any_value = true};
    assert_int_equal(status_of("3", NULL), 400);
    assert_int_equal(status_of("3", &any), 200);
    assert_int_equal(status_of("", &any), 400);
    assert_int_equal(status_of("{\"a\":1} x", NULL), 400);
    assert_int_equal(status_of("[\"\xff\"]", NULL), 400);
    assert_int_equal(status_of("[\"\\u0000\"]", NULL), 400);
    assert_int_equal(status_of("[99999999999999999999]", NULL), 400);
    assert_int_equal(status_of("]]]]", NULL), 400);
    char deep[200];
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    deep[130] = '\0';
    assert_int_equal(status_of(deep, NULL), 400);
    deep[129] = '\0';
    assert_int_equal(status_of(deep + 1, NULL), 200);
}

static void members_come_by_type(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    json_t *value;
    err_t *err =
        read_json(pool, STR("{\"s\":\"x\",\"n\":null,\"i\":5,\"b\":true,\"o\":{},\"l\":[],\"s\":\"last\"}"),
                  NULL, &value);
    assert_null(err);
    assert_str(read_json_str(value, "s"), "last");
    assert_true(str_is_null(read_json_str(value, "n")));
    assert_true(str_is_null(read_json_str(value, "i")));
    assert_int_equal(read_json_int(value, "i", 9), 5);
    assert_int_equal(read_json_int(value, "s", 9), 9);
    assert_true(read_json_bool(value, "b", false));
    assert_true(read_json_bool(value, "none", true));
    assert_non_null(read_json_object(value, "o"));
    assert_null(read_json_object(value, "l"));
    assert_non_null(read_json_array(value, "l"));
    assert_str(read_json_dump(pool, json_object_get(value, "s")), "\"last\"");
    err = read_json(pool, STR("{\"a\":\n tru}"), NULL, &value);
    assert_non_null(err);
    assert_int_not_equal(str_find(err->details, STR("line 2"), 0), SIZE_MAX);
    pool_destroy(pool);
}

/* --- map and match --- */

static void a_map_remembers_through_growth_and_removal(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static char keys[COUNT][8];
    static int values[COUNT];
    map_t *map = map_create(NULL, 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        assert_null(map_put(map, str_from_c(keys[i]), &values[i]));
    }
    assert_ptr_equal(map_put(map, str_from_c(keys[7]), &values[8]), &values[7]);
    assert_ptr_equal(map_put(map, str_from_c(keys[7]), &values[7]), &values[8]);
    for (int i = 0; i < COUNT; i += 2)
        assert_ptr_equal(map_remove(map, str_from_c(keys[i])), &values[i]);
    assert_null(map_remove(map, str_from_c(keys[0])));
    assert_int_equal(map_count(map), COUNT / 2);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(map_get(map, str_from_c(keys[i])), i % 2 != 0 ? &values[i] : NULL);
    size_t cursor = 0, seen = 0;
    str_t key;
    void *value;
    while (map_next(map, &cursor, &key, &value)) {
        assert_ptr_equal(map_get(map, key), value);
        seen++;
    }
    assert_int_equal(seen, COUNT / 2);
    map_destroy(map);
    pool_t *pool = pool_create();
    map = map_create(pool, 100);
    assert_null(map_get(map, STR("")));
    map_put(map, STR(""), keys);
    assert_ptr_equal(map_get(map, STR_NULL), keys);
    pool_destroy(pool);
}

static void patterns_match_within_limits(void **state)
{
    (void)state;
    const char *why = NULL;
    assert_null(match_create(STR("(unclosed"), false, &why));
    assert_non_null(why);
    match_t *match = match_create(STR("^([a-z]+)(\\d+)?@(.*)$"), true, NULL);
    str_t groups[5];
    assert_true(match_groups(match, STR("ABC@x"), groups, 5));
    assert_str(groups[0], "ABC@x");
    assert_str(groups[1], "ABC");
    assert_true(str_is_null(groups[2]));
    assert_str(groups[3], "x");
    assert_true(str_is_null(groups[4]));
    assert_false(match_test(match, STR("1@x")));
    assert_false(match_test(match, STR("\xff@x"))); /* no UTF-8: no match, no harm */
    match_destroy(match);
    match = match_create(STR("^(a+)+$"), false, NULL);
    assert_true(match_test(match, STR("aaaa")));
    assert_false(match_test(match, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"))); /* stopped */
    match_destroy(match);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons_know_lengths_and_case),
        cmocka_unit_test(searching_stays_inside),
        cmocka_unit_test(splitting_tells_an_empty_rest_from_none),
        cmocka_unit_test(integers_are_read_to_their_very_bounds),
        cmocka_unit_test(only_well_formed_utf8_passes),
        cmocka_unit_test(uuids_have_one_form),
        cmocka_unit_test(disposers_run_newest_first),
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(texts_in_a_pool_end_with_zero),
        cmocka_unit_test(buffers_grow_on_pool_and_heap_alike),
        cmocka_unit_test(every_byte_is_escaped_right_at_every_place),
        cmocka_unit_test(random_strings_are_escaped_as_by_the_reference),
        cmocka_unit_test(the_writer_places_commas),
        cmocka_unit_test(json_is_read_within_its_caps),
        cmocka_unit_test(members_come_by_type),
        cmocka_unit_test(a_map_remembers_through_growth_and_removal),
        cmocka_unit_test(patterns_match_within_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
