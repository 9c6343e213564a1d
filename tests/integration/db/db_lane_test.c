/* Shared connections: what is sent behind each other must stay as separate as on connections of its own. */
#include "harness.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char ann[] = "{\"sub\":\"ann\"}";
static const char bob[] = "{\"sub\":\"bob\"}";

static void read_request(request_t *request, const char *role, const char *claims, const char *sql,
                         const char *param)
{
    test_request(request, role, claims, sql);
    request->spec.is_read_only = true;
    request->spec.is_exclusive = false;
    request->params[0] = str_from_c(param);
    request->stmts[0].params = request->params;
    request->stmts[0].param_count = param != NULL ? 1 : 0;
}

/* On a busy machine everything takes long: what counts here is that a sleep of a second is told from none. */
static db_pool_t *lane_pool(size_t size)
{
    db_pool_options_t options = {.name = STR("test"),
                                 .conninfo = test_uri("authenticator"),
                                 .size_max = size,
                                 .acquire_timeout_ms = TEST_PATIENCE_MS,
                                 .is_prepared = true,
                                 .share_limit_us = 50000};
    return db_pool_create(test_loop(), &options);
}

/* Runs it often enough, one at a time, to be known as quick. */
static void make_known(db_pool_t *pool, const request_t *request)
{
    for (int i = 0; i < 60; i++) {
        outcome_t outcome = {0};
        test_run(pool, request, &outcome);
        assert_int_equal(outcome.status, 0);
    }
}

static long inspect(db_pool_t *pool, const char *field)
{
    buf_t text;
    char name[64];
    buf_init(&text, NULL, 0);
    db_pool_inspect(pool, &text);
    buf_append_char(&text, '\0');
    snprintf(name, sizeof(name), "\"%s\":", field);
    const char *at = strstr(text.base, name);
    long value = at != NULL ? atol(at + strlen(name)) : -1;
    buf_dispose(&text);
    return value;
}

static void quick_reads_share_few_connections(void **state)
{
    (void)state;
    enum { COUNT = 24 };
    db_pool_t *pool = lane_pool(10);
    request_t request;
    outcome_t outcomes[COUNT] = {{0}};
    read_request(&request, "authenticated", ann, "select count(*) from t.item where id > $1::int", "0");
    for (int i = 0; i < COUNT; i++)
        test_submit(pool, &request, &outcomes[i]);
    for (int i = 0; i < COUNT; i++)
        assert_true(test_wait(&outcomes[i].is_done));
    db_pool_destroy(pool);

    pool = lane_pool(10);
    make_known(pool, &request);
    assert_int_equal(inspect(pool, "size"), 1);
    memset(outcomes, 0, sizeof(outcomes));
    for (int i = 0; i < 6; i++)
        test_submit(pool, &request, &outcomes[i]);
    assert_int_equal(inspect(pool, "busy"), 1);
    assert_int_equal(inspect(pool, "in_flight"), 6);
    for (int i = 0; i < COUNT * 20; i++) { /* others are opened, but no more than the lane has use for */
        outcome_t *outcome = &outcomes[i % COUNT];
        if (i >= 6) {
            if (outcome->tx != NULL)
                assert_true(test_wait(&outcome->is_done));
            *outcome = (outcome_t){0};
            test_submit(pool, &request, outcome);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        assert_true(test_wait(&outcomes[i].is_done));
        assert_string_equal(outcomes[i].last[0], "50");
    }
    assert_in_range(inspect(pool, "size"), 1, 4);
    db_pool_destroy(pool);
}

static void neighbours_on_a_connection_do_not_see_each_other(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    db_pool_t *pool = lane_pool(2);
    static request_t requests[COUNT];
    static outcome_t outcomes[COUNT];
    static char ids[COUNT][8];
    memset(outcomes, 0, sizeof(outcomes));
    const char *sql = "select current_user || ':' || string_agg(distinct owner, ','), 1 / ($1::int - 7) "
                      "from t.item where id >= $1::int";
    for (int i = 0; i < 3; i++) {
        read_request(&requests[i], i == 2 ? "service" : "authenticated", i == 0 ? ann : bob, sql, "1");
        make_known(pool, &requests[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%d", i % 11);
        read_request(&requests[i], i % 3 == 2 ? "service" : "authenticated", i % 3 == 0 ? ann : bob, sql,
                     ids[i]);
        test_submit(pool, &requests[i], &outcomes[i]);
        if (i % 5 == 4)
            db_tx_cancel(outcomes[i].tx);
    }
    int errors = 0;
    for (int i = 0; i < COUNT; i++) {
        if (i % 5 == 4)
            continue;
        assert_true(test_wait(&outcomes[i].is_done));
        if (i % 11 == 7) {
            errors++;
            assert_string_equal(outcomes[i].code, "22012");
            continue;
        }
        assert_int_equal(outcomes[i].status, 0);
        assert_string_equal(outcomes[i].last[0], i % 3 == 2   ? "service:ann,bob"
                                                 : i % 3 == 0 ? "authenticated:ann"
                                                              : "authenticated:bob");
    }
    assert_true(errors > 20);
    test_run_for(100);
    for (int i = 4; i < COUNT; i += 5)
        assert_false(outcomes[i].is_done);
    assert_int_equal(inspect(pool, "lost_connections"), 0);
    db_pool_destroy(pool);
}

static void a_statement_that_became_slow_no_longer_shares(void **state)
{
    (void)state;
    db_pool_t *pool = lane_pool(4);
    request_t quick, slow;
    outcome_t first = {0}, others[6] = {{0}};
    const char *sql = "select pg_sleep($1::float8)";
    read_request(&quick, "anon", NULL, sql, "0");
    read_request(&slow, "anon", NULL, sql, "1");
    make_known(pool, &quick);
    test_run(pool, &slow, &first);
    first = (outcome_t){0};
    test_run(pool, &slow, &first);
    for (int i = 0; i < 4; i++)
        test_submit(pool, &slow, &others[i]);
    test_run_for(50);
    assert_int_equal(inspect(pool, "in_flight"), inspect(pool, "busy"));
    for (int i = 0; i < 4; i++)
        assert_true(test_wait(&others[i].is_done));
    db_pool_destroy(pool);
}

static void a_big_result_does_not_share(void **state)
{
    (void)state;
    db_pool_t *pool = lane_pool(2);
    request_t request;
    outcome_t outcomes[3] = {{0}};
    read_request(&request, "anon", NULL, "select repeat('x', 40000)", NULL);
    make_known(pool, &request);
    for (int i = 0; i < 3; i++)
        test_submit(pool, &request, &outcomes[i]);
    assert_int_equal(inspect(pool, "in_flight"), inspect(pool, "busy"));
    for (int i = 0; i < 3; i++)
        assert_true(test_wait(&outcomes[i].is_done));
    db_pool_destroy(pool);
}

static void point_reads_are_answered_while_slow_queries_hold_the_pool(void **state)
{
    (void)state;
    enum { SLOW = 8 };
    db_pool_t *pool = lane_pool(4);
    request_t quick, slow;
    outcome_t slows[SLOW] = {{0}};
    read_request(&quick, "authenticated", ann, "select name from t.item where id = $1::int", "2");
    make_known(pool, &quick);
    test_request(&slow, "anon", NULL, "select pg_sleep(2)");
    for (int i = 0; i < SLOW; i++)
        test_submit(pool, &slow, &slows[i]);
    test_run_for(50);
    for (int i = 0; i < 20; i++) {
        outcome_t outcome = {0};
        int64_t began = clock_mono_us();
        test_run(pool, &quick, &outcome);
        assert_string_equal(outcome.last[0], "item 2");
        assert_true(outcome.done_us - began < 1500000);
    }
    for (int i = 0; i < SLOW; i++)
        assert_true(test_wait(&slows[i].is_done));
    db_pool_destroy(pool);
}

/* The quick ones never leave a gap by themselves: there are always some on the only connection. */
static void quick_reads_do_not_starve_the_others(void **state)
{
    (void)state;
    enum { QUICK = 6 };
    db_pool_t *pool = lane_pool(1);
    request_t quick, write;
    outcome_t outcomes[QUICK] = {{0}}, written = {0};
    read_request(&quick, "authenticated", ann, "select name from t.item where id = $1::int", "2");
    make_known(pool, &quick);
    test_request(&write, "service", NULL, "update t.item set name = name where id = 1");
    for (int i = 0; i < QUICK; i++)
        test_submit(pool, &quick, &outcomes[i]);
    test_submit(pool, &write, &written);
    int64_t began = clock_mono_us();
    for (int i = 0; !written.is_done && clock_mono_us() - began < TEST_PATIENCE_MS * 1000LL; i++) {
        outcome_t *outcome = &outcomes[i % QUICK];
        assert_true(test_wait(&outcome->is_done));
        *outcome = (outcome_t){0};
        test_submit(pool, &quick, outcome);
    }
    assert_true(written.is_done);
    assert_int_equal(written.status, 0);
    for (int i = 0; i < QUICK; i++)
        assert_true(test_wait(&outcomes[i].is_done));
    db_pool_destroy(pool);
}

static void a_table_changed_under_shared_reads_fails_none(void **state)
{
    (void)state;
    enum { COUNT = 12, ROUNDS = 12 };
    test_sql("drop table if exists t.shape; create table t.shape (a int); insert into t.shape values (1);"
             "grant select on t.shape to service");
    db_pool_t *pool = lane_pool(2);
    request_t request;
    static outcome_t outcomes[COUNT * ROUNDS];
    memset(outcomes, 0, sizeof(outcomes));
    read_request(&request, "service", NULL, "select * from t.shape", NULL);
    make_known(pool, &request);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            test_submit(pool, &request, &outcomes[round * COUNT + i]);
        test_run_for(round % 3);
        test_sql("alter table t.shape alter a type %s using a::text::int", round % 2 == 0 ? "bigint" : "int");
        if (round % 4 == 3)
            db_pool_flush_statements(pool);
    }
    for (int i = 0; i < COUNT * ROUNDS; i++) {
        assert_true(test_wait(&outcomes[i].is_done));
        if (outcomes[i].status != 0)
            fail_msg("%d: %s %s", i, outcomes[i].code, outcomes[i].message);
        assert_string_equal(outcomes[i].last[0], "1");
        assert_int_equal(outcomes[i].rows, 1);
    }
    assert_true(inspect(pool, "retries") > 0);
    db_pool_destroy(pool);
}

static void reads_behind_a_lost_one_run_elsewhere(void **state)
{
    (void)state;
    enum { COUNT = 8, ROUNDS = 20 };
    db_pool_t *pool = lane_pool(1);
    request_t request;
    read_request(&request, "authenticated", ann, "select name from t.item where id = $1::int", "2");
    make_known(pool, &request);
    int failures = 0;
    for (int round = 0; round < ROUNDS; round++) {
        outcome_t outcomes[COUNT] = {{0}};
        int pid = atoi(test_sql("select pid from pg_stat_activity where usename = 'authenticator'"));
        test_sql("select pg_terminate_backend(%d)", pid);
        for (int i = 0; i < COUNT; i++)
            test_submit(pool, &request, &outcomes[i]);
        for (int i = 0; i < COUNT; i++) {
            assert_true(test_wait(&outcomes[i].is_done));
            if (outcomes[i].status == 0) {
                assert_string_equal(outcomes[i].last[0], "item 2");
                assert_int_equal(outcomes[i].rows, 1);
            } else {
                failures++;
                assert_int_equal(outcomes[i].status, 503);
            }
        }
    }
    assert_in_range(failures, 0, ROUNDS);
    db_pool_destroy(pool);
}

int main(void)
{
    test_setup_schema();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_reads_share_few_connections),
        cmocka_unit_test(neighbours_on_a_connection_do_not_see_each_other),
        cmocka_unit_test(a_statement_that_became_slow_no_longer_shares),
        cmocka_unit_test(a_big_result_does_not_share),
        cmocka_unit_test(point_reads_are_answered_while_slow_queries_hold_the_pool),
        cmocka_unit_test(quick_reads_do_not_starve_the_others),
        cmocka_unit_test(a_table_changed_under_shared_reads_fails_none),
        cmocka_unit_test(reads_behind_a_lost_one_run_elsewhere),
    };
    return cmocka_run_group_tests_name("db_lane", tests, NULL, NULL);
}
