/* Transactions: what one leaves behind for the next, and what errors do. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char ann[] = "{\"sub\":\"ann\",\"role\":\"authenticated\"}";
static const char bob[] = "{\"sub\":\"bob\",\"role\":\"authenticated\"}";

static void a_caller_sees_only_its_own_rows(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    outcome_t a = test_query(pool, "authenticated", ann, "select owner from t.item");
    outcome_t b = test_query(pool, "authenticated", bob, "select owner from t.item");
    outcome_t none = test_query(pool, "authenticated", NULL, "select owner from t.item");
    assert_int_equal(a.status, 0);
    assert_int_equal(a.rows, 50);
    assert_string_equal(a.last[0], "ann");
    assert_string_equal(b.last[0], "bob");
    assert_int_equal(none.rows, 0);
    assert_int_equal(none.columns_calls, 1);
    db_pool_destroy(pool);
}

int main(void)
{
    test_setup_schema();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_sees_only_its_own_rows),
    };
    return cmocka_run_group_tests_name("db_tx", tests, NULL, NULL);
}
