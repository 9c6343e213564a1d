/* What becomes of the occurrences of a schedule, and which addresses are our own. */
#include "api/gateway.h"
#include "scheduler/due.h"
#include "scheduler/own_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Minute n of 1970, when "* * * * *" is due. */
#define MINUTE(n) ((int64_t)(n)*60)

static due_t judge(const char *pattern, due_moment_t moment)
{
    cron_t cron;
    assert_true(cron_parse(str_from_c(pattern), &cron));
    return due_judge(&cron, &moment);
}

static void nothing_is_due_before_its_time(void **state)
{
    (void)state;
    due_t due = judge("* * * * *", (due_moment_t){.last = MINUTE(10), .now = MINUTE(11) - 1, .grace_s = 60});
    assert_false(due.is_due);
    assert_int_equal(due.missed_count, 0);
    assert_int_equal(due.handled, MINUTE(10));
    assert_int_equal(due.next, MINUTE(11));
}

static void an_occurrence_is_run_once(void **state)
{
    (void)state;
    due_t due = judge("* * * * *", (due_moment_t){.last = MINUTE(10), .now = MINUTE(11), .grace_s = 60});
    assert_true(due.is_due);
    assert_int_equal(due.due_at, MINUTE(11));
    assert_int_equal(due.missed_count, 0);
    due = judge("* * * * *", (due_moment_t){.last = due.handled, .now = MINUTE(11), .grace_s = 60});
    assert_false(due.is_due);
    assert_int_equal(due.next, MINUTE(12));
}

static void after_a_gap_the_latest_is_run_when_it_is_fresh_and_the_others_are_missed(void **state)
{
    (void)state;
    due_t due = judge("* * * * *", (due_moment_t){.last = MINUTE(10), .now = MINUTE(15) + 30, .grace_s = 60});
    assert_true(due.is_due);
    assert_int_equal(due.due_at, MINUTE(15));
    assert_int_equal(due.missed_count, 4);
    assert_int_equal(due.missed_first, MINUTE(11));
    assert_int_equal(due.missed_last, MINUTE(14));
}

static void an_old_occurrence_is_missed_unless_it_is_to_be_made_up_for(void **state)
{
    (void)state;
    due_moment_t moment = {.last = MINUTE(10), .now = MINUTE(75), .grace_s = 60};
    due_t due = judge("@hourly", moment);
    assert_false(due.is_due);
    assert_int_equal(due.missed_count, 1);
    assert_int_equal(due.missed_last, MINUTE(60));
    assert_int_equal(due.handled, MINUTE(60));
    assert_int_equal(due.next, MINUTE(120));
    moment.is_catching_up = true;
    due = judge("@hourly", moment);
    assert_true(due.is_due);
    assert_int_equal(due.due_at, MINUTE(60));
    assert_int_equal(due.missed_count, 0);
}

static void what_a_running_command_displaces_is_missed(void **state)
{
    (void)state;
    due_t due = judge("1 second", (due_moment_t){.last = 100, .now = 103, .grace_s = 60, .is_running = true});
    assert_false(due.is_due);
    assert_int_equal(due.missed_count, 3);
    assert_int_equal(due.missed_first, 101);
    assert_int_equal(due.missed_last, 103);
    assert_int_equal(due.next, 104);
}

static void intervals_keep_their_beat(void **state)
{
    (void)state;
    due_t due = judge("7 seconds", (due_moment_t){.last = 100, .now = 123, .grace_s = 60});
    assert_true(due.is_due);
    assert_int_equal(due.due_at, 121);
    assert_int_equal(due.missed_count, 2);
    assert_int_equal(due.missed_last, 114);
    assert_int_equal(due.next, 128);
}

static void a_clock_that_is_set_back_runs_nothing_twice(void **state)
{
    (void)state;
    due_t due = judge("* * * * *", (due_moment_t){.last = MINUTE(10), .now = MINUTE(5), .grace_s = 60});
    assert_false(due.is_due);
    assert_int_equal(due.handled, MINUTE(10));
    due = judge("5 seconds", (due_moment_t){.last = 100, .now = 50, .grace_s = 60});
    assert_false(due.is_due);
    assert_int_equal(due.handled, 100);
}

static void a_date_that_never_comes_is_no_trouble(void **state)
{
    (void)state;
    due_t due = judge("0 0 30 2 *", (due_moment_t){.last = 0, .now = MINUTE(1000000), .grace_s = 60});
    assert_false(due.is_due);
    assert_int_equal(due.missed_count, 0);
    assert_true(due.next == CRON_NEVER);
}

static void only_plain_urls_of_this_gateway_are_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool is_own;
    } cases[] = {
        {"http://127.0.0.1:54321/functions/v1/x", true},
        {"HTTP://localhost:54321", true},
        {"http://[::1]:54321/", true},
        {"http://10.0.0.5:7000/x?y", true},
        {"https://api.example.com/functions/v1/x", true},
        {"https://API.example.com:443/", true},
        {"http://api.example.com/", false},
        {"https://api.example.com:8443/", false},
        {"http://127.0.0.1:54322/", false},
        {"http://127.0.0.1/", false},
        {"http://127.0.0.2:54321/", false},
        {"http://127.0.0.1:54321@127.0.0.1:5432/", false},
        {"http://127.0.0.1:54321#@127.0.0.1:5432/", true}, /* curl too ends the host at '#' */
        {"http://127.0.0.1:54321\\@169.254.169.254/", false},
        {"http://127.0.0.1%3a54321/", false},
        {"http://api.example.com.evil.test/", false},
        {"http://:54321/", false},
        {"http://127.0.0.1:054321x/", false},
        {"ftp://127.0.0.1:54321/", false},
        {"//127.0.0.1:54321/", false},
        {"", false},
    };
    pool_t *pool = pool_create();
    config_t *config = NULL;
    assert_null(config_load(pool, GATEWAY_CONFIG_KEYS, NULL, &config));
    assert_true(
        config_override(config, STR("BASALT_LISTEN"), STR("0.0.0.0:54321, 10.0.0.5:7000,/run/api.sock")));
    assert_true(config_override(config, STR("API_EXTERNAL_URL"), STR("https://api.example.com")));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (own_address_is(config, str_from_c(cases[i].url)) != cases[i].is_own)
            fail_msg("%s", cases[i].url);
    }
    config_destroy(config);
    pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_due_before_its_time),
        cmocka_unit_test(an_occurrence_is_run_once),
        cmocka_unit_test(after_a_gap_the_latest_is_run_when_it_is_fresh_and_the_others_are_missed),
        cmocka_unit_test(an_old_occurrence_is_missed_unless_it_is_to_be_made_up_for),
        cmocka_unit_test(what_a_running_command_displaces_is_missed),
        cmocka_unit_test(intervals_keep_their_beat),
        cmocka_unit_test(a_clock_that_is_set_back_runs_nothing_twice),
        cmocka_unit_test(a_date_that_never_comes_is_no_trouble),
        cmocka_unit_test(only_plain_urls_of_this_gateway_are_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
