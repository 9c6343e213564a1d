#include "db/stmt_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static stmt_key_t key_of(const char *text, const char *role, const char *path)
{
    return stmt_cache_key(str_hash(str_from_c(text)), str_from_c(text), str_from_c(role), str_from_c(path));
}

static stmt_entry_t *add(stmt_cache_t *cache, const char *text)
{
    stmt_key_t key = key_of(text, "", "");
    stmt_entry_t *entry = stmt_cache_add(cache, &key);
    entry->state = STMT_STATE_READY;
    return entry;
}

static stmt_entry_t *find(stmt_cache_t *cache, const char *text)
{
    stmt_key_t key = key_of(text, "", "");
    return stmt_cache_find(cache, &key);
}

static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    stmt_cache_t *cache = stmt_cache_create(2);
    add(cache, "a");
    add(cache, "b");
    add(cache, "c");
    assert_non_null(find(cache, "a"));
    stmt_cache_trim(cache);
    assert_int_equal(stmt_cache_count(cache), 2);
    assert_null(find(cache, "b"));
    assert_non_null(find(cache, "a"));
    assert_non_null(find(cache, "c"));
    buf_t sql;
    buf_init(&sql, NULL, 0);
    assert_true(stmt_cache_next_close(cache, &sql));
    assert_true(str_eq(buf_str(&sql), STR("DEALLOCATE s2")));
    assert_false(stmt_cache_next_close(cache, &sql));
    buf_dispose(&sql);
    stmt_cache_destroy(cache);
}

static void what_is_in_flight_stays(void **state)
{
    (void)state;
    stmt_cache_t *cache = stmt_cache_create(1);
    stmt_entry_t *a = add(cache, "a");
    stmt_cache_pin(a);
    stmt_entry_t *b = add(cache, "b");
    stmt_cache_pin(b);
    stmt_cache_trim(cache);
    assert_int_equal(stmt_cache_count(cache), 2);
    stmt_cache_drop(cache, a, true); /* dead, but its segment still names it */
    assert_null(find(cache, "a"));
    assert_int_equal(a->state, STMT_STATE_DEAD);
    stmt_cache_drop(cache, a, true); /* twice is once */
    stmt_cache_unpin(a);
    stmt_cache_unpin(b);
    buf_t sql;
    buf_init(&sql, NULL, 0);
    assert_true(stmt_cache_next_close(cache, &sql));
    assert_false(stmt_cache_next_close(cache, &sql));
    buf_dispose(&sql);
    stmt_cache_destroy(cache);
}

static void names_are_never_used_twice(void **state)
{
    (void)state;
    stmt_cache_t *cache = stmt_cache_create(4);
    char first[12];
    snprintf(first, sizeof(first), "%s", add(cache, "a")->name);
    stmt_cache_clear(cache, false);
    assert_int_equal(stmt_cache_count(cache), 0);
    assert_string_not_equal(add(cache, "a")->name, first);
    stmt_cache_destroy(cache);
}

static void text_role_and_path_make_the_key(void **state)
{
    (void)state;
    static const char *const parts[][3] = {
        {"ab", "c", ""}, {"a", "bc", ""}, {"a", "b", "c"}, {"ab", "", "c"}};
    stmt_cache_t *cache = stmt_cache_create(10);
    for (int i = 0; i < 4; i++) {
        stmt_key_t key = key_of(parts[i][0], parts[i][1], parts[i][2]);
        key.hash = 1; /* a collision must not matter */
        assert_null(stmt_cache_find(cache, &key));
        stmt_entry_t *entry = stmt_cache_add(cache, &key);
        assert_ptr_equal(stmt_cache_find(cache, &key), entry);
    }
    assert_int_equal(stmt_cache_count(cache), 4);
    stmt_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(what_is_in_flight_stays),
        cmocka_unit_test(names_are_never_used_twice),
        cmocka_unit_test(text_role_and_path_make_the_key),
    };
    return cmocka_run_group_tests_name("db_stmt_cache", tests, NULL, NULL);
}
