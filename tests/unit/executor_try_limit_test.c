#include "executor/try_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX = 3, LOCK_S = 600 };

static int64_t enter(void **state, const char *key)
{
    return try_limit_enter(*state, str_from_c(key), MAX, LOCK_S);
}

static void the_last_try_goes_on_and_locks(void **state)
{
    for (int i = 0; i < MAX; i++)
        assert_int_equal(enter(state, "ann"), 0);
    assert_in_range(enter(state, "ann"), LOCK_S - 2, LOCK_S);
    assert_int_equal(enter(state, "ben"), 0);
    try_limit_forget(*state, STR("ann"));
    assert_int_equal(enter(state, "ann"), 0);
}

static void a_try_that_was_not_judged_is_given_back(void **state)
{
    for (int i = 0; i < 10; i++) {
        assert_int_equal(enter(state, "ann"), 0);
        try_limit_give_back(*state, STR("ann"));
    }
    try_limit_give_back(*state, STR("nobody"));
    for (int i = 0; i < MAX; i++)
        assert_int_equal(enter(state, "ann"), 0);
    assert_true(enter(state, "ann") > 0);
}

static void locks_run_out(void **state)
{
    for (int i = 0; i < MAX; i++)
        assert_int_equal(try_limit_enter(*state, STR("ann"), MAX, 0), 0);
    assert_int_equal(try_limit_enter(*state, STR("ann"), MAX, 0), 0);
}

/* Whoever makes up names can neither fill the memory nor push real ones out. */
static void names_are_bounded(void **state)
{
    for (int i = 0; i < MAX; i++)
        assert_int_equal(enter(state, "ann"), 0);
    assert_int_equal(enter(state, "b"), 0);
    assert_int_equal(enter(state, "c"), 0);
    assert_int_equal(enter(state, "d"), 0);
    assert_int_equal(enter(state, "e"), LOCK_S);
    assert_true(enter(state, "ann") > 0);
    try_limit_forget(*state, STR("b"));
    assert_int_equal(enter(state, "e"), 0);
}

static int set_up(void **state)
{
    *state = try_limit_create(4);
    return 0;
}

static int tear_down(void **state)
{
    try_limit_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_try_goes_on_and_locks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_try_that_was_not_judged_is_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(locks_run_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
