#include "drivers/credentials/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct {
    const char *range, *address;
    bool holds;
} row_t;

static void test_ranges_hold_what_people_mean(void **state)
{
    static const row_t ROWS[] = {
        {"10.0.0.0/24", "10.0.0.255", true},
        {"10.0.0.0/24", "10.0.1.0", false},
        {"10.0.0.77/24", "10.0.0.1", true}, /* host bits allowed */
        {"0.0.0.0/0", "203.0.113.9", true},
        {"10.0.0.1/32", "10.0.0.1", true},
        {"10.0.0.1/32", "10.0.0.2", false},
        {"10.0.0.5-10.0.0.9", "10.0.0.9", true},
        {"10.0.0.5-10.0.0.9", "10.0.0.10", false},
        {"10.0.0.5 - 10.0.0.9", "10.0.0.5", true},
        {"10.0.0.5-9", "10.0.0.7", true},
        {"10.0.0.5-9", "10.0.0.4", false},
        {"10.0.0.5", "10.0.0.5", true},
        {"10.0.0.5", "10.0.0.5:8443", true}, /* the port does not count */
        {"fe80::/10", "fe80::1", true},
        {"fe80::/10", "[fe80::1]:443", true},
        {"fe80::/10", "10.0.0.1", false},
        {"10.0.0.0/8", "fe80::1", false},
        {"2001:db8::1-2001:db8::ff", "2001:db8::80", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        range_t range;
        assert_true(range_parse(str_from_c(ROWS[i].range), &range));
        if (range_holds(&range, str_from_c(ROWS[i].address)) != ROWS[i].holds)
            fail_msg("%s and %s", ROWS[i].range, ROWS[i].address);
    }
}

static void test_bad_text_is_no_range(void **state)
{
    static const char *const BAD[] = {"",
                                      "x",
                                      "10.0.0",
                                      "10.0.0.0/33",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/",
                                      "10.0.0.9-5",
                                      "10.0.0.5-999",
                                      "10.0.0.5-fe80::1",
                                      "fe80::/129",
                                      "10.0.0.256",
                                      "10.0.0.9-10.0.0.1",
                                      "/24",
                                      "-",
                                      "10.0.0.0/24/24"};
    range_t range;
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (range_parse(str_from_c(BAD[i]), &range))
            fail_msg("accepted: %s", BAD[i]);
}

static void test_expansion_leaves_out_network_and_broadcast(void **state)
{
    pool_t *pool = pool_create();
    range_t range;
    str_t *out;
    size_t count;
    (void)state;
    assert_true(range_parse(STR("10.0.0.0/29"), &range));
    assert_true(range_expand(&range, pool, 100, &out, &count));
    assert_int_equal(count, 6);
    assert_true(str_eq(out[0], STR("10.0.0.1")));
    assert_true(str_eq(out[5], STR("10.0.0.6")));
    assert_true(range_parse(STR("10.0.0.4/31"), &range));
    assert_true(range_expand(&range, pool, 100, &out, &count));
    assert_int_equal(count, 2);
    assert_true(range_parse(STR("10.0.0.254-10.0.1.1"), &range));
    assert_true(range_expand(&range, pool, 100, &out, &count));
    assert_int_equal(count, 4);
    assert_true(str_eq(out[3], STR("10.0.1.1")));
    pool_destroy(pool);
}

static void test_absurd_sizes_are_refused(void **state)
{
    pool_t *pool = pool_create();
    range_t range;
    str_t *out;
    size_t count;
    (void)state;
    assert_true(range_parse(STR("10.0.0.0/8"), &range));
    assert_false(range_expand(&range, pool, 4096, &out, &count));
    assert_true(
        range_parse(STR("255.255.255.0-255.255.255.255"), &range)); /* the end of the space is no loop */
    assert_true(range_expand(&range, pool, 4096, &out, &count));
    assert_int_equal(count, 256);
    pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_hold_what_people_mean),
        cmocka_unit_test(test_bad_text_is_no_range),
        cmocka_unit_test(test_expansion_leaves_out_network_and_broadcast),
        cmocka_unit_test(test_absurd_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
