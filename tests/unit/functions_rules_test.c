#include "base/clock.h"
#include "base/ticket.h"
#include "functions/idm.h"
#include "functions/recurrence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY 86400
#define JAN_1_2030 1893456000 /* a Tuesday */

static void assert_str(str_t actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.base, expected, actual.len);
}

static void typed_names_are_taken_apart(void **state)
{
    static const struct {
        const char *typed, *user, *domain;
    } CASES[] = {{"ann", "ann", ""},
                 {" ann@example.test ", "ann", "example.test"},
                 {"CORP\\ann", "ann", "CORP"},
                 {"a@b@c", "a@b", "c"},
                 {"@x", "", "x"}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        directory_name_t name = directory_split_name(str_from_c(CASES[i].typed));
        assert_str(name.user, CASES[i].user);
        assert_str(name.domain, CASES[i].domain);
    }
}

static void groups_match_whole_and_in_any_case(void **state)
{
    static const str_t GROUPS[] = {{"CN=Server Admins, OU=G,DC=a,DC=b", 32}, {"CORP\\operators", 14}};
    pool_t *pool = *state;
    directory_person_t person = {.groups = GROUPS, .group_count = 2};
    assert_true(idm_is_member(pool, STR("cn=server admins,ou=g,dc=A,dc=b"), &person));
    assert_true(idm_is_member(pool, STR("Server Admins"), &person));
    assert_true(idm_is_member(pool, STR("Operators"), &person));
    assert_false(idm_is_member(pool, STR("cn=server admins,ou=other,dc=a,dc=b"), &person));
    assert_false(idm_is_member(pool, STR("admins"), &person));
    assert_false(idm_is_member(pool, STR("Server Admins and more"), &person));
    assert_false(idm_is_member(pool, STR(""), &person));
}

static void escaped_commas_stay_in_a_group_name(void **state)
{
    assert_str(idm_group_name(*state, STR("cn=a\\,b,dc=c")), "a\\,b");
    assert_str(idm_group_name(*state, STR("ou=x,cn=Deep,dc=c")), "deep");
}

static void accounts_get_an_address_even_when_the_directory_gives_none(void **state)
{
    pool_t *pool = *state;
    idm_settings_t settings = {.directory.server_host = STR("ipa.example.test")};
    directory_person_t person = {.uid = STR("Ann"), .email = STR("[]"), .realm = STR("EXAMPLE")};
    assert_str(idm_address(pool, &settings, &person), "ann@ipa.example.test");
    person.email = STR("Ann.E@Example.Test");
    assert_str(idm_address(pool, &settings, &person), "ann.e@example.test");
    person.email = STR("None");
    person.principal = STR("ann@EXAMPLE.TEST");
    assert_str(idm_address(pool, &settings, &person), "ann@example.test");
    settings.directory.server_host = person.principal = STR_NULL;
    person.uid = STR("a b");
    assert_str(idm_address(pool, &settings, &person), "a_b@idm.local.invalid");
}

static int64_t due(pool_t *pool, const char *config_text, const char *pattern, int64_t base, int64_t now)
{
    json_t *config = NULL;
    int64_t at = -1;
    if (config_text != NULL)
        assert_null(read_json(pool, str_from_c(config_text), &(read_json_limits_t){0}, &config));
    return recurrence_due(config, str_from_c(pattern), base, now, &at) ? at : -1;
}

static void of_several_missed_runs_the_latest_is_due(void **state)
{
    assert_int_equal(due(*state, NULL, "0 3 * * *", JAN_1_2030 + 5, JAN_1_2030 + 9 * DAY),
                     JAN_1_2030 + 8 * DAY + 3 * 3600);
    assert_int_equal(due(*state, NULL, "0 3 * * *", JAN_1_2030, JAN_1_2030 + 3600), -1);
    assert_int_equal(due(*state, NULL, "not a pattern", JAN_1_2030, JAN_1_2030 + 90 * DAY), -1);
    assert_int_equal(due(*state, NULL, "0 3 1 * *", JAN_1_2030 + 4 * 3600, JAN_1_2030 + 40 * DAY),
                     JAN_1_2030 + 31 * DAY + 3 * 3600);
}

static void the_interval_rule_wins_over_the_pattern(void **state)
{
    static const char WEEKS[] =
        "{\"enabled\":true,\"unit\":\"weeks\",\"interval\":1,\"dayOfWeek\":0,\"hour\":2,\"minute\":30}";
    static const char MONTHS[] =
        "{\"enabled\":true,\"unit\":\"months\",\"interval\":1,\"dayOfMonth\":31,\"hour\":0,\"minute\":0}";
    /* a week on is Tuesday the 8th, the next Sunday is the 13th */
    assert_int_equal(due(*state, WEEKS, "* * * * *", JAN_1_2030, JAN_1_2030 + 14 * DAY),
                     JAN_1_2030 + 12 * DAY + 2 * 3600 + 1800);
    assert_int_equal(due(*state, MONTHS, "", JAN_1_2030, JAN_1_2030 + 60 * DAY), JAN_1_2030 + 58 * DAY);
    assert_int_equal(due(*state, "{\"enabled\":true,\"unit\":\"eons\"}", "* * * * *", 0, JAN_1_2030), -1);
    assert_int_equal(due(*state, "{\"enabled\":false,\"unit\":\"days\"}", "", 0, JAN_1_2030), -1);
}

static void a_ticket_is_read_by_who_shares_the_secret_for_a_minute(void **state)
{
    pool_t *pool = *state;
    json_t *claims = NULL, *person = json_pack("{s:s}", "uid", "ann");
    str_t ticket = ticket_make(pool, STR("shared"), person);
    json_decref(person);
    assert_null(ticket_read(pool, STR("shared"), ticket, &claims));
    assert_str(read_json_str(claims, "uid"), "ann");
    assert_true(str_is_uuid(read_json_str(claims, "jti")));
    assert_non_null(ticket_read(pool, STR("other"), ticket, &claims));
    assert_non_null(ticket_read(pool, STR_NULL, ticket, &claims));
    assert_non_null(ticket_read(pool, STR("shared"), str_slice(ticket, 0, ticket.len - 1), &claims));
    clock_shift(TICKET_LIFE_S + 1);
    assert_non_null(ticket_read(pool, STR("shared"), ticket, &claims));
    clock_shift(0);
}

static int set_up(void **state)
{
    *state = pool_create();
    return 0;
}

static int tear_down(void **state)
{
    pool_destroy(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(typed_names_are_taken_apart),
        TEST(groups_match_whole_and_in_any_case),
        TEST(escaped_commas_stay_in_a_group_name),
        TEST(accounts_get_an_address_even_when_the_directory_gives_none),
        TEST(of_several_missed_runs_the_latest_is_due),
        TEST(the_interval_rule_wins_over_the_pattern),
        TEST(a_ticket_is_read_by_who_shares_the_secret_for_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
