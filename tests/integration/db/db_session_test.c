/* Blocking sessions and the LISTEN connection. */
#include "harness.h"

#include "base/clock.h"
#include "db/listen.h"
#include "db/session.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const str_t ann = STR("{\"sub\":\"ann\",\"role\":\"authenticated\"}");

static db_sessions_t *sessions_of(size_t size, int timeout_ms)
{
    return db_sessions_create(test_uri("authenticator"), size, timeout_ms);
}

static void must(const err_t *err)
{
    if (err != NULL)
        fail_msg("%d %.*s %.*s", err->status, STR_ARG(err->code), STR_ARG(err->message));
}

/* One value of one statement as `role`, committed. */
static str_t one_value(db_sessions_t *sessions, pool_t *pool, str_t role, str_t claims, str_t sql)
{
    db_session_t *session;
    db_rows_t rows;
    must(
        db_session_begin(sessions, pool, &(db_session_who_t){.role = role, .claims_json = claims}, &session));
    must(db_session_query(session, sql, NULL, 0, &rows));
    str_t value = rows.row_count > 0 ? db_value(&rows, 0, 0) : STR_NULL;
    must(db_session_commit(session));
    return value;
}

static void assert_str(str_t value, const char *expected)
{
    if (!str_eq(value, str_from_c(expected)))
        fail_msg("'%.*s' is not '%s'", STR_ARG(value), expected);
}

static void a_session_runs_as_its_role_with_its_claims(void **state)
{
    (void)state;
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    assert_str(one_value(sessions, pool, STR("authenticated"), ann, STR("select current_user::text")),
               "authenticated");
    assert_str(one_value(sessions, pool, STR("authenticated"), ann, STR("select count(*) from t.item")),
               "50");
    assert_str(one_value(sessions, pool, STR("service"), STR_NULL, STR("select count(*) from t.item")),
               "100");
    assert_str(one_value(sessions, pool, STR_NULL, STR_NULL, STR("select current_user::text")),
               "authenticator");
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

static void parameters_nulls_and_column_names_come_through(void **state)
{
    (void)state;
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    db_session_t *session;
    db_rows_t rows;
    must(db_session_begin(sessions, pool, &(db_session_who_t){0}, &session));
    for (int i = 0; i < 3; i++)
        must(db_session_query(session, STR("select $1::text as a, $2::text as b, length($1::text) as n"),
                              DB_PARAMS(STR("it's \\ ünïcode"), STR_NULL), &rows));
    assert_str(db_value_named(&rows, 0, "a"), "it's \\ ünïcode");
    assert_true(str_is_null(db_value_named(&rows, 0, "b")));
    assert_str(db_value_named(&rows, 0, "n"), "14");
    assert_true(str_is_null(db_value_named(&rows, 0, "absent")));
    err_t *err = db_session_query(session, STR("select $1::text"), DB_PARAMS(((str_t){"a\0b", 3})), &rows);
    assert_non_null(err);
    assert_str(err->code, "22021");
    db_session_rollback(session);
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

static void rollback_and_savepoints_undo(void **state)
{
    (void)state;
    test_sql(
        "drop table if exists t.log; create table t.log (x int primary key); grant all on t.log to service");
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    db_session_who_t who = {.role = STR("service")};
    db_session_t *session;
    must(db_session_begin(sessions, pool, &who, &session));
    must(db_session_query(session, STR("insert into t.log values (1)"), NULL, 0, NULL));
    must(db_session_savepoint(session));
    err_t *err = db_session_query(session, STR("insert into t.log values (1)"), NULL, 0, NULL);
    assert_non_null(err);
    assert_int_equal(err->status, 409);
    must(db_session_rollback_to_savepoint(session));
    must(db_session_query(session, STR("insert into t.log values (2)"), NULL, 0, NULL));
    must(db_session_commit(session));
    must(db_session_begin(sessions, pool, &who, &session));
    must(db_session_query(session, STR("insert into t.log values (3)"), NULL, 0, NULL));
    db_session_rollback(session);
    assert_string_equal(test_sql("select string_agg(x::text, ',' order by x) from t.log"), "1,2");
    /* an error that is ignored must not look like a commit */
    must(db_session_begin(sessions, pool, &who, &session));
    assert_non_null(db_session_query(session, STR("insert into t.log values (1)"), NULL, 0, NULL));
    assert_non_null(db_session_commit(session));
    /* a session forgotten in its pool is rolled back and comes back */
    pool_t *inner = pool_create();
    must(db_session_begin(sessions, inner, &who, &session));
    must(db_session_query(session, STR("insert into t.log values (9)"), NULL, 0, NULL));
    pool_destroy(inner);
    assert_str(one_value(sessions, pool, STR("service"), STR_NULL, STR("select max(x) from t.log")), "2");
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

static void what_a_function_leaves_on_the_session_does_not_reach_another_caller(void **state)
{
    (void)state;
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    one_value(sessions, pool, STR("authenticated"), ann,
              STR("select set_config('app.secret', 'x', false), set_config('role', 'service', false), "
                  "pg_advisory_lock(7)::text"));
    assert_str(
        one_value(
            sessions, pool, STR("anon"), STR_NULL,
            STR("select current_user || ':' || coalesce(current_setting('app.secret', true), '') || ':' "
                "|| (select count(*) from pg_locks where locktype = 'advisory')")),
        "anon::0");
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

static void a_broken_connection_is_replaced(void **state)
{
    (void)state;
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    one_value(sessions, pool, STR_NULL, STR_NULL, STR("select 1"));
    test_sql("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'authenticator'");
    assert_str(one_value(sessions, pool, STR_NULL, STR_NULL, STR("select 2")), "2");
    db_session_t *session;
    must(db_session_begin(sessions, pool, &(db_session_who_t){0}, &session));
    test_sql("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'authenticator'");
    err_t *err = db_session_query(session, STR("select 3"), NULL, 0, NULL);
    assert_non_null(err);
    assert_int_equal(err->status, 503);
    db_session_rollback(session);
    assert_str(one_value(sessions, pool, STR_NULL, STR_NULL, STR("select 4")), "4");
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

static void a_changed_table_is_planned_anew(void **state)
{
    (void)state;
    test_sql("drop table if exists t.shape; create table t.shape (a int); insert into t.shape values (1);"
             "grant select on t.shape to service");
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    assert_str(one_value(sessions, pool, STR("service"), STR_NULL, STR("select * from t.shape")), "1");
    test_sql("alter table t.shape alter a type text using 'now ' || a");
    assert_str(one_value(sessions, pool, STR("service"), STR_NULL, STR("select * from t.shape")), "now 1");
    assert_str(one_value(sessions, pool, STR("service"), STR_NULL, STR("select * from t.shape")), "now 1");
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

static void queries_are_limited_in_time(void **state)
{
    (void)state;
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    db_session_t *session;
    must(db_session_begin(sessions, pool, &(db_session_who_t){.timeout_ms = 1000}, &session));
    err_t *err = db_session_query(session, STR("select pg_sleep(600)"), NULL, 0, NULL);
    assert_non_null(err);
    assert_str(err->code, "57014");
    db_session_rollback(session);
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

/* A stopped backend is what a black-holed network looks like. */
static void a_thread_is_not_stuck_with_a_server_that_stopped_answering(void **state)
{
    (void)state;
    db_sessions_t *sessions = sessions_of(1, 1000);
    pool_t *pool = pool_create();
    db_session_t *session;
    db_rows_t rows;
    must(db_session_begin(sessions, pool, &(db_session_who_t){.timeout_ms = 2000}, &session));
    must(db_session_query(session, STR("select pg_backend_pid()"), NULL, 0, &rows));
    int pid = atoi(db_value(&rows, 0, 0).base);
    kill(pid, SIGSTOP);
    int64_t began = clock_mono_us();
    err_t *err = db_session_query(session, STR("select 1"), NULL, 0, NULL);
    assert_true(clock_mono_us() - began < TEST_PATIENCE_MS * 1000LL);
    kill(pid, SIGCONT);
    assert_non_null(err);
    assert_str(err->code, "PGRST001");
    assert_non_null(db_session_commit(session));
    assert_str(one_value(sessions, pool, STR_NULL, STR_NULL, STR("select 2")), "2");
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

typedef struct {
    db_sessions_t *sessions;
    int failures, timeouts;
} hammer_t;

static void *hammer(void *arg)
{
    hammer_t *h = arg;
    for (int i = 0; i < 40; i++) {
        pool_t *pool = pool_create();
        db_session_t *session;
        db_rows_t rows;
        bool is_anon = i % 2 == 0;
        str_t role = is_anon ? STR("anon") : STR("service");
        err_t *err = db_session_begin(h->sessions, pool, &(db_session_who_t){.role = role}, &session);
        if (err != NULL) {
            h->timeouts++;
        } else {
            err = db_session_query(session, STR("select current_user::text"), NULL, 0, &rows);
            if (err != NULL || !str_eq(db_value(&rows, 0, 0), role))
                h->failures++;
            if (db_session_commit(session) != NULL)
                h->failures++;
        }
        pool_destroy(pool);
    }
    return NULL;
}

static void many_threads_share_few_connections(void **state)
{
    (void)state;
    enum { THREADS = 12 };
    db_sessions_t *sessions = sessions_of(3, 20000);
    pthread_t threads[THREADS];
    hammer_t hammers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        hammers[i] = (hammer_t){.sessions = sessions};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(hammers[i].failures, 0);
        assert_int_equal(hammers[i].timeouts, 0);
    }
    assert_true(atoi(test_sql("select count(*) from pg_stat_activity where usename = 'authenticator'")) <= 3);
    db_sessions_destroy(sessions);
}

static void no_free_session_in_time_is_504(void **state)
{
    (void)state;
    db_sessions_t *sessions = sessions_of(1, 100);
    pool_t *pool = pool_create();
    db_session_t *first, *second;
    must(db_session_begin(sessions, pool, &(db_session_who_t){0}, &first));
    err_t *err = db_session_begin(sessions, pool, &(db_session_who_t){0}, &second);
    assert_non_null(err);
    assert_int_equal(err->status, 504);
    assert_str(err->code, "PGRST003");
    db_session_rollback(first);
    must(db_session_begin(sessions, pool, &(db_session_who_t){0}, &second));
    db_session_rollback(second);
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

/* --- LISTEN --- */

typedef struct {
    bool is_ready, is_lost, has_news;
    int ready_count;
    char last[128];
} heard_t;

static void on_ready(void *arg)
{
    heard_t *heard = arg;
    heard->is_ready = true;
    heard->ready_count++;
}

static void on_notify(void *arg, str_t channel, str_t payload)
{
    heard_t *heard = arg;
    heard->has_news = true;
    snprintf(heard->last, sizeof(heard->last), "%.*s=%.*s", STR_ARG(channel), STR_ARG(payload));
}

static void on_lost(void *arg)
{
    ((heard_t *)arg)->is_lost = true;
}

static void a_lost_listener_comes_back_and_says_that_it_was_away(void **state)
{
    (void)state;
    heard_t heard = {0};
    const str_t channels[] = {STR("plain"), STR("Odd \"name\"")};
    const db_listen_handlers_t handlers = {on_ready, on_notify, on_lost};
    db_listen_t *listen =
        db_listen_create(test_loop(), test_uri("authenticator"), channels, 2, &handlers, &heard);
    assert_true(test_wait(&heard.is_ready));
    test_sql("select pg_notify('Odd \"name\"', 'one')");
    assert_true(test_wait(&heard.has_news));
    assert_string_equal(heard.last, "Odd \"name\"=one");

    heard.is_ready = heard.has_news = false;
    test_sql("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'authenticator'");
    assert_true(test_wait(&heard.is_lost));
    assert_false(db_listen_is_up(listen));
    assert_true(test_wait(&heard.is_ready));
    assert_int_equal(heard.ready_count, 2);
    test_sql("notify plain, 'two'");
    assert_true(test_wait(&heard.has_news));
    assert_string_equal(heard.last, "plain=two");
    db_listen_destroy(listen);
}

static void a_listener_that_stopped_answering_is_noticed(void **state)
{
    (void)state;
    heard_t heard = {0};
    const str_t channels[] = {STR("plain")};
    const db_listen_handlers_t handlers = {on_ready, on_notify, on_lost};
    db_listen_t *listen =
        db_listen_create(test_loop(), test_uri("authenticator"), channels, 1, &handlers, &heard);
    assert_true(test_wait(&heard.is_ready));
    int pid = atoi(test_sql("select pid from pg_stat_activity where usename = 'authenticator'"));
    kill(pid, SIGSTOP);
    heard.is_ready = false;
    bool is_noticed = test_wait(&heard.is_lost);
    kill(pid, SIGCONT);
    assert_true(is_noticed);
    assert_true(test_wait(&heard.is_ready));
    db_listen_destroy(listen);
}

int main(void)
{
    test_setup_schema();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_runs_as_its_role_with_its_claims),
        cmocka_unit_test(parameters_nulls_and_column_names_come_through),
        cmocka_unit_test(rollback_and_savepoints_undo),
        cmocka_unit_test(what_a_function_leaves_on_the_session_does_not_reach_another_caller),
        cmocka_unit_test(a_broken_connection_is_replaced),
        cmocka_unit_test(a_changed_table_is_planned_anew),
        cmocka_unit_test(queries_are_limited_in_time),
        cmocka_unit_test(a_thread_is_not_stuck_with_a_server_that_stopped_answering),
        cmocka_unit_test(many_threads_share_few_connections),
        cmocka_unit_test(no_free_session_in_time_is_504),
        cmocka_unit_test(a_lost_listener_comes_back_and_says_that_it_was_away),
        cmocka_unit_test(a_listener_that_stopped_answering_is_noticed),
    };
    return cmocka_run_group_tests_name("db_session", tests, NULL, NULL);
}
