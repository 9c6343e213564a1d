#include "drivers/ldap/ldap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_str(str_t actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.base, expected, actual.len);
}

static void values_cannot_change_a_filter_or_a_name(void **state)
{
    assert_str(ldap_escape_filter(*state, STR("a*)(uid=\\\0x")), "a\\2a\\29\\28uid=\\5c\\00x");
    assert_str(ldap_escape_dn(*state, STR(" #a,b+c\"<d>;e=f\\ ")), "\\ #a\\,b\\+c\\\"\\<d\\>\\;e\\=f\\\\\\ ");
    assert_str(ldap_escape_dn(*state, STR("#a")), "\\#a");
}

static void an_empty_password_is_refused_before_any_connection(void **state)
{
    ldap_server_t server = {.host = STR("127.0.0.1"), .port = 1};
    ldap_query_t query = {.base = STR("dc=x")};
    ldap_entries_t entries;
    static const ldap_login_t LOGINS[] = {
        {{"uid=a", 5}, {"", 0}}, {{"", 0}, {"x", 1}}, {{"uid=a", 5}, {NULL, 0}}, {{"uid=a", 5}, {"a\0b", 3}}};
    for (size_t i = 0; i < sizeof(LOGINS) / sizeof(LOGINS[0]); i++) {
        err_t *err = ldap_find(*state, &server, &LOGINS[i], &query, &entries);
        assert_non_null(err);
        assert_str(err->code, "credentials");
    }
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
        TEST(values_cannot_change_a_filter_or_a_name),
        TEST(an_empty_password_is_refused_before_any_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
