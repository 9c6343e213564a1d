/* The pool: who waits, who fails, what survives. */
#include "harness.h"

#include "base/clock.h"

#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void waiting_is_first_come_first_served(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    db_pool_t *pool = test_pool(1, 5000);
    request_t requests[COUNT];
    outcome_t outcomes[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) {
        test_request(&requests[i], "anon", NULL,
                     i == 0 ? "select pg_sleep(0.2)" : "select clock_timestamp()");
        test_submit(pool, &requests[i], &outcomes[i]);
    }
    assert_true(test_wait(&outcomes[COUNT - 1].is_done));
    for (int i = 0; i < COUNT; i++) {
        assert_true(outcomes[i].is_done);
        assert_int_equal(outcomes[i].status, 0);
        if (i > 1)
            assert_true(strcmp(outcomes[i - 1].last[0], outcomes[i].last[0]) < 0);
    }
    assert_string_equal(test_sql("select count(*) from pg_stat_activity where usename = 'authenticator'"),
                        "1");
    db_pool_destroy(pool);
}

/* Asks until there is an answer: a server may be about to start. */
static bool is_served(db_pool_t *pool)
{
    int64_t end = clock_mono_us() + TEST_PATIENCE_MS * 1000LL;
    while (test_query(pool, "anon", NULL, "select 1").status != 0)
        if (clock_mono_us() > end)
            return false;
    return true;
}

static void waiting_too_long_is_504_and_too_many_is_503(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = test_uri("authenticator"),
                                 .size_max = 1,
                                 .acquire_timeout_ms = 150,
                                 .queue_max = 2,
                                 .is_prepared = true};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    test_query(pool, "anon", NULL, "select 1");
    request_t slow, quick;
    outcome_t first = {0}, waits[2] = {{0}}, refused = {0};
    test_request(&slow, "anon", NULL, "select pg_sleep(2)");
    test_request(&quick, "anon", NULL, "select 1");
    test_submit(pool, &slow, &first);
    int64_t began = clock_mono_us();
    test_submit(pool, &quick, &waits[0]);
    test_submit(pool, &quick, &waits[1]);
    test_submit(pool, &quick, &refused);
    assert_false(refused.is_done); /* never before submit returns */
    assert_true(test_wait(&refused.is_done));
    assert_int_equal(refused.status, 503);
    assert_true(test_wait(&waits[1].is_done));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waits[i].status, 504);
        assert_string_equal(waits[i].code, "PGRST003");
        assert_string_equal(waits[i].message, "Timed out acquiring connection from connection pool.");
        assert_true(waits[i].done_us - began >= 140000);
    }
    assert_true(test_wait(&first.is_done));
    assert_int_equal(first.status, 0);
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    db_pool_destroy(pool);
}

static void a_database_that_was_never_there_is_503_at_once(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = STR("host=/nonexistent dbname=x"),
                                 .size_max = 2,
                                 .acquire_timeout_ms = 60000};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    int64_t began = clock_mono_us();
    outcome_t outcome = test_query(pool, "anon", NULL, "select 1");
    assert_int_equal(outcome.status, 503);
    assert_string_equal(outcome.code, "PGRST000");
    assert_string_equal(outcome.message, "Database connection error.");
    assert_true(outcome.has_details);
    assert_true(clock_mono_us() - began < 60000000);
    assert_false(db_pool_is_up(pool));
    /* a corrected configuration takes effect without a restart */
    options.conninfo = test_uri("authenticator");
    db_pool_set_options(pool, &options);
    assert_true(is_served(pool));
    assert_true(db_pool_is_up(pool));
    db_pool_destroy(pool);
}

static void new_options_replace_the_connections(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = test_uri("authenticator"),
                                 .size_max = 2,
                                 .acquire_timeout_ms = 60000,
                                 .is_prepared = true};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    request_t request;
    outcome_t slow = {0}, other = {0};
    test_request(&request, NULL, NULL, "select current_setting('application_name'), pg_sleep(0.1)");
    test_submit(pool, &request, &slow);
    test_run(pool, &request, &other);
    assert_true(test_wait(&slow.is_done));
    char conninfo[600];
    snprintf(conninfo, sizeof(conninfo), "%s application_name=renewed", test_uri("authenticator").base);
    options.conninfo = str_from_c(conninfo);
    options.size_max = 1;
    test_submit(pool, &request, &slow); /* begun before, ends as it began */
    db_pool_set_options(pool, &options);
    other = (outcome_t){0};
    test_run(pool, &request, &other);
    assert_int_equal(other.status, 0);
    assert_string_equal(other.last[0], "renewed");
    assert_int_equal(slow.status, 0);
    assert_string_equal(slow.last[0], "basalt");
    assert_true(test_comes("select string_agg(application_name, ',') from pg_stat_activity "
                           "where usename = 'authenticator'",
                           "renewed"));
    db_pool_destroy(pool);
}

static void a_wrong_password_or_login_is_503_with_its_reason(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = test_uri("no_such_login"),
                                 .size_max = 2};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    outcome_t outcome = test_query(pool, "anon", NULL, "select 1");
    assert_string_equal(outcome.code, "PGRST000");
    assert_non_null(strstr(outcome.details, "no_such_login"));
    db_pool_destroy(pool);
}

static const char SLEEPING[] =
    "select count(*) from pg_stat_activity where usename = 'authenticator' and state = 'active'";

static void the_query_of_a_client_that_left_is_cancelled(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(2, 600000);
    request_t request;
    outcome_t outcomes[3] = {{0}};
    test_request(&request, "anon", NULL, "select pg_sleep(600)");
    for (int i = 0; i < 3; i++)
        test_submit(pool, &request, &outcomes[i]);
    assert_true(test_comes(SLEEPING, "2"));
    for (int i = 2; i >= 0; i--)
        db_tx_cancel(outcomes[i].tx);
    assert_true(test_comes(SLEEPING, "0"));
    for (int i = 0; i < 3; i++)
        assert_false(outcomes[i].is_done);
    /* the same connections, no stray cancel */
    for (int i = 0; i < 20; i++)
        assert_int_equal(test_query(pool, "anon", NULL, "select pg_sleep(0.01)").status, 0);
    buf_t text;
    buf_init(&text, NULL, 0);
    db_pool_inspect(pool, &text);
    assert_true(str_find(buf_str(&text), STR("\"lost_connections\":0"), 0) != SIZE_MAX);
    assert_true(str_find(buf_str(&text), STR("\"cancels\":2"), 0) != SIZE_MAX);
    buf_dispose(&text);
    db_pool_destroy(pool);
}

/* A cancel must never reach the query that comes next on the connection. */
static void cancels_hit_only_their_own_query(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(2, 5000);
    request_t slow, quick;
    test_request(&slow, "anon", NULL, "select pg_sleep(0.021)");
    test_request(&quick, "service", NULL, "select pg_sleep(0.002)");
    for (int i = 0; i < 150; i++) {
        outcome_t left = {0}, stays[3] = {{0}};
        test_submit(pool, &slow, &left);
        for (int j = 0; j < 3; j++)
            test_submit(pool, &quick, &stays[j]);
        test_run_for(i % 4);
        if (!left.is_done)
            db_tx_cancel(left.tx);
        for (int j = 0; j < 3; j++) {
            assert_true(test_wait(&stays[j].is_done));
            assert_int_equal(stays[j].status, 0);
        }
    }
    db_pool_destroy(pool);
}

static void losing_a_connection_fails_only_its_own_transaction(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    db_pool_t *pool = test_pool(4, 10000);
    request_t request;
    static outcome_t outcomes[COUNT];
    memset(outcomes, 0, sizeof(outcomes));
    test_request(&request, "anon", NULL, "select current_user, pg_sleep(0.01)");
    for (int i = 0; i < COUNT; i++)
        test_submit(pool, &request, &outcomes[i]);
    int killed = 0;
    while (!outcomes[COUNT - 1].is_done && killed < 200) {
        test_run_for(20);
        killed +=
            atoi(test_sql("select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity "
                          "where usename = 'authenticator' order by random() limit 1) x"));
    }
    assert_true(test_wait(&outcomes[COUNT - 1].is_done));
    test_run_for(200);
    int failures = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_true(outcomes[i].is_done);
        if (outcomes[i].status == 0) {
            assert_string_equal(outcomes[i].last[0], "anon");
            continue;
        }
        failures++;
        assert_int_equal(outcomes[i].status, 503);
    }
    assert_true(killed > 3);
    assert_in_range(failures, 1, killed);
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    db_pool_destroy(pool);
}

static bool is_write_running(void)
{
    return atoi(test_sql("select count(*) from pg_stat_activity where usename = 'authenticator' and "
                         "wait_event = 'PgSleep'")) > 0;
}

static void a_write_is_never_repeated_by_itself(void **state)
{
    (void)state;
    test_sql("drop table if exists t.once; create table t.once (x serial); grant all on t.once to service;"
             "grant all on sequence t.once_x_seq to service");
    db_pool_t *pool = test_pool(1, 5000);
    request_t request;
    for (int i = 0; i < 5; i++) {
        outcome_t outcome = {0};
        test_request(&request, "service", NULL,
                     "with x as (insert into t.once default values returning 1) "
                     "select pg_sleep(600) from x");
        test_submit(pool, &request, &outcome);
        for (int tries = 0; tries < 6000 && !is_write_running(); tries++)
            test_run_for(10);
        test_sql(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'authenticator'");
        assert_true(test_wait(&outcome.is_done));
        assert_int_equal(outcome.status, 503);
        assert_string_equal(outcome.code, "57P01");
    }
    test_run_for(500);
    assert_string_equal(test_sql("select count(*) from t.once"), "0");
    db_pool_destroy(pool);
}

static int states_seen;
static void on_state(void *arg, bool is_up)
{
    *(bool *)arg = is_up;
    states_seen++;
}

static void a_killed_database_is_found_again(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(4, 3000);
    bool is_up = false;
    states_seen = 0;
    db_pool_on_state(pool, on_state, &is_up);
    for (int round = 0; round < 3; round++) {
        assert_true(is_served(pool)); /* the test before may have left a server that starts */
        assert_true(is_up);
        states_seen = 0;
        test_kill_server();
        request_t request;
        outcome_t during = {0};
        test_request(&request, "anon", NULL, "select 1");
        test_run_for(1500);
        test_run(pool, &request, &during);
        assert_int_equal(during.status, 503);
        assert_false(is_up);
        test_start_server();
        int64_t began = clock_mono_us();
        assert_true(is_served(pool));
        printf("found again after %lld ms\n", (long long)(clock_mono_us() - began) / 1000);
        assert_int_equal(states_seen, 2); /* down and up */
    }
    db_pool_destroy(pool);
}

static bool has_lost_one(const db_pool_t *pool)
{
    buf_t text;
    buf_init(&text, NULL, 0);
    db_pool_inspect(pool, &text);
    bool has = str_find(buf_str(&text), STR("\"lost_connections\":0"), 0) == SIZE_MAX;
    buf_dispose(&text);
    return has;
}

static void requests_in_a_short_outage_only_wait(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(2, 5000);
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    /* one crashing backend restarts all others */
    int pid = atoi(test_query(pool, "anon", NULL, "select pg_backend_pid()").last[0]);
    kill(pid, SIGKILL);
    for (int i = 0; i < 12000 && !has_lost_one(pool); i++)
        test_run_for(5);
    int64_t began = clock_mono_us();
    int failures = 0;
    do
        failures += test_query(pool, "anon", NULL, "select 1").status != 0;
    while (!db_pool_is_up(pool) || clock_mono_us() - began < 300000);
    /* a machine that needs longer than the grace second to restart may refuse */
    if (clock_mono_us() - began < 900000)
        assert_int_equal(failures, 0);
    db_pool_destroy(pool);
    test_run_for(500);
}

static long resident_kib(void)
{
    long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &ignored, &pages) != 2)
        abort();
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void a_slow_reader_of_a_big_result_costs_little_memory(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(2, 5000);
    test_query(pool, "anon", NULL, "select 1");
    request_t request;
    outcome_t outcome = {.pause_at_row = 1000};
    test_request(&request, "anon", NULL, "select repeat('x', 1000) || i from generate_series(1, 100000) i");
    long before = resident_kib(), most = 0;
    test_submit(pool, &request, &outcome);
    while (!outcome.is_done) {
        assert_true(test_wait(&outcome.is_paused) || outcome.is_done);
        if (outcome.rows == 5000) {
            size_t rows = outcome.rows;
            test_run_for(200); /* paused: nothing may come */
            assert_int_equal(outcome.rows, rows);
            /* others are served meanwhile */
            assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
        }
        most = resident_kib() > most ? resident_kib() : most;
        outcome.is_paused = false;
        if (!outcome.is_done)
            db_tx_resume(outcome.tx);
        if (outcome.rows == 100000)
            assert_true(test_wait(&outcome.is_done));
    }
    assert_int_equal(outcome.status, 0);
    assert_int_equal(outcome.rows, 100000);
    assert_true(outcome.bytes > 100000000);
    printf("100 MB result: %ld KiB more resident\n", most - before);
#ifndef __SANITIZE_ADDRESS__
    assert_true(most - before < 8192);
#endif
    /* leaving while paused gives the connection back */
    outcome_t left = {.pause_at_row = 1000};
    test_submit(pool, &request, &left);
    assert_true(test_wait(&left.is_paused));
    db_tx_cancel(left.tx);
    assert_true(test_comes(SLEEPING, "0"));
    db_pool_destroy(pool);
}

static void memory_of_huge_values_is_given_back(void **state)
{
    (void)state;
    enum { SIZE = 16 * 1024 * 1024 };
    db_pool_t *pool = test_pool(1, 5000);
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    char *value = malloc(SIZE);
    memset(value, 'x', SIZE);
    long before = resident_kib();
    request_t request;
    outcome_t outcome = {0};
    test_request(&request, "anon", NULL, "select length($1), $1");
    request.params[0] = str_make(value, SIZE);
    request.stmts[0].params = request.params;
    request.stmts[0].param_count = 1;
    test_run(pool, &request, &outcome);
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.last[0], "16777216");
    test_run_for(2200);
    long after = resident_kib();
    printf("16 MiB there and back: %ld KiB more resident\n", after - before);
#ifndef __SANITIZE_ADDRESS__
    assert_true(after - before < 2048);
#endif
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    free(value);
    db_pool_destroy(pool);
}

/* One handler cancels another transaction on the same connection while all are told of the end. */
static outcome_t *victim;

static void cancel_victim(void *arg, const err_t *error)
{
    *(bool *)arg = true;
    assert_non_null(error);
    if (victim->tx != NULL)
        db_tx_cancel(victim->tx);
    victim->tx = NULL;
}

static void a_handler_may_cancel_another_at_the_end_of_the_pool(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = test_uri("authenticator"),
                                 .size_max = 1,
                                 .is_prepared = true,
                                 .share_limit_us = 1000000};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    request_t request;
    test_request(&request, "anon", NULL, "select pg_sleep(0.001 + $1::float8)");
    request.params[0] = STR("0");
    request.stmts[0].params = request.params;
    request.stmts[0].param_count = 1;
    request.spec.is_exclusive = false;
    request.spec.is_read_only = true;
    for (int i = 0; i < 30; i++) {
        outcome_t outcome = {0};
        test_run(pool, &request, &outcome);
    }
    outcome_t behind = {0};
    bool is_done = false;
    request.params[0] = STR("1");
    db_tx_handlers_t handlers = {.on_done = cancel_victim};
    victim = &behind;
    db_tx_submit(pool, &request.spec, &handlers, &is_done);
    test_submit(pool, &request, &behind);
    test_run_for(100);
    db_pool_destroy(pool);
    assert_true(is_done);
    assert_false(behind.is_done);
    /* the server ends the statement before it sees that nobody listens */
    assert_true(test_comes("select count(*) from pg_stat_activity where usename = 'authenticator'", "0"));
}

static void connections_are_closed_when_idle_or_old(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = test_uri("authenticator"),
                                 .size_max = 3,
                                 .idle_timeout_ms = 2000,
                                 .is_prepared = true};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    request_t request;
    outcome_t outcomes[3] = {{0}};
    test_request(&request, "anon", NULL, "select pg_sleep(0.1)");
    for (int i = 0; i < 3; i++)
        test_submit(pool, &request, &outcomes[i]);
    for (int i = 0; i < 3; i++)
        assert_true(test_wait(&outcomes[i].is_done));
    const char *open = "select count(*) from pg_stat_activity where usename = 'authenticator'";
    assert_string_equal(test_sql("%s", open), "3");
    assert_true(test_comes(open, "0"));
    assert_true(db_pool_is_up(pool));
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    db_pool_destroy(pool);
}

/* Our own speaker of the protocol would read ciphertext. */
static void an_encrypted_connection_goes_through_libpq(void **state)
{
    (void)state;
    static const char conninfo[] = "host=127.0.0.1 sslmode=require dbname=postgres user=authenticator";
    db_pool_options_t options = {
        .name = STR("test"), .conninfo = str_from_c(conninfo), .size_max = 2, .is_prepared = true};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    for (int i = 0; i < 3; i++) {
        outcome_t outcome =
            test_query(pool, NULL, NULL, "select ssl from pg_stat_ssl where pid = pg_backend_pid()");
        assert_int_equal(outcome.status, 0);
        assert_string_equal(outcome.last[0], "t");
    }
    outcome_t outcome =
        test_query(pool, "anon", NULL, "select repeat('x', 1000) from generate_series(1, 5000)");
    assert_int_equal(outcome.rows, 5000);
    db_pool_destroy(pool);
}

static void destroying_the_pool_tells_all_that_wait(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 5000);
    request_t request;
    outcome_t outcomes[3] = {{0}};
    test_request(&request, "anon", NULL, "select pg_sleep(5)");
    for (int i = 0; i < 3; i++)
        test_submit(pool, &request, &outcomes[i]);
    test_run_for(100);
    db_pool_destroy(pool);
    for (int i = 0; i < 3; i++) {
        assert_true(outcomes[i].is_done);
        assert_int_equal(outcomes[i].status, 503);
    }
}

/* A stopped backend is what a black-holed network looks like: no end, no answer. */
static void a_server_that_stopped_answering_costs_one_deadline(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    int pid = atoi(test_query(pool, "anon", NULL, "select pg_backend_pid()").last[0]);
    kill(pid, SIGSTOP);
    request_t request;
    outcome_t outcome = {0};
    test_request(&request, "anon", NULL, "select 1");
    const db_setting_t timeout = {STR("statement_timeout"), STR("500ms")};
    request.spec.role_settings = &timeout; /* as "alter role .. set statement_timeout" reaches it */
    request.spec.role_setting_count = 1;
    int64_t began = clock_mono_us();
    test_run(pool, &request, &outcome);
    assert_string_equal(outcome.code, "PGRST001");
    assert_string_equal(outcome.details, "no answer in time");
    assert_true(outcome.done_us - began < TEST_PATIENCE_MS * 1000LL);
    assert_int_equal(test_query(pool, "anon", NULL, "select 1").status, 0);
    kill(pid, SIGKILL); /* the server restarts */
    db_pool_destroy(pool);
    test_run_for(300);
    test_sql("select 1");
}

int main(void)
{
    mallopt(M_MMAP_THRESHOLD, 256 * 1024); /* as the gateway does */
    test_setup_schema();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_is_first_come_first_served),
        cmocka_unit_test(waiting_too_long_is_504_and_too_many_is_503),
        cmocka_unit_test(a_database_that_was_never_there_is_503_at_once),
        cmocka_unit_test(new_options_replace_the_connections),
        cmocka_unit_test(a_wrong_password_or_login_is_503_with_its_reason),
        cmocka_unit_test(the_query_of_a_client_that_left_is_cancelled),
        cmocka_unit_test(cancels_hit_only_their_own_query),
        cmocka_unit_test(losing_a_connection_fails_only_its_own_transaction),
        cmocka_unit_test(a_write_is_never_repeated_by_itself),
        cmocka_unit_test(a_slow_reader_of_a_big_result_costs_little_memory),
        cmocka_unit_test(memory_of_huge_values_is_given_back),
        cmocka_unit_test(a_handler_may_cancel_another_at_the_end_of_the_pool),
        cmocka_unit_test(connections_are_closed_when_idle_or_old),
        cmocka_unit_test(an_encrypted_connection_goes_through_libpq),
        cmocka_unit_test(destroying_the_pool_tells_all_that_wait),
        cmocka_unit_test(a_server_that_stopped_answering_costs_one_deadline),
        cmocka_unit_test(requests_in_a_short_outage_only_wait),
        cmocka_unit_test(a_killed_database_is_found_again),
    };
    return cmocka_run_group_tests_name("db_pool", tests, NULL, NULL);
}
