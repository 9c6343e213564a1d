#include "rest/turns.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { KIB = 1024, MAX = 1000 * KIB };

typedef struct {
    rest_turn_t turn;
    bool is_waiting, is_stubborn;
    int calls;
} answer_t;

static bool wait(void *arg, bool is_waiting)
{
    answer_t *answer = arg;
    answer->calls++;
    if (answer->is_stubborn)
        return false;
    answer->is_waiting = is_waiting;
    return true;
}

static void keeps(rest_turns_t *turns, answer_t *answer, size_t bytes)
{
    answer->turn.wait = wait;
    answer->turn.arg = answer;
    rest_turn_keeps(turns, &answer->turn, bytes, MAX);
}

static void all_but_the_two_oldest_wait(void **state)
{
    (void)state;
    loop_t *loop = loop_create();
    rest_turns_t *turns = rest_turns_create(loop);
    answer_t a[5] = {0}, small = {0}, stubborn = {.is_stubborn = true};
    for (int i = 0; i < 5; i++)
        keeps(turns, &a[i], 200 * KIB);
    for (int i = 0; i < 5; i++)
        assert_int_equal(a[i].calls, 0);
    for (int i = 0; i < 2; i++)
        keeps(turns, &a[i], 201 * KIB); /* too much, but they are the oldest */
    keeps(turns, &small, 10 * KIB);
    keeps(turns, &stubborn, 100 * KIB);
    assert_int_equal(stubborn.calls, 1);
    assert_int_equal(a[0].calls + a[1].calls + small.calls, 0);
    for (int i = 2; i < 5; i++) {
        keeps(turns, &a[i], 260 * KIB);
        keeps(turns, &a[i], 270 * KIB); /* what was on its way */
        assert_true(a[i].is_waiting);
        assert_int_equal(a[i].calls, 1);
    }
    rest_turn_ends(&stubborn.turn);
    assert_true(a[2].is_waiting);
    rest_turn_ends(&a[1].turn);
    assert_false(a[2].is_waiting); /* now one of the two */
    assert_true(a[3].is_waiting && a[4].is_waiting);
    rest_turn_ends(&a[2].turn);
    assert_false(a[3].is_waiting);
    rest_turn_ends(&a[3].turn);
    assert_false(a[4].is_waiting);
    rest_turn_ends(&a[4].turn);
    rest_turn_ends(&a[4].turn);
    rest_turn_ends(&a[0].turn);
    rest_turn_ends(&small.turn);
    keeps(turns, &small, MAX + KIB); /* nobody is left */
    assert_int_equal(small.calls, 0);
    rest_turn_ends(&small.turn);
    rest_turns_destroy(turns);
    loop_destroy(loop);
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    loop_t *loop = loop_create();
    rest_turns_t *turns = rest_turns_create(loop);
    answer_t first[2] = {0}, second = {0};
    for (int i = 0; i < 2; i++)
        keeps(turns, &first[i], MAX);
    keeps(turns, &second, MAX);
    assert_true(second.is_waiting);
    for (int64_t end = clock_mono_us() + 30000000; second.is_waiting && clock_mono_us() < end;)
        loop_turn(loop, 100);
    assert_false(second.is_waiting);
    keeps(turns, &second, MAX + KIB);
    assert_false(second.is_waiting);
    for (int i = 0; i < 2; i++)
        rest_turn_ends(&first[i].turn);
    rest_turn_ends(&second.turn);
    rest_turns_destroy(turns);
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_but_the_two_oldest_wait),
        cmocka_unit_test(nobody_waits_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
