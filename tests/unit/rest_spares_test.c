#include "rest/spares.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { LARGE = 1024 * 1024, SMALL = 4096 };

static void give(rest_spares_t *spares, size_t capacity)
{
    buf_t body;
    buf_init(&body, NULL, capacity);
    rest_spares_give(spares, &body);
    assert_null(body.base);
}

static void the_last_one_given_is_the_next_one_taken(void **state)
{
    (void)state;
    loop_t *loop = loop_create();
    rest_spares_t *spares = rest_spares_create(loop);
    assert_null(rest_spares_take(spares).base);
    give(spares, SMALL);
    give(spares, LARGE);
    assert_int_equal(rest_spares_bytes(spares), SMALL + LARGE);
    buf_t body = rest_spares_take(spares);
    assert_int_equal(body.capacity, LARGE);
    assert_int_equal(rest_spares_bytes(spares), SMALL);
    rest_spares_give(spares, &body);
    for (int i = 0; i < 40; i++)
        give(spares, LARGE);
    assert_in_range(rest_spares_bytes(spares), 8 * LARGE, 16 * LARGE);
    rest_spares_destroy(spares);
    loop_destroy(loop);
}

static void large_ones_that_nobody_needs_are_given_back(void **state)
{
    (void)state;
    loop_t *loop = loop_create();
    rest_spares_t *spares = rest_spares_create(loop);
    give(spares, SMALL);
    for (int i = 0; i < 4; i++)
        give(spares, LARGE);
    for (int64_t end = clock_mono_us() + 10000000; clock_mono_us() < end;) {
        buf_t body = rest_spares_take(spares); /* one is always in use */
        loop_turn(loop, 50);
        rest_spares_give(spares, &body);
        if (rest_spares_bytes(spares) == SMALL + LARGE)
            break;
    }
    assert_int_equal(rest_spares_bytes(spares), SMALL + LARGE);
    for (int64_t end = clock_mono_us() + 10000000;
         clock_mono_us() < end && rest_spares_bytes(spares) > SMALL;)
        loop_turn(loop, 50);
    assert_int_equal(rest_spares_bytes(spares), SMALL);
    rest_spares_destroy(spares);
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_given_is_the_next_one_taken),
        cmocka_unit_test(large_ones_that_nobody_needs_are_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
