#include "db/wash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char ANNA[] = "{\"sub\":\"anna\"}", BERT[] = "{\"sub\":\"bert\"}";

static bool next(db_wash_t *wash, const char *role, const char *claims, bool may_leave)
{
    return db_wash_before(wash, str_from_c(role), str_from_c(claims), may_leave);
}

static void another_caller_gets_a_washed_connection(void **state)
{
    (void)state;
    db_wash_t wash = {0};
    assert_false(next(&wash, "member", ANNA, true));
    assert_true(next(&wash, "member", BERT, false));
    assert_false(next(&wash, "member", ANNA, false));
    assert_false(next(&wash, "member", ANNA, true));
    assert_true(next(&wash, "admin", ANNA, true));
    assert_true(next(&wash, "member", ANNA, false));
    db_wash_dispose(&wash);
}

static void the_same_caller_keeps_what_he_left_until_somebody_else_comes(void **state)
{
    (void)state;
    db_wash_t wash = {0};
    assert_false(next(&wash, "member", ANNA, true));
    assert_false(next(&wash, "member", ANNA, false));
    assert_false(next(&wash, "member", ANNA, true));
    assert_true(wash.is_due);
    assert_true(next(&wash, "member", BERT, false));
    assert_false(wash.is_due);
    db_wash_dispose(&wash);
}

static void role_and_claims_cannot_be_shifted_into_one_another(void **state)
{
    (void)state;
    db_wash_t wash = {0};
    assert_false(db_wash_before(&wash, STR("a"), str_make("b\0c", 3), true));
    assert_true(db_wash_before(&wash, str_make("a\0b", 3), STR("c"), true));
    assert_true(db_wash_before(&wash, STR_NULL, STR_NULL, true));
    assert_false(db_wash_before(&wash, STR_NULL, STR_NULL, true));
    db_wash_dispose(&wash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_caller_gets_a_washed_connection),
        cmocka_unit_test(the_same_caller_keeps_what_he_left_until_somebody_else_comes),
        cmocka_unit_test(role_and_claims_cannot_be_shifted_into_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
