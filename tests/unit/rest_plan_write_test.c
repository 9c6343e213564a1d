/* Writing, calling, and errors of the schema family, on a snapshot made by hand. */
#include "plan_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- writing ---- */

static void test_insert_forms(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_CREATE, "projects", "");
    plan_body(&r, "[{\"name\":\"a\"},{\"name\":\"b\"}]");
    assert_sql(
        &r,
        "INSERT INTO \"api\".\"projects\" (\"name\") SELECT \"pgrst_body\".\"name\" FROM (SELECT \"name\" "
        "FROM json_to_recordset($1) AS _(\"name\" text)) AS pgrst_body | "
        "[{\"name\":\"a\"},{\"name\":\"b\"}]");
    r.prefer.missing = REST_MISSING_DEFAULT;
    plan_body(&r, "[{\"id\":1}]");
    r.prefer.ret = REST_RETURN_HEADERS;
    assert_sql(
        &r, "INSERT INTO \"api\".\"projects\" (\"id\") SELECT \"pgrst_body\".\"id\" FROM (SELECT \"id\" FROM "
            "jsonb_to_recordset((SELECT jsonb_agg(jsonb_build_object('id', "
            "nextval('api.projects_id_seq'::regclass)) || elem) FROM jsonb_array_elements($1) AS "
            "elem)) AS _(\"id\" integer)) AS pgrst_body RETURNING to_json(\"projects\".\"id\") #>> '{}' "
            "AS \"id\" | [{\"id\":1}]");
}

static void test_upsert_counts_what_was_new(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_CREATE, "clients", "on_conflict=name");
    plan_body(&r, "{\"name\":\"a\"}");
    r.prefer.resolution = REST_RESOLUTION_MERGE;
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_int_equal(plan.stmt_count, 2);
    assert_int_equal(plan.roles[0], REST_STMT_AFFECTED);
    assert_int_equal(plan.roles[1], REST_STMT_INSERTED);
    str_t sql = plan.stmts[0].sql;
    assert_true(str_find(sql,
                         STR(" ON CONFLICT (\"name\") DO UPDATE SET \"name\" = EXCLUDED.\"name\" WHERE "),
                         0) != SIZE_MAX);
    r.prefer.resolution = REST_RESOLUTION_IGNORE;
    assert_sql(
        &r, "INSERT INTO \"api\".\"clients\" (\"name\") SELECT \"pgrst_body\".\"name\" FROM (SELECT \"name\" "
            "FROM json_to_record($1) AS _(\"name\" text)) AS pgrst_body ON CONFLICT (\"name\") DO NOTHING | "
            "{\"name\":\"a\"}");
}

static void test_put_needs_exactly_the_key(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "id=gt.1", "id=eq.1&name=eq.a", "id=not.eq.1",
                                      "id=eq.1&or=(id.eq.1,id.eq.2)"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        rest_request_t r = plan_request(REST_ACTION_UPSERT, "clients", BAD[i]);
        plan_body(&r, "{\"id\":1}");
        plan_failed(&r, "PGRST105");
    }
    rest_request_t r = plan_request(REST_ACTION_UPSERT, "clients", "id=eq.1");
    plan_body(&r, "{\"id\":1}");
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_true(str_find(plan.stmts[0].sql, STR(" AND \"pgrst_body\".\"id\" = $2 ON CONFLICT (\"id\")"), 0) !=
                SIZE_MAX);
}

static void test_mutation_with_embeds_returns_what_they_join_on(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_DELETE, "projects", "id=eq.1&select=name,clients(name)");
    r.prefer.ret = REST_RETURN_FULL;
    assert_sql(
        &r,
        "WITH basalt_source AS (DELETE FROM \"api\".\"projects\" WHERE \"projects\".\"id\" = $1 RETURNING "
        "\"projects\".\"name\", \"projects\".\"client_id\") SELECT \"projects\".\"name\", "
        "row_to_json(\"projects_clients_1\".*) AS \"clients\" FROM \"basalt_source\" AS \"projects\" LEFT "
        "JOIN LATERAL (SELECT \"clients_1\".\"name\" FROM \"api\".\"clients\" AS \"clients_1\" WHERE "
        "\"clients_1\".\"id\" = \"projects\".\"client_id\") AS \"projects_clients_1\" ON TRUE | 1");
    r.prefer.ret = REST_RETURN_MINIMAL;
    assert_sql(&r, "DELETE FROM \"api\".\"projects\" WHERE \"projects\".\"id\" = $1 | 1");
}

static void test_update_without_columns_touches_nothing(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_UPDATE, "clients", "id=eq.1");
    plan_body(&r, "{}");
    assert_sql(&r, "SELECT NULL FROM \"api\".\"clients\" WHERE false");
}

/* ---- calling ---- */

static void test_calls(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_CALL_READ, "add", "a=1&b=2");
    assert_sql(&r,
               "SELECT \"add\".\"pgrst_scalar\" FROM (SELECT \"api\".\"add\"(\"a\" := $1::integer, \"b\" := "
               "$2::integer) AS pgrst_scalar) AS \"add\" | 1 | 2");
    r = plan_request(REST_ACTION_CALL, "add", "");
    plan_body(&r, "{\"a\":1,\"b\":2}");
    assert_sql(&r,
               "SELECT \"add\".\"pgrst_scalar\" FROM (SELECT \"a\", \"b\" FROM json_to_record($1) AS _(\"a\" "
               "integer, \"b\" integer) LIMIT 1) AS pgrst_body, LATERAL (SELECT \"api\".\"add\"(\"a\" := "
               "\"pgrst_body\".\"a\", \"b\" := \"pgrst_body\".\"b\") AS pgrst_scalar) AS \"add\" | "
               "{\"a\":1,\"b\":2}");
    r = plan_request(REST_ACTION_CALL_READ, "find_projects", "term=x&select=id,clients(name)&id=gt.1");
    assert_sql(
        &r, "SELECT \"projects\".\"id\", row_to_json(\"projects_clients_1\".*) AS \"clients\" FROM "
            "\"api\".\"find_projects\"(\"term\" := $1::text) AS \"projects\" LEFT JOIN LATERAL (SELECT "
            "\"clients_1\".\"name\" FROM \"api\".\"clients\" AS \"clients_1\" WHERE \"clients_1\".\"id\" = "
            "\"projects\".\"client_id\") AS \"projects_clients_1\" ON TRUE WHERE \"projects\".\"id\" > $2 | "
            "x | 1");
    r = plan_request(REST_ACTION_CALL, "take_json", "");
    plan_body(&r, "{\"any\":1}");
    assert_sql(&r, "SELECT \"take_json\".\"pgrst_scalar\" FROM (SELECT \"api\".\"take_json\"($1::json) AS "
                   "pgrst_scalar) AS \"take_json\" | {\"any\":1}");
    /* rows of no table have columns that only the database knows */
    r = plan_request(REST_ACTION_CALL, "report", "");
    plan_body(&r, "{}");
    assert_sql(&r, "SELECT row_to_json(basalt_row) FROM (SELECT \"record\".* FROM \"api\".\"report\"() AS "
                   "\"record\") AS "
                   "basalt_row");
}

static void test_rows_of_out_parameters_are_read_as_columns(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_CALL, "days", "");
    plan_body(&r, "{}");
    assert_sql(&r, "SELECT \"record\".* FROM \"api\".\"days\"() AS \"record\"");
    r = plan_request(REST_ACTION_CALL, "summary", "");
    plan_body(&r, "{}");
    assert_sql(
        &r, "SELECT \"record\".\"day\", to_json(\"record\".\"hits\") AS \"hits\" FROM \"api\".\"summary\"() "
            "AS \"record\"");
}

static void test_call_runs_once_even_when_counted(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_CALL_READ, "find_projects", "limit=1");
    r.prefer.count = REST_COUNT_EXACT;
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_int_equal(plan.stmt_count, 2);
    assert_int_equal(plan.roles[0], REST_STMT_ROWS);
    assert_int_equal(plan.roles[1], REST_STMT_COUNT);
    size_t first = str_find(plan.stmts[0].sql, STR("\"find_projects\"("), 0);
    assert_true(first != SIZE_MAX);
    assert_true(str_find(plan.stmts[0].sql, STR("\"find_projects\"("), first + 1) == SIZE_MAX);
}

static void test_routine_settings_and_volatility_reach_the_transaction(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_CALL_READ, "find_projects", "");
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_true(plan.is_read_only);
    assert_false(plan.is_role_isolation);
    assert_int_equal(plan.isolation, DB_ISOLATION_SERIALIZABLE);
    assert_int_equal(plan.setting_count, 1);
    r = plan_request(REST_ACTION_CALL, "report", "");
    assert_null(plan_as(&r, "web", &plan));
    assert_false(plan.is_read_only);
    assert_true(plan.is_role_isolation);
}

/* ---- errors ---- */

static void test_unknown_names(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_READ, "client", "");
    err_t *err = plan_failed(&r, "PGRST205");
    assert_int_equal(err->status, 404);
    assert_text(err->hint, "Perhaps you meant the table 'api.clients'");
    r = plan_request(REST_ACTION_READ, "projects", "select=client(*)");
    err = plan_failed(&r, "PGRST200");
    assert_text(err->hint, "Perhaps you meant 'clients' instead of 'client'.");
    r = plan_request(REST_ACTION_CREATE, "clients", "");
    plan_body(&r, "{\"nam\":1}");
    err = plan_failed(&r, "PGRST204");
    assert_text(err->message, "Could not find the 'nam' column of 'clients' in the schema cache");
    r = plan_request(REST_ACTION_READ, "projects", "select=id&tasks.id=eq.1");
    plan_failed(&r, "PGRST108");
    r = plan_request(REST_ACTION_READ, "projects", "select=id,tasks(id)&order=tasks(id)");
    plan_failed(&r, "PGRST118");
}

static void test_hints_name_only_what_the_role_may_use(void **state)
{
    (void)state;
    static const struct {
        rest_action_t action;
        const char *target, *query;
        bool web_sees;
    } CASES[] = {{REST_ACTION_READ, "client", "", true},
                 {REST_ACTION_READ, "projects", "select=client(*)", true},
                 {REST_ACTION_CALL_READ, "find_project", "", true},
                 {REST_ACTION_CALL_READ, "find_projects", "termm=1", true}};
    static const char *const BLIND[] = {"blind", "nobody"};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        rest_request_t r = plan_request(CASES[i].action, CASES[i].target, CASES[i].query);
        rest_plan_t plan;
        assert_int_equal(!str_is_null(plan_as(&r, "web", &plan)->hint), CASES[i].web_sees);
        for (size_t k = 0; k < 2; k++)
            assert_true(str_is_null(plan_as(&r, BLIND[k], &plan)->hint));
    }
}

static void test_ambiguous_embed_lists_its_candidates(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_READ, "reviews", "select=users(*)");
    err_t *err = plan_failed(&r, "PGRST201");
    assert_int_equal(err->status, 300);
    assert_text(err->hint,
                "Try changing 'users' to one of the following: 'users!reviews_author_fkey', "
                "'users!reviews_checker_fkey'. Find the desired relationship in the 'details' key.");
    assert_text(
        err->details_json,
        "[{\"cardinality\":\"many-to-one\",\"embedding\":\"reviews with users\",\"relationship\":"
        "\"reviews_author_fkey using reviews(author_id) and users(id)\"},{\"cardinality\":\"many-to-one\","
        "\"embedding\":\"reviews with users\",\"relationship\":\"reviews_checker_fkey using "
        "reviews(checker_id) and users(id)\"}]");
    static const char *const GOOD[] = {"select=users!reviews_author_fkey(id)", "select=users!author_id(id)",
                                       "select=author_id(id)", "select=reviews_author_fkey(id)"};
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(*GOOD); i++) {
        r = plan_request(REST_ACTION_READ, "reviews", GOOD[i]);
        rest_plan_t plan;
        assert_null(plan_as(&r, "web", &plan));
        assert_true(str_find(plan.stmts[0].sql, STR("\"users_1\".\"id\" = \"reviews\".\"author_id\""), 0) !=
                    SIZE_MAX);
    }
    r = plan_request(REST_ACTION_READ, "reviews", "select=users!nothing(id)");
    err = plan_failed(&r, "PGRST200");
    assert_true(str_is_null(err->hint));
}

static void test_function_that_no_arguments_fit(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_CALL_READ, "add", "x=1");
    err_t *err = plan_failed(&r, "PGRST202");
    assert_int_equal(err->status, 404);
    assert_text(err->message, "Could not find the function api.add(x) in the schema cache");
    assert_text(err->details,
                "Searched for the function api.add with parameter x, but no matches were found in the "
                "schema cache.");
}

static void test_media_types_that_nothing_makes(void **state)
{
    (void)state;
    static const rest_media_t xml = {.kind = REST_MEDIA_XML};
    rest_request_t r = plan_request(REST_ACTION_READ, "clients", "");
    r.accept = &xml;
    plan_failed(&r, "PGRST107");
    /* a handler for the whole relation answers while nothing else was selected */
    r = plan_request(REST_ACTION_READ, "projects", "");
    r.accept = &xml;
    assert_sql(&r, "SELECT \"api\".\"rows_xml\"(basalt_row::\"api\".\"projects\") AS body, "
                   "pg_catalog.count(basalt_row) AS page_total FROM (SELECT \"projects\".* FROM "
                   "\"api\".\"projects\") AS "
                   "basalt_row");
    r = plan_request(REST_ACTION_READ, "projects", "select=id");
    r.accept = &xml;
    plan_failed(&r, "PGRST107");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insert_forms),
        cmocka_unit_test(test_upsert_counts_what_was_new),
        cmocka_unit_test(test_put_needs_exactly_the_key),
        cmocka_unit_test(test_mutation_with_embeds_returns_what_they_join_on),
        cmocka_unit_test(test_update_without_columns_touches_nothing),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_rows_of_out_parameters_are_read_as_columns),
        cmocka_unit_test(test_call_runs_once_even_when_counted),
        cmocka_unit_test(test_routine_settings_and_volatility_reach_the_transaction),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_hints_name_only_what_the_role_may_use),
        cmocka_unit_test(test_ambiguous_embed_lists_its_candidates),
        cmocka_unit_test(test_function_that_no_arguments_fit),
        cmocka_unit_test(test_media_types_that_nothing_makes),
    };
    return cmocka_run_group_tests(tests, plan_set_up, plan_tear_down);
}
