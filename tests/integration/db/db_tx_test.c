/* Transactions: what one leaves behind for the next, and what errors do. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char ann[] = "{\"sub\":\"ann\",\"role\":\"authenticated\"}";
static const char bob[] = "{\"sub\":\"bob\",\"role\":\"authenticated\"}";

static void a_caller_sees_only_its_own_rows(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    outcome_t a = test_query(pool, "authenticated", ann, "select owner from t.item");
    outcome_t b = test_query(pool, "authenticated", bob, "select owner from t.item");
    outcome_t none = test_query(pool, "authenticated", NULL, "select owner from t.item");
    assert_int_equal(a.status, 0);
    assert_int_equal(a.rows, 50);
    assert_string_equal(a.last[0], "ann");
    assert_string_equal(b.last[0], "bob");
    assert_int_equal(none.rows, 0);
    assert_int_equal(none.columns_calls, 1);
    db_pool_destroy(pool);
}

/* Everything that a function can leave on a connection, then another caller on the same one. */
static void what_a_function_leaves_on_the_connection_does_not_reach_another_caller(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    outcome_t mess =
        test_query(pool, "authenticated", ann,
                   "select set_config('app.secret', 'x', false), set_config('role', 'service', false), "
                   "set_config('search_path', 'nowhere', false), pg_advisory_lock(7)::text, "
                   "nextval('t.seq')");
    assert_int_equal(mess.status, 0);
    const char *probe =
        "select concat_ws(':', current_user, current_setting('app.secret', true), "
        "current_setting('search_path'), (select count(*) from pg_locks where locktype = 'advisory'))";
    outcome_t other = test_query(pool, "anon", NULL, probe);
    assert_string_equal(other.last[0], "anon::\"t\", \"public\":0");
    outcome_t currval = test_query(pool, "service", NULL, "select currval('t.seq')");
    assert_string_equal(currval.code, "55000");
    /* the login role itself, although the session's role was left at another one */
    test_query(pool, "authenticated", ann, "select set_config('role', 'service', false)");
    outcome_t login = test_query(pool, NULL, NULL, "select current_user");
    assert_string_equal(login.last[0], "authenticator");
    db_pool_destroy(pool);
}

static void locks_left_on_an_idle_connection_are_released(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    test_query(pool, "authenticated", ann, "select pg_advisory_lock(77)");
    assert_true(test_comes("select pg_try_advisory_lock(77)", "t"));
    test_sql("select pg_advisory_unlock_all()");
    db_pool_destroy(pool);
}

static void claims_and_settings_end_with_the_transaction(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    test_query(pool, "authenticated", ann, "select 1");
    request_t request;
    outcome_t outcome = {0};
    test_request(&request, "anon", NULL, "select current_setting('request.jwt.claims', true)");
    request.spec.setting_count = 0;
    test_run(pool, &request, &outcome);
    assert_string_equal(outcome.last[0], "");
    db_pool_destroy(pool);
}

static void an_error_leaves_the_next_transaction_unaffected(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    const char *good = "select 'good'";
    for (int i = 0; i < 3; i++) {
        outcome_t bad = test_query(pool, "service", NULL, "select 1 / (id - 1) from t.item");
        assert_string_equal(bad.code, "22012");
        assert_int_equal(bad.status, 400);
        assert_string_equal(test_query(pool, "anon", NULL, good).last[0], "good");
        outcome_t role = test_query(pool, "nobody_knows", NULL, good);
        assert_string_equal(role.code, "22023");
        assert_int_equal(role.status, 401);
        assert_string_equal(test_query(pool, "anon", NULL, good).last[0], "good");
        outcome_t syntax = test_query(pool, "anon", NULL, "select from where");
        assert_string_equal(syntax.code, "42601");
        outcome_t denied = test_query(pool, "anon", NULL, "select * from t.item");
        assert_string_equal(denied.code, "42501");
        assert_int_equal(denied.status, 403);
        assert_false(denied.has_details);
        assert_false(denied.has_hint);
    }
    request_t request;
    outcome_t outcome = {0};
    test_request(&request, "anon", NULL, "select * from t.item");
    request.spec.is_anonymous = true;
    test_run(pool, &request, &outcome);
    assert_int_equal(outcome.status, 401);
    db_pool_destroy(pool);
}

static void a_deferred_constraint_fails_the_transaction_at_its_end(void **state)
{
    (void)state;
    test_sql("drop table if exists t.late; create table t.late (x int unique deferrable initially deferred);"
             "grant all on t.late to service");
    db_pool_t *pool = test_pool(1, 2000);
    for (int is_explicit = 0; is_explicit < 2; is_explicit++) {
        request_t request;
        outcome_t outcome = {0};
        test_request(&request, "service", NULL, "insert into t.late values (1), (1) returning x");
        request.spec.is_explicit = is_explicit != 0;
        test_run(pool, &request, &outcome);
        assert_string_equal(outcome.code, "23505");
        assert_int_equal(outcome.status, 409);
        assert_int_equal(outcome.rows, 2);
        assert_string_equal(test_query(pool, "service", NULL, "select count(*) from t.late").last[0], "0");
    }
    db_pool_destroy(pool);
}

static void on_decide_can_roll_back(void **state)
{
    (void)state;
    test_sql(
        "drop table if exists t.log; create table t.log (x int primary key); grant all on t.log to service");
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    test_request(&request, "service", NULL, "insert into t.log select generate_series(1, 3)");
    request.spec.is_explicit = true;
    outcome_t undone = {.decision = DB_END_ROLLBACK}, kept = {.decision = DB_END_COMMIT}, twice = {0};
    test_run(pool, &request, &undone);
    assert_int_equal(undone.status, 0);
    assert_int_equal(undone.affected, 3);
    assert_int_equal(undone.decided, 1);
    assert_string_equal(test_sql("select count(*) from t.log"), "0");
    test_run(pool, &request, &kept);
    assert_string_equal(test_sql("select count(*) from t.log"), "3");
    test_run(pool, &request, &twice);
    assert_int_equal(twice.status, 409);
    assert_int_equal(twice.decided, 0);
    assert_true(twice.has_details);
    assert_string_equal(test_query(pool, "service", NULL, "select count(*) from t.log").last[0], "3");
    db_pool_destroy(pool);
}

static void read_only_cannot_be_undone_inside(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    const char *const tries[] = {"insert into t.item values (999)",
                                 "select set_config('transaction_read_only', 'off', true)",
                                 "select t.escape()"};
    for (int is_explicit = 0; is_explicit < 2; is_explicit++)
        for (int i = 0; i < 3; i++) {
            outcome_t outcome = {0};
            test_request(&request, "service", NULL, tries[i]);
            request.spec.is_read_only = true;
            request.spec.is_explicit = is_explicit != 0;
            test_run(pool, &request, &outcome);
            assert_int_not_equal(outcome.status, 0);
            if (i == 0) {
                assert_string_equal(outcome.code, "25006");
                assert_int_equal(outcome.status, 405);
            }
        }
    db_pool_destroy(pool);
}

static void isolation_level_is_applied(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    static const char *const names[] = {"read committed", "repeatable read", "serializable"};
    for (int level = 0; level < 3; level++) {
        outcome_t outcome = {0};
        test_request(&request, "service", NULL, "select current_setting('transaction_isolation')");
        request.spec.isolation = (db_isolation_t)level;
        test_run(pool, &request, &outcome);
        assert_string_equal(outcome.last[0], names[level]);
    }
    db_pool_destroy(pool);
}

static void the_pre_request_call_runs_first_as_the_role(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    outcome_t outcome = {0}, refused = {0};
    test_request(&request, "anon", NULL, "select current_setting('app.pre', true)");
    request.spec.pre_request = STR("select t.pre()");
    test_run(pool, &request, &outcome);
    assert_string_equal(outcome.last[0], "pre as anon");
    assert_int_equal(outcome.rows, 1);
    test_request(&request, "service", NULL, "select 1");
    request.spec.pre_request = STR("select t.pre()");
    test_run(pool, &request, &refused);
    assert_string_equal(refused.code, "PT418");
    assert_int_equal(refused.status, 418);
    assert_int_equal(refused.rows, 0);
    db_pool_destroy(pool);
}

static void role_settings_need_only_the_rights_of_the_login(void **state)
{
    (void)state;
    test_sql("grant set on parameter log_min_duration_statement to authenticator");
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    outcome_t outcome = {0}, late = {0};
    const db_setting_t setting = {STR("log_min_duration_statement"), STR("60000")};
    test_request(&request, "anon", NULL, "select current_setting('statement_timeout')");
    request.spec.role_settings = &setting;
    request.spec.role_setting_count = 1;
    request.spec.timeout_ms = 1234;
    test_run(pool, &request, &outcome);
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.last[0], "1234ms");
    request.spec.role_setting_count = 0;
    request.settings[0] = setting;
    test_run(pool, &request, &late);
    assert_string_equal(late.code, "42501");
    db_pool_destroy(pool);
}

static void a_statement_is_limited_in_time(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    outcome_t outcome = {0};
    test_request(&request, "anon", NULL, "select pg_sleep(10)");
    request.spec.timeout_ms = 100;
    test_run(pool, &request, &outcome);
    assert_string_equal(outcome.code, "57014");
    assert_int_equal(outcome.status, 500);
    db_pool_destroy(pool);
}

static void parameters_and_several_statements_arrive(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    for (int is_prepared = 0; is_prepared < 2; is_prepared++) {
        outcome_t outcome = {0};
        static const uint32_t types[] = {25, 23};
        test_request(&request, "service", NULL, "select $1::text || $2::text");
        request.params[0] = STR("it's \\ ü ");
        request.params[1] = str_make("7xx", 1);
        request.stmts[0].params = request.params;
        request.stmts[0].param_count = 2;
        request.stmts[0].types = types;
        request.stmts[0].is_unprepared = is_prepared == 0;
        request.stmts[1] =
            (db_stmt_t){.sql = STR("select $1"), .params = &request.params[2], .param_count = 1};
        request.spec.stmt_count = 2;
        test_run(pool, &request, &outcome);
        assert_int_equal(outcome.status, 0);
        assert_string_equal(outcome.last[0], "it's \\ ü 7");
        assert_string_equal(outcome.last[1], "NULL");
        assert_int_equal(outcome.columns_calls, 2);
    }
    outcome_t nul = {0};
    request.params[0] = str_make("a\0b", 3);
    test_run(pool, &request, &nul);
    assert_string_equal(nul.code, "22021");
    assert_int_equal(nul.status, 400);
    db_pool_destroy(pool);
}

static void a_changed_table_is_planned_anew(void **state)
{
    (void)state;
    test_sql("drop table if exists t.shape; create table t.shape (a int); insert into t.shape values (1);"
             "grant select on t.shape to service");
    db_pool_t *pool = test_pool(1, 2000);
    request_t request;
    outcome_t before = {0}, after = {0};
    test_request(&request, "service", NULL, "select count(*) from t.shape");
    request.stmts[1] = (db_stmt_t){.sql = STR("select * from t.shape")};
    request.spec.stmt_count = 2;
    test_run(pool, &request, &before);
    assert_string_equal(before.last[1], "1");
    test_sql("alter table t.shape alter a type text using 'now ' || a");
    test_run(pool, &request, &after);
    assert_int_equal(after.status, 0);
    assert_string_equal(after.last[1], "now 1");
    assert_int_equal(after.retries, 1); /* the count had been delivered already */
    assert_int_equal(after.rows, 2);
    assert_string_equal(test_query(pool, "service", NULL, "select * from t.shape").last[0], "now 1");
    db_pool_destroy(pool);
}

/* Somebody else's DEALLOCATE, or a pooler that swapped the backend. */
static void a_forgotten_statement_is_prepared_again(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(test_query(pool, "anon", NULL, "select 'kept'").last[0], "kept");
        outcome_t outcome = test_query(pool, "anon", NULL, "deallocate all");
        assert_int_equal(outcome.status, 0);
    }
    db_pool_flush_statements(pool);
    db_pool_destroy(pool);
}

static void prepared_statements_are_bounded(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(1, 2000);
    char sql[64];
    for (int i = 0; i < 300; i++) {
        snprintf(sql, sizeof(sql), "select %d", i);
        assert_int_equal(test_query(pool, i % 2 != 0 ? "anon" : "service", NULL, sql).status, 0);
    }
    outcome_t outcome = test_query(pool, "anon", NULL, "select count(*) <= 132 from pg_prepared_statements");
    assert_string_equal(outcome.last[0], "t");
    db_pool_flush_statements(pool);
    outcome = test_query(pool, "anon", NULL, "select count(*) <= 6 from pg_prepared_statements");
    assert_string_equal(outcome.last[0], "t");
    db_pool_destroy(pool);
}

static void without_prepared_statements_none_is_left_in_the_server(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = test_uri("authenticator"),
                                 .size_max = 1};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    for (int i = 0; i < 3; i++)
        assert_int_equal(test_query(pool, "service", NULL, "select count(*) from t.item").status, 0);
    outcome_t outcome = test_query(pool, "anon", NULL, "select count(*) from pg_prepared_statements");
    assert_string_equal(outcome.last[0], "0");
    db_pool_destroy(pool);
}

static void raise_decides_the_answer(void **state)
{
    (void)state;
    static const struct {
        const char *how, *code, *message, *details, *hint;
        int status;
    } rows[] = {
        {"raise exception 'plain'", "P0001", "plain", NULL, NULL, 400},
        {"raise exception 'm' using detail = 'd', hint = 'h'", "P0001", "m", "d", "h", 400},
        {"raise sqlstate 'PT402' using message = 'pay', detail = 'd', hint = 'h'", "PT402", "pay", "d", "h",
         402},
        {"raise sqlstate 'PT40A' using message = 'w'", "PT40A", "w", NULL, NULL, 500},
        {"raise sqlstate 'PGRST' using message = '{\"code\":\"123\",\"message\":\"ABC\",\"hint\":\"XYZ\"}', "
         "detail = '{\"status\":332,\"headers\":{\"X-A\":\"b\"}}'",
         "123", "ABC", NULL, "XYZ", 332},
        {"raise sqlstate 'PGRST' using message = 'INVALID', detail = '{}'", "PGRST121",
         "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
         "Invalid JSON value for MESSAGE: 'INVALID'",
         "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: "
         "'details', 'hint'.",
         500},
    };
    db_pool_t *pool = test_pool(1, 2000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char sql[600];
        snprintf(sql, sizeof(sql), "do $x$ begin %s; end $x$", rows[i].how);
        outcome_t outcome = test_query(pool, "anon", NULL, sql);
        assert_string_equal(outcome.code, rows[i].code);
        assert_string_equal(outcome.message, rows[i].message);
        assert_int_equal(outcome.status, rows[i].status);
        assert_int_equal(outcome.has_details, rows[i].details != NULL);
        assert_int_equal(outcome.has_hint, rows[i].hint != NULL);
        assert_string_equal(outcome.details, rows[i].details != NULL ? rows[i].details : "");
        assert_string_equal(outcome.hint, rows[i].hint != NULL ? rows[i].hint : "");
    }
    db_pool_destroy(pool);
}

static void output_formats_are_pinned(void **state)
{
    (void)state;
    test_sql("alter role authenticator set datestyle = 'German, DMY'");
    test_sql("alter role authenticator set bytea_output = 'escape'");
    db_pool_t *pool = test_pool(1, 2000);
    outcome_t outcome = test_query(pool, "anon", NULL,
                                   "select concat_ws(' ', '2026-02-03'::date::text, '\\x00'::bytea::text)");
    assert_string_equal(outcome.last[0], "2026-02-03 \\x00");
    str_t style = db_pool_parameter(pool, "DateStyle");
    assert_true(str_starts_with(style, STR("ISO")));
    assert_true(db_pool_server_version(pool) >= 150000);
    test_sql("alter role authenticator reset all");
    db_pool_destroy(pool);

    char conninfo[600];
    snprintf(conninfo, sizeof(conninfo), "%s options='-c work_mem=7MB -c application_name=own'",
             test_uri("authenticator").base);
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = str_from_c(conninfo),
                                 .size_max = 1};
    pool = db_pool_create(test_loop(), &options);
    outcome = test_query(pool, "anon", NULL, "select current_setting('work_mem')");
    assert_string_equal(outcome.last[0], "7MB");
    db_pool_destroy(pool);
}

/* ---- what comes in binary ---- */

typedef struct {
    bool is_done;
    size_t rows, differences;
} comparison_t;

/* Each column stands beside the text that the server made of it. */
static void compare_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    comparison_t *comparison = arg;
    (void)stmt;
    comparison->rows++;
    for (size_t i = 0; i + 1 < count; i += 2)
        if (str_is_null(values[i]) != str_is_null(values[i + 1]) || !str_eq(values[i], values[i + 1]))
            if (comparison->differences++ < 5)
                print_message("%.*s is not %.*s\n", STR_ARG(values[i]), STR_ARG(values[i + 1]));
}

static void comparison_done(void *arg, const err_t *error)
{
    assert_null(error);
    ((comparison_t *)arg)->is_done = true;
}

static void compare(db_pool_t *pool, const request_t *request)
{
    static const db_tx_handlers_t handlers = {.on_row = compare_row, .on_done = comparison_done};
    for (int i = 0; i < 2; i++) { /* binary needs the columns of the first time */
        comparison_t comparison = {0};
        db_tx_submit(pool, &request->spec, &handlers, &comparison);
        assert_true(test_wait(&comparison.is_done));
        assert_int_equal(comparison.rows, 4012);
        assert_int_equal(comparison.differences, 0);
    }
}

static void times_and_uuids_read_as_the_server_writes_them(void **state)
{
    (void)state;
    static const char sql[] =
        "select at, at::text, at at time zone 'UTC', (at at time zone 'UTC')::text, id, id::text, 1, '1' "
        "from ("
        "  select timestamptz '2000-01-01 00:00+00' + (random() - 0.4) * interval '15000 years', "
        "gen_random_uuid()"
        "    from generate_series(1, 2000)"
        "  union all select timestamptz '2000-01-01 00:00+00' + i * interval '1 day 1.1 s', null"
        "    from generate_series(-1000, 999) i"
        "  union all select at::timestamptz, '00000000-0000-0000-0000-000000000000' from "
        "unnest(array['infinity',"
        "    '-infinity', '4713-01-01 00:00+00 BC', '0001-12-31 23:59:59.999999+00 BC', '0001-01-01 "
        "00:00+00',"
        "    '1999-12-31 23:59:59.999999+00', '2000-02-29 12:00:00.5+00', '1900-03-01 00:00:00.000001+00',"
        "    '9999-12-31 23:59:59+00', '10000-01-01 00:00+00', '294276-12-31 23:59:59.999999+00', null]) at"
        ") x(at, id)";
    db_pool_t *pool = test_pool(1, 5000);
    request_t request;
    test_request(&request, "anon", NULL, sql);
    request.spec.is_read_only = true;
    request.spec.is_exclusive = false;
    compare(pool, &request);
    /* Other zones are the server's to show, wherever they come from. */
    db_setting_t zone = {STR("TimeZone"), STR("America/New_York")};
    request.spec.role_settings = &zone;
    request.spec.role_setting_count = 1;
    compare(pool, &request);
    request.spec.role_setting_count = 0;
    request.settings[2] = (db_setting_t){STR("timezone"), STR("Asia/Kathmandu")};
    request.spec.setting_count = 3;
    compare(pool, &request);
    request.spec.setting_count = 2;
    request.spec.pre_request = STR("select set_config('timezone', 'Europe/Berlin', true)");
    compare(pool, &request);
    request.spec.pre_request = STR_NULL;
    compare(pool, &request);
    db_pool_destroy(pool);
}

int main(void)
{
    test_setup_schema();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_sees_only_its_own_rows),
        cmocka_unit_test(what_a_function_leaves_on_the_connection_does_not_reach_another_caller),
        cmocka_unit_test(locks_left_on_an_idle_connection_are_released),
        cmocka_unit_test(claims_and_settings_end_with_the_transaction),
        cmocka_unit_test(an_error_leaves_the_next_transaction_unaffected),
        cmocka_unit_test(a_deferred_constraint_fails_the_transaction_at_its_end),
        cmocka_unit_test(on_decide_can_roll_back),
        cmocka_unit_test(read_only_cannot_be_undone_inside),
        cmocka_unit_test(isolation_level_is_applied),
        cmocka_unit_test(the_pre_request_call_runs_first_as_the_role),
        cmocka_unit_test(role_settings_need_only_the_rights_of_the_login),
        cmocka_unit_test(a_statement_is_limited_in_time),
        cmocka_unit_test(parameters_and_several_statements_arrive),
        cmocka_unit_test(a_changed_table_is_planned_anew),
        cmocka_unit_test(a_forgotten_statement_is_prepared_again),
        cmocka_unit_test(prepared_statements_are_bounded),
        cmocka_unit_test(without_prepared_statements_none_is_left_in_the_server),
        cmocka_unit_test(raise_decides_the_answer),
        cmocka_unit_test(output_formats_are_pinned),
        cmocka_unit_test(times_and_uuids_read_as_the_server_writes_them),
    };
    return cmocka_run_group_tests_name("db_tx", tests, NULL, NULL);
}
