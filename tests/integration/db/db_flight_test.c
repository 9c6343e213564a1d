/* Statements that travel with BEGIN and COMMIT, and deadlines: each case twice, since a statement goes along
 * only from its second time on a connection. */
#include "harness.h"

#include "base/clock.h"
#include "db/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SERVICE (&(db_session_who_t){.role = STR("service")})
#define ADD STR("insert into t.flight values ($1::int) returning n")

typedef struct {
    db_sessions_t *sessions;
    pool_t *pool;
} scene_t;

static int make_scene(void **state)
{
    scene_t *scene = calloc(1, sizeof(*scene));
    test_sql(
        "drop table if exists t.flight; create table t.flight (n int unique deferrable initially deferred);"
        "grant all on t.flight to service, authenticator; grant usage on schema t to authenticator");
    scene->sessions = db_sessions_create(test_uri("authenticator"), 1, 1000);
    scene->pool = pool_create();
    *state = scene;
    return 0;
}

static int end_scene(void **state)
{
    scene_t *scene = *state;
    pool_destroy(scene->pool);
    db_sessions_destroy(scene->sessions);
    free(scene);
    return 0;
}

static void must(const err_t *err)
{
    if (err != NULL)
        fail_msg("%d %.*s %.*s", err->status, STR_ARG(err->code), STR_ARG(err->message));
}

static void assert_code(const err_t *err, const char *code)
{
    assert_non_null(err);
    if (!str_eq(err->code, str_from_c(code)))
        fail_msg("'%.*s' is not '%s'", STR_ARG(err->code), code);
}

static void add(scene_t *scene, const char *n)
{
    db_rows_t rows = {0};
    must(db_session_write(scene->sessions, scene->pool, SERVICE, ADD, DB_PARAMS(str_from_c(n)), &rows));
    assert_true(str_eq(db_value(&rows, 0, 0), str_from_c(n)));
}

static err_t *add_late(scene_t *scene, int64_t left_us, str_t sql)
{
    db_session_who_t who = {.role = STR("service"), .deadline_us = clock_mono_us() + left_us};
    return db_session_write(scene->sessions, scene->pool, &who, sql, NULL, 0, NULL);
}

static void writes_are_kept_and_reads_leave_nothing(void **state)
{
    scene_t *scene = *state;
    for (int i = 0; i < 3; i++)
        add(scene, (const char *[]){"1", "2", "3"}[i]);
    for (int i = 0; i < 3; i++)
        must(db_session_read(scene->sessions, scene->pool, SERVICE, ADD, DB_PARAMS(STR("9")), NULL));
    assert_string_equal(test_sql("select string_agg(n::text, ',' order by n) from t.flight"), "1,2,3");
}

static void errors_of_statement_and_commit_come_through_and_keep_nothing(void **state)
{
    scene_t *scene = *state;
    add(scene, "1");
    add(scene, "2");
    for (int i = 0; i < 2; i++) {
        assert_code(db_session_write(scene->sessions, scene->pool, SERVICE, ADD, DB_PARAMS(STR("1")), NULL),
                    "23505");
        assert_code(db_session_write(scene->sessions, scene->pool, SERVICE, ADD, DB_PARAMS(STR("x")), NULL),
                    "22P02");
        db_session_who_t nobody = {.role = STR("no_such_role")};
        assert_code(db_session_write(scene->sessions, scene->pool, &nobody, ADD, DB_PARAMS(STR("8")), NULL),
                    "22023");
    }
    assert_string_equal(test_sql("select count(*) from t.flight"), "2");
    add(scene, "3");
}

static void a_last_statement_takes_commit_along(void **state)
{
    scene_t *scene = *state;
    static const char *const FIRST[] = {"1", "3", "5"}, *const LAST[] = {"2", "4", "5"};
    for (int i = 0; i < 3; i++) {
        db_session_t *session;
        must(db_session_begin(scene->sessions, scene->pool, SERVICE, &session));
        must(db_session_query(session, ADD, DB_PARAMS(str_from_c(FIRST[i])), NULL));
        err_t *err = db_session_query_commit(session, ADD, DB_PARAMS(str_from_c(LAST[i])), NULL);
        if (i < 2)
            must(err);
        else
            assert_code(err, "23505"); /* found by COMMIT */
    }
    assert_string_equal(test_sql("select string_agg(n::text, ',' order by n) from t.flight"), "1,2,3,4");
}

static void a_connection_that_ended_while_idle_costs_nothing(void **state)
{
    scene_t *scene = *state;
    static const char *const NUMBERS[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++) {
        add(scene, NUMBERS[i]);
        if (i % 2 == 1)
            test_sql("select count(pg_terminate_backend(pid, 1000)) from pg_stat_activity where usename = "
                     "'authenticator'");
    }
    assert_string_equal(test_sql("select count(*) from t.flight"), "4");
}

static void a_write_whose_answer_was_lost_is_not_repeated(void **state)
{
    scene_t *scene = *state;
    str_t sql =
        STR("with kept as (insert into t.flight values (7) returning n)"
            " select case when $1::boolean then pg_terminate_backend(pg_backend_pid()) end from kept");
    db_session_who_t who = {0}; /* one may end one's own sessions only */
    must(db_session_read(scene->sessions, scene->pool, &who, sql, DB_PARAMS(STR("false")), NULL));
    err_t *err = db_session_write(scene->sessions, scene->pool, &who, sql, DB_PARAMS(STR("true")), NULL);
    assert_non_null(err);
    assert_int_equal(err->status, 503);
    assert_string_equal(test_sql("select count(*) from t.flight"), "0");
    add(scene, "1");
}

static void a_changed_table_is_planned_anew(void **state)
{
    scene_t *scene = *state;
    db_rows_t rows = {0};
    str_t sql = STR("select * from t.flight");
    add(scene, "1");
    for (int i = 0; i < 2; i++)
        must(db_session_read(scene->sessions, scene->pool, SERVICE, sql, NULL, 0, &rows));
    test_sql("alter table t.flight add more text default 'm'");
    must(db_session_read(scene->sessions, scene->pool, SERVICE, sql, NULL, 0, &rows));
    assert_int_equal(rows.column_count, 2);
    test_sql("alter table t.flight drop more");
    must(db_session_write(scene->sessions, scene->pool, SERVICE, sql, NULL, 0, &rows));
    assert_int_equal(rows.column_count, 1);
}

static void nothing_is_kept_after_the_deadline(void **state)
{
    scene_t *scene = *state;
    str_t slow = STR("insert into t.flight select 1 from pg_sleep(0.3)");
    must(add_late(scene, 20000000, slow));
    test_sql("delete from t.flight");
    for (int i = 0; i < 2; i++) {
        err_t *err = add_late(scene, i == 0 ? 100000 : -1, slow);
        assert_non_null(err);
        assert_int_equal(err->status, 504);
    }
    db_session_t *session;
    db_session_who_t who = {.role = STR("service"), .deadline_us = clock_mono_us() + 2000000};
    must(db_session_begin(scene->sessions, scene->pool, &who, &session));
    must(db_session_query(session, ADD, DB_PARAMS(STR("2")), NULL));
    while (clock_mono_us() < who.deadline_us)
        ;
    assert_int_equal(db_session_query(session, STR("select 1"), NULL, 0, NULL)->status, 504);
    assert_int_equal(db_session_commit(session)->status, 504);
    assert_string_equal(test_sql("select count(*) from t.flight"), "0");
    add(scene, "3");
}

static void nobody_waits_for_a_connection_beyond_the_deadline(void **state)
{
    scene_t *scene = *state;
    db_session_t *session;
    db_sessions_t *patient = db_sessions_create(test_uri("authenticator"), 1, 60000);
    must(db_session_begin(patient, scene->pool, SERVICE, &session));
    db_session_who_t who = {.role = STR("service"), .deadline_us = clock_mono_us() + 50000};
    assert_int_equal(db_session_write(patient, scene->pool, &who, ADD, DB_PARAMS(STR("1")), NULL)->status,
                     504);
    db_session_rollback(session);
    db_sessions_destroy(patient);
}

int main(void)
{
    test_setup_schema();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_are_kept_and_reads_leave_nothing, make_scene, end_scene),
        cmocka_unit_test_setup_teardown(errors_of_statement_and_commit_come_through_and_keep_nothing,
                                        make_scene, end_scene),
        cmocka_unit_test_setup_teardown(a_last_statement_takes_commit_along, make_scene, end_scene),
        cmocka_unit_test_setup_teardown(a_connection_that_ended_while_idle_costs_nothing, make_scene,
                                        end_scene),
        cmocka_unit_test_setup_teardown(a_write_whose_answer_was_lost_is_not_repeated, make_scene, end_scene),
        cmocka_unit_test_setup_teardown(a_changed_table_is_planned_anew, make_scene, end_scene),
        cmocka_unit_test_setup_teardown(nothing_is_kept_after_the_deadline, make_scene, end_scene),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_connection_beyond_the_deadline, make_scene,
                                        end_scene),
    };
    return cmocka_run_group_tests_name("db_flight", tests, NULL, NULL);
}
