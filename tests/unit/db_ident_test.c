#include "db/ident.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct {
    const char *in, *out;
} pair_t;

static void check(void (*append)(buf_t *, str_t), const pair_t *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_t sql;
        buf_init(&sql, NULL, 0);
        append(&sql, str_from_c(pairs[i].in));
        buf_append_char(&sql, '\0');
        assert_string_equal(sql.base, pairs[i].out);
        buf_dispose(&sql);
    }
}

static void names_are_always_quoted_and_cannot_end_the_quotes(void **state)
{
    (void)state;
    const pair_t pairs[] = {
        {"plain", "\"plain\""},
        {"", "\"\""},
        {"Mixed Case", "\"Mixed Case\""},
        {"a\"b", "\"a\"\"b\""},
        {"\"", "\"\"\"\""},
        {"x\"; drop table y; --", "\"x\"\"; drop table y; --\""},
        {"it's \\ ü", "\"it's \\ ü\""},
    };
    check(ident_append, pairs, sizeof(pairs) / sizeof(pairs[0]));
    buf_t sql;
    buf_init(&sql, NULL, 0);
    ident_append_qualified(&sql, STR("a.b"), STR("c\"d"));
    assert_true(str_eq(buf_str(&sql), STR("\"a.b\".\"c\"\"d\"")));
    buf_dispose(&sql);
}

static void literals_are_safe_whatever_standard_conforming_strings_says(void **state)
{
    (void)state;
    const pair_t pairs[] = {
        {"plain", "'plain'"},
        {"", "''"},
        {"it's", "'it''s'"},
        {"'; drop table y; --", "'''; drop table y; --'"},
        {"back\\slash", " E'back\\\\slash'"},
        {"\\'", " E'\\\\'''"},
    };
    check(ident_append_literal, pairs, sizeof(pairs) / sizeof(pairs[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_always_quoted_and_cannot_end_the_quotes),
        cmocka_unit_test(literals_are_safe_whatever_standard_conforming_strings_says),
    };
    return cmocka_run_group_tests_name("db_ident", tests, NULL, NULL);
}
