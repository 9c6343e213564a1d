/* Cron patterns: what is one, and when it is due. */
#include "base/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* "2026-02-28 23:59:30" in GMT, by the C library and not by the code under test. */
static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

static void check_next(const char *pattern, const char *after, const char *wanted)
{
    cron_t cron;
    char got[32] = "never";
    if (!cron_parse(str_from_c(pattern), &cron))
        fail_msg("refused: %s", pattern);
    int64_t next = cron_next(&cron, at(after));
    if (next != CRON_NEVER) {
        time_t second = (time_t)next;
        struct tm tm;
        strftime(got, sizeof(got), "%Y-%m-%d %H:%M:%S", gmtime_r(&second, &tm));
    }
    if (strcmp(got, wanted) != 0)
        fail_msg("\"%s\" after %s: %s instead of %s", pattern, after, got, wanted);
}

static void the_next_time_is_found_for_every_kind_of_pattern(void **state)
{
    (void)state;
    static const char *const CASES[][3] = {
        {"* * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00"},
        {"* * * * *", "2026-01-01 00:00:59", "2026-01-01 00:01:00"},
        {"* * * * *", "2025-12-31 23:59:01", "2026-01-01 00:00:00"},
        {"0 2 * * *", "2026-01-01 02:00:00", "2026-01-02 02:00:00"},
        {"0 2 * * *", "2026-01-01 01:59:59", "2026-01-01 02:00:00"},
        {"*/15 * * * *", "2026-01-01 00:31:00", "2026-01-01 00:45:00"},
        {"5/20 * * * *", "2026-01-01 00:26:00", "2026-01-01 00:45:00"},
        {"10-30/10 * * * *", "2026-01-01 00:30:00", "2026-01-01 01:10:00"},
        {"1,3,59 * * * *", "2026-01-01 00:03:00", "2026-01-01 00:59:00"},
        {"30 9-17 * * 1-5", "2026-01-02 17:30:00", "2026-01-05 09:30:00"},
        {"0 0 * * mon", "2026-01-01 00:00:00", "2026-01-05 00:00:00"},
        {"0 0 * * Sun", "2026-01-01 00:00:00", "2026-01-04 00:00:00"},
        {"0 0 * * 0", "2026-01-01 00:00:00", "2026-01-04 00:00:00"},
        {"0 0 * * 7", "2026-01-01 00:00:00", "2026-01-04 00:00:00"},
        {"0 0 * * 5-7", "2026-01-03 00:00:00", "2026-01-04 00:00:00"},
        {"0 0 * * 6-7/1", "2026-01-04 00:00:00", "2026-01-10 00:00:00"},
        {"0 0 1 FEB,apr *", "2026-02-01 00:00:00", "2026-04-01 00:00:00"},
        {"0 0 1 oct-dec *", "2026-12-01 00:00:00", "2027-10-01 00:00:00"},
        {"0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00"},
        {"0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
        {"0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"},
        {"0 0 30 2 *", "2026-01-01 00:00:00", "never"},
        {"0 0 31 4,6,9,11 *", "2026-01-01 00:00:00", "never"},
        {"59 23 31 12 *", "2026-12-31 23:59:00", "2027-12-31 23:59:00"},
        {"0 12 $ * *", "2026-01-31 12:00:00", "2026-02-28 12:00:00"},
        {"0 12 $ 2 *", "2027-03-01 00:00:00", "2028-02-29 12:00:00"},
        {"0 0 1 1 *", "1969-06-01 00:00:00", "1970-01-01 00:00:00"},
        {"@hourly", "2026-01-01 10:00:00", "2026-01-01 11:00:00"},
        {"@daily", "2026-01-01 10:00:00", "2026-01-02 00:00:00"},
        {"@midnight", "2026-01-01 10:00:00", "2026-01-02 00:00:00"},
        {"@weekly", "2026-01-01 10:00:00", "2026-01-04 00:00:00"},
        {"@monthly", "2026-01-01 10:00:00", "2026-02-01 00:00:00"},
        {"@Yearly", "2026-01-01 10:00:00", "2027-01-01 00:00:00"},
        {"@annually", "2026-01-01 10:00:00", "2027-01-01 00:00:00"},
        {"  0\t3   *  * *  ", "2026-01-01 10:00:00", "2026-01-02 03:00:00"},
        {"30 seconds", "2026-01-01 10:00:07", "2026-01-01 10:00:37"},
        {"1 second", "2026-01-01 10:00:07", "2026-01-01 10:00:08"},
        {"59  Seconds", "2026-01-01 10:00:00", "2026-01-01 10:00:59"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        check_next(CASES[i][0], CASES[i][1], CASES[i][2]);
}

/* 2026-01-01 is a Thursday; the 13th is a Tuesday, the first Friday the 13th is in February. */
static void a_day_is_due_by_either_field_unless_one_begins_with_a_star(void **state)
{
    (void)state;
    check_next("0 0 13 * 5", "2026-01-01 00:00:00", "2026-01-02 00:00:00");
    check_next("0 0 13 * 5", "2026-01-09 00:00:00", "2026-01-13 00:00:00");
    check_next("0 0 13 * *", "2026-01-01 00:00:00", "2026-01-13 00:00:00");
    check_next("0 0 * * 5", "2026-01-02 00:00:00", "2026-01-09 00:00:00");
    check_next("0 0 13 * */5", "2026-01-01 00:00:00", "2026-02-13 00:00:00"); /* sun or fri, and the 13th */
    check_next("0 0 */13 * 5", "2026-01-01 00:00:00", "2026-02-27 00:00:00"); /* 1, 14, 27, and a friday */
    check_next("0 0 $ * 5", "2026-01-30 00:00:00", "2026-01-31 00:00:00");
}

static void every_minute_of_a_year_is_visited_once(void **state)
{
    (void)state;
    cron_t cron;
    assert_true(cron_parse(STR("* * * * *"), &cron));
    int64_t from = at("2027-12-31 23:59:00"), now = from, end = at("2029-01-01 00:00:00"), count = 0;
    for (; now < end; count++) {
        int64_t next = cron_next(&cron, now);
        assert_int_equal(next, now + 60);
        now = next;
    }
    assert_int_equal(count, 366 * 1440 + 1);
}

static void what_is_no_schedule_is_refused(void **state)
{
    (void)state;
    static const char *const CASES[] = {
        "",
        " ",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "-1 * * * *",
        "1- * * * *",
        "-5 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "*/ * * * *",
        "/5 * * * *",
        "*-5 * * * *",
        "1,,2 * * * *",
        "1, * * * *",
        ",1 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "a * * * *",
        "* * * jam *",
        "* * * * fry",
        "mon * * * *",
        "* * * * fri-sun",
        "001 * * * *",
        "*/1000 * * * *",
        "@reboot",
        "@often",
        "0 seconds",
        "60 seconds",
        "05 seconds",
        "5 minutes",
        "5seconds",
        "seconds",
        "* $ * * *",
        "* * $,1 * *",
        "* * $/2 * *",
        "** * * * *",
        "\t* * * * *",
        "* * * * *\n",
        "* * * * january",
        "1.5 * * * *",
        "@daily x",
        "+1 * * * *",
    };
    cron_t cron;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        if (cron_parse(str_from_c(CASES[i]), &cron))
            fail_msg("accepted: %s", CASES[i]);
    }
}

int main(int argc, char **argv)
{
    /* "base_cron_test --judge": one schedule per line of standard input, answered with t or f. The database's
     * own check is compared with it (tests/integration/scheduler). */
    if (argc > 1 && strcmp(argv[1], "--judge") == 0) {
        char line[256];
        cron_t cron;
        while (fgets(line, sizeof(line), stdin) != NULL) {
            line[strcspn(line, "\n")] = '\0';
            puts(cron_parse(str_from_c(line), &cron) ? "t" : "f");
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_time_is_found_for_every_kind_of_pattern),
        cmocka_unit_test(a_day_is_due_by_either_field_unless_one_begins_with_a_star),
        cmocka_unit_test(every_minute_of_a_year_is_visited_once),
        cmocka_unit_test(what_is_no_schedule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
