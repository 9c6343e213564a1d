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

static void urls_escape_what_would_end_a_part(void **state)
{
    ldap_server_t server = {.host = STR("dir.test"), .is_tls = true};
    ldap_query_t query = {.base = STR("cn=a?b,dc=x"),
                          .filter = STR("(cn=%?)"),
                          .attributes = STR("cn,mail"),
                          .is_subtree = true};
    assert_str(ldap_build_url(*state, &server, &query),
               "ldaps://dir.test:636/cn%3da%3fb%2cdc%3dx?cn,mail?sub?%28cn%3d%25%3f%29");
    server = (ldap_server_t){.host = STR("::1"), .port = 1389};
    query = (ldap_query_t){.base = STR("dc=x")};
    assert_str(ldap_build_url(*state, &server, &query),
               "ldap://[::1]:1389/dc%3dx??base?%28objectClass%3d%2a%29");
}

static void entries_keep_their_values_apart(void **state)
{
    ldap_entries_t entries;
    ldap_parse_ldif(*state,
                    STR("DN: uid=a,dc=x\n\tcn: A: one\n\tcn: two\n\tmail:: w7Y=\n\tbad\n\n"
                        "DN: uid=b,dc=x\n\tcn:: !\n\n"),
                    0, &entries);
    assert_int_equal(entries.count, 2);
    assert_str(entries.entries[0].dn, "uid=a,dc=x");
    assert_int_equal(entries.entries[0].value_count, 3);
    assert_str(ldap_value(&entries.entries[0], "CN"), "A: one");
    assert_str(ldap_value(&entries.entries[0], "mail"), "\xc3\xb6");
    assert_true(str_is_null(ldap_value(&entries.entries[1], "cn")));
}

static void no_more_entries_are_kept_than_asked_for(void **state)
{
    ldap_entries_t entries;
    ldap_parse_ldif(*state, STR("DN: a=1\n\tcn: 1\n\nDN: a=2\n\tcn: 2\n\n"), 1, &entries);
    assert_int_equal(entries.count, 1);
    assert_int_equal(entries.entries[0].value_count, 1);
}

static void an_empty_password_is_refused_before_any_connection(void **state)
{
    ldap_server_t server = {.host = STR("127.0.0.1"), .port = 1};
    ldap_query_t query = {.base = STR("dc=x")};
    ldap_entries_t entries;
    static const ldap_login_t LOGINS[] = {
        {{"uid=a", 5}, {"", 0}}, {{"", 0}, {"x", 1}}, {{"uid=a", 5}, {NULL, 0}}, {{"uid=a", 5}, {"a\0b", 3}}};
    for (size_t i = 0; i < sizeof(LOGINS) / sizeof(LOGINS[0]); i++) {
        err_t *err = ldap_search(*state, &server, &LOGINS[i], &query, &entries);
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
        TEST(urls_escape_what_would_end_a_part),
        TEST(entries_keep_their_values_apart),
        TEST(no_more_entries_are_kept_than_asked_for),
        TEST(an_empty_password_is_refused_before_any_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
