/* Reading: SQL text is a function of the request's shape, values are parameters; on a snapshot made by hand.
 */
#include "plan_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_star_stays_a_star_when_every_column_is_plain(void **state)
{
    (void)state;
    assert_read("clients", "", "SELECT \"clients\".* FROM \"api\".\"clients\"");
}

static void test_columns_without_a_plain_text_form_are_converted_by_the_database(void **state)
{
    (void)state;
    assert_read(
        "projects", "select=id,tags",
        "SELECT \"projects\".\"id\", to_json(\"projects\".\"tags\") AS \"tags\" FROM \"api\".\"projects\"");
    assert_read(
        "projects", "",
        "SELECT \"projects\".\"id\", \"projects\".\"name\", \"projects\".\"client_id\", "
        "to_json(\"projects\".\"tags\") AS \"tags\", \"projects\".\"data\" FROM \"api\".\"projects\"");
    /* a name that is no column may be a function of the row, of any type */
    assert_read("clients", "select=score",
                "SELECT to_json(\"clients\".\"score\") AS \"score\" FROM \"api\".\"clients\"");
}

static void test_values_are_parameters_and_limits_are_text(void **state)
{
    (void)state;
    assert_read("clients", "name=eq.O'Neil&id=not.in.(1,2,\"a,b\")&limit=10&offset=20",
                "SELECT \"clients\".* FROM \"api\".\"clients\" WHERE \"clients\".\"name\" = $1 AND NOT "
                "\"clients\".\"id\" = ANY($2) LIMIT 10 OFFSET 20 | O'Neil | {\"1\",\"2\",\"a,b\"}");
    assert_read("clients", "name=like(any).{a*,b*}&id=isdistinct.3&order=name.desc.nullslast,id",
                "SELECT \"clients\".* FROM \"api\".\"clients\" WHERE \"clients\".\"name\" like ANY($1) AND "
                "\"clients\".\"id\" IS DISTINCT FROM $2 ORDER BY \"clients\".\"name\" DESC NULLS LAST, "
                "\"clients\".\"id\" | {a%,b%} | 3");
    assert_read("clients", "or=(id.is.null,and(id.gt.1,name.is.not_null))",
                "SELECT \"clients\".* FROM \"api\".\"clients\" WHERE (\"clients\".\"id\" IS NULL OR "
                "(\"clients\".\"id\" > $1 AND \"clients\".\"name\" IS NOT NULL)) | 1");
}

static void test_only_pages_of_usual_sizes_are_prepared(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        bool is_prepared;
    } CASES[] = {{"", true},
                 {"limit=20", true},
                 {"limit=20&offset=40", true},
                 {"limit=37", false},
                 {"limit=20&offset=41", false},
                 {"limit=20&offset=4000", false},
                 {"offset=7", false},
                 {"select=id,tasks(id)&tasks.limit=37", false},
                 {"limit=1", true}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        rest_request_t r = plan_request(REST_ACTION_READ, "projects", CASES[i].query);
        rest_plan_t plan;
        assert_null(plan_as(&r, "web", &plan));
        assert_int_equal(!plan.stmts[0].is_unprepared, CASES[i].is_prepared);
    }
}

static void test_json_paths_and_full_text(void **state)
{
    (void)state;
    assert_read(
        "projects", "select=data->a->>0&data->>b=eq.1&name=fts(english).x",
        "SELECT \"projects\".\"data\"->$1->>$2::int AS \"a\" FROM \"api\".\"projects\" WHERE "
        "\"projects\".\"data\"->>$3 = $4 AND to_tsvector($5, \"projects\".\"name\") @@ to_tsquery($6, $7)"
        " | a | +0 | b | 1 | english | english | x");
    assert_read("projects", "select=tags->0",
                "SELECT to_jsonb(\"projects\".\"tags\")->$1::int AS \"tags\" FROM \"api\".\"projects\" | +0");
}

static void test_identifiers_are_quoted_wherever_they_stand(void **state)
{
    (void)state;
    assert_read("clients", "select=\"x\\\"%3B drop\":name",
                "SELECT \"clients\".\"name\" AS \"x\"\"; drop\" FROM \"api\".\"clients\"");
    assert_read(
        "clients", "select=id&\"a\\\"b\"=eq.1&order=\"c\\\"d\"",
        "SELECT \"clients\".\"id\" FROM \"api\".\"clients\" WHERE \"clients\".\"a\"\"b\" = $1 ORDER BY "
        "\"clients\".\"c\"\"d\" | 1");
}

static void test_casts_are_types_and_nothing_else(void **state)
{
    (void)state;
    assert_read(
        "clients", "select=id::Double Precision,a:id::int,b:id::My_Type",
        "SELECT CAST(\"clients\".\"id\" AS double precision), CAST(\"clients\".\"id\" AS int) AS \"a\", "
        "to_json(CAST(\"clients\".\"id\" AS \"my_type\")) AS \"b\" FROM \"api\".\"clients\"");
    /* a word of the grammar that is no type cannot break the statement */
    assert_read("clients", "select=a:id::null",
                "SELECT to_json(CAST(\"clients\".\"id\" AS \"null\")) AS \"a\" FROM \"api\".\"clients\"");
}

static void test_embeds(void **state)
{
    (void)state;
    assert_read(
        "projects", "select=id,clients(name)",
        "SELECT \"projects\".\"id\", row_to_json(\"projects_clients_1\".*) AS \"clients\" FROM "
        "\"api\".\"projects\" LEFT JOIN LATERAL (SELECT \"clients_1\".\"name\" FROM \"api\".\"clients\" AS "
        "\"clients_1\" WHERE \"clients_1\".\"id\" = \"projects\".\"client_id\") AS \"projects_clients_1\" "
        "ON TRUE");
    assert_read(
        "clients", "select=name,p:projects!inner(id)&p.id=gt.1&p.order=id&p.limit=2",
        "SELECT \"clients\".\"name\", COALESCE(\"clients_p_1\".\"clients_p_1\", '[]') AS \"p\" FROM "
        "\"api\".\"clients\" INNER JOIN LATERAL (SELECT json_agg(\"clients_p_1\") AS \"clients_p_1\" FROM "
        "(SELECT \"projects_1\".\"id\" FROM \"api\".\"projects\" AS \"projects_1\" WHERE "
        "\"projects_1\".\"id\" > $1 AND \"projects_1\".\"client_id\" = \"clients\".\"id\" ORDER BY "
        "\"projects_1\".\"id\" LIMIT 2) AS \"clients_p_1\") AS \"clients_p_1\" ON \"clients_p_1\" IS NOT NULL"
        " | 1");
    assert_read(
        "users", "select=id,tasks(id)",
        "SELECT \"users\".\"id\", COALESCE(\"users_tasks_1\".\"users_tasks_1\", '[]') AS \"tasks\" FROM "
        "\"api\".\"users\" LEFT JOIN LATERAL (SELECT json_agg(\"users_tasks_1\") AS \"users_tasks_1\" FROM "
        "(SELECT \"tasks\".\"id\" FROM \"api\".\"tasks\", \"api\".\"users_tasks\" WHERE "
        "\"users_tasks\".\"task_id\" = \"tasks\".\"id\" AND \"users_tasks\".\"user_id\" = \"users\".\"id\") "
        "AS "
        "\"users_tasks_1\") AS \"users_tasks_1\" ON TRUE");
    assert_read("projects", "select=id,lead_task(name)",
                "SELECT \"projects\".\"id\", row_to_json(\"projects_lead_task_1\".*) AS \"lead_task\" FROM "
                "\"api\".\"projects\" LEFT JOIN LATERAL (SELECT \"tasks_1\".\"name\" FROM "
                "\"api\".\"lead_task\"((\"projects\".*)::\"api\".\"projects\") AS \"tasks_1\") AS "
                "\"projects_lead_task_1\" ON TRUE");
}

static void test_range_is_applied_before_embeds_that_drop_no_row(void **state)
{
    (void)state;
    assert_read("projects", "select=name,tasks(id)&order=id.desc&limit=2&offset=4",
                "SELECT \"projects\".\"name\", COALESCE(\"projects_tasks_1\".\"projects_tasks_1\", '[]') AS "
                "\"tasks\" "
                "FROM (SELECT \"projects\".\"name\", \"projects\".\"id\" FROM \"api\".\"projects\" ORDER BY "
                "\"projects\".\"id\" DESC LIMIT 2 OFFSET 4) AS \"projects\" LEFT JOIN LATERAL (SELECT "
                "json_agg(\"projects_tasks_1\") AS \"projects_tasks_1\" FROM (SELECT \"tasks_1\".\"id\" FROM "
                "\"api\".\"tasks\" AS \"tasks_1\" WHERE \"tasks_1\".\"project_id\" = \"projects\".\"id\") AS "
                "\"projects_tasks_1\") AS \"projects_tasks_1\" ON TRUE ORDER BY \"projects\".\"id\" DESC");
}

static bool has_inner_range(const char *query)
{
    rest_request_t r = plan_request(REST_ACTION_READ, "projects", query);
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    str_t sql = plan.stmts[plan.stmt_count - 1].sql;
    size_t limit = str_find(sql, STR("LIMIT 2"), 0), join = str_find(sql, STR("JOIN LATERAL"), 0);
    assert_true(limit != SIZE_MAX && join != SIZE_MAX);
    return limit < join;
}

static void test_range_stays_outside_when_an_embed_decides_about_rows(void **state)
{
    (void)state;
    assert_true(has_inner_range("select=id,clients(id)&limit=2"));
    assert_false(has_inner_range("select=id,clients!inner(id)&limit=2"));
    assert_false(has_inner_range("select=id,clients(id)&clients=not.is.null&limit=2"));
    assert_false(has_inner_range("select=id,clients(id)&order=clients(id)&limit=2"));
    assert_false(has_inner_range("select=id,computed,clients(id)&limit=2"));
    assert_false(has_inner_range("select=id.max(),clients(id)&limit=2"));
    assert_false(has_inner_range("select=id,lead_task(id)&limit=2"));
}

static void test_range_is_repeated_outside_when_a_view_may_show_a_row_twice(void **state)
{
    (void)state;
    assert_read(
        "tasks", "select=id,projects_view(id)&limit=2&offset=1",
        "SELECT \"tasks\".\"id\", row_to_json(\"tasks_projects_view_1\".*) AS \"projects_view\" FROM (SELECT "
        "\"tasks\".\"id\", \"tasks\".\"project_id\" FROM \"api\".\"tasks\" LIMIT 3) AS \"tasks\" LEFT JOIN "
        "LATERAL (SELECT \"projects_view_1\".\"id\" FROM \"api\".\"projects_view\" AS \"projects_view_1\" "
        "WHERE "
        "\"projects_view_1\".\"id\" = \"tasks\".\"project_id\") AS \"tasks_projects_view_1\" ON TRUE LIMIT 2 "
        "OFFSET 1");
}

static void test_spreads_and_aggregates(void **state)
{
    (void)state;
    assert_read(
        "projects", "select=id,...clients(client:name)",
        "SELECT \"projects\".\"id\", \"projects_clients_1\".\"client\" FROM \"api\".\"projects\" LEFT JOIN "
        "LATERAL (SELECT \"clients_1\".\"name\" AS \"client\" FROM \"api\".\"clients\" AS \"clients_1\" "
        "WHERE "
        "\"clients_1\".\"id\" = \"projects\".\"client_id\") AS \"projects_clients_1\" ON TRUE");
    assert_read(
        "projects", "select=client_id,id.count()",
        "SELECT \"projects\".\"client_id\", count(\"projects\".\"id\") FROM \"api\".\"projects\" GROUP BY "
        "\"projects\".\"client_id\"");
    /* the aggregate of a to-one spread is applied over the parent's rows */
    assert_read(
        "tasks", "select=name,...projects(client_id.max())",
        "SELECT \"tasks\".\"name\", max(\"tasks_projects_1\".\"max\") AS \"max\" FROM \"api\".\"tasks\" LEFT "
        "JOIN LATERAL (SELECT \"projects_1\".\"client_id\" AS \"max\" FROM \"api\".\"projects\" AS "
        "\"projects_1\" WHERE \"projects_1\".\"id\" = \"tasks\".\"project_id\") AS \"tasks_projects_1\" ON "
        "TRUE "
        "GROUP BY \"tasks\".\"name\"");
    assert_read("clients", "select=name,...projects(id)&projects.order=id.desc",
                "SELECT \"clients\".\"name\", \"clients_projects_1\".\"id\" FROM \"api\".\"clients\" LEFT "
                "JOIN LATERAL "
                "(SELECT json_agg(\"clients_projects_1\") AS \"clients_projects_1\", "
                "COALESCE(json_agg(\"clients_projects_1\".\"id\" ORDER BY "
                "\"clients_projects_1\".\"clients_projects_1_id_1\" DESC), '[]') AS \"id\" FROM (SELECT "
                "\"projects_1\".\"id\", \"projects_1\".\"id\" AS \"clients_projects_1_id_1\" FROM "
                "\"api\".\"projects\" "
                "AS \"projects_1\" WHERE \"projects_1\".\"client_id\" = \"clients\".\"id\") AS "
                "\"clients_projects_1\") AS "
                "\"clients_projects_1\" ON TRUE");
}

static void test_representations_convert_on_the_way_out_and_in(void **state)
{
    (void)state;
    assert_read("project_details", "notes=eq.x&select=notes",
                "SELECT api.note_to_json(\"project_details\".\"notes\") AS \"notes\" FROM "
                "\"api\".\"project_details\" "
                "WHERE \"project_details\".\"notes\" = api.note_from_text($1) | x");
    rest_request_t r = plan_request(REST_ACTION_CREATE, "project_details", "");
    plan_body(&r, "{\"project_id\":1,\"notes\":\"n\"}");
    assert_sql(
        &r,
        "INSERT INTO \"api\".\"project_details\" (\"notes\", \"project_id\") SELECT "
        "\"pgrst_body\".\"notes\", \"pgrst_body\".\"project_id\" FROM (SELECT "
        "api.note_from_json(\"notes\") AS \"notes\", \"project_id\" FROM json_to_record($1) AS _(\"notes\" "
        "json, \"project_id\" integer)) AS pgrst_body | {\"project_id\":1,\"notes\":\"n\"}");
}

static void test_star_of_a_marked_table_means_the_readable_columns(void **state)
{
    (void)state;
    assert_read("settings", "",
                "SELECT \"settings\".\"id\", \"settings\".\"label\" FROM \"api\".\"settings\"");
    rest_request_t r = plan_request(REST_ACTION_UPDATE, "settings", "id=eq.1");
    plan_body(&r, "{\"label\":\"x\"}");
    r.prefer.ret = REST_RETURN_FULL;
    assert_sql(
        &r,
        "UPDATE \"api\".\"settings\" SET \"label\" = \"pgrst_body\".\"label\" FROM (SELECT \"label\" FROM "
        "json_to_record($1) AS _(\"label\" text)) AS pgrst_body WHERE \"settings\".\"id\" = $2 RETURNING "
        "\"settings\".\"id\", \"settings\".\"label\" | {\"label\":\"x\"} | 1");
    /* naming the column is the caller's business, and the database's to refuse */
    assert_read("settings", "select=secret", "SELECT \"settings\".\"secret\" FROM \"api\".\"settings\"");
    rest_request_t all = plan_request(REST_ACTION_READ, "settings", "");
    rest_plan_t plan;
    assert_null(plan_as(&all, "owner", &plan));
    assert_text(plan.stmts[0].sql,
                "SELECT \"settings\".\"id\", \"settings\".\"secret\", \"settings\".\"label\" FROM "
                "\"api\".\"settings\"");
}

static void test_counts_come_before_the_rows(void **state)
{
    (void)state;
    rest_request_t r = plan_request(REST_ACTION_READ, "clients", "id=gt.1&limit=1");
    r.prefer.count = REST_COUNT_EXACT;
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_int_equal(plan.stmt_count, 2);
    assert_int_equal(plan.roles[0], REST_STMT_COUNT);
    assert_text(plan_shown(&plan.stmts[0]),
                "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM \"api\".\"clients\" WHERE "
                "\"clients\".\"id\" > $1) AS basalt_count | 1");
    /* without a range the page is the total */
    r.range = REST_RANGE_ALL;
    assert_null(plan_as(&r, "web", &plan));
    assert_int_equal(plan.stmt_count, 1);
    assert_true(plan.is_count_page_total);
    r.prefer.count = REST_COUNT_PLANNED;
    assert_null(plan_as(&r, "web", &plan));
    assert_int_equal(plan.roles[0], REST_STMT_COUNT_PLAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_star_stays_a_star_when_every_column_is_plain),
        cmocka_unit_test(test_columns_without_a_plain_text_form_are_converted_by_the_database),
        cmocka_unit_test(test_values_are_parameters_and_limits_are_text),
        cmocka_unit_test(test_only_pages_of_usual_sizes_are_prepared),
        cmocka_unit_test(test_json_paths_and_full_text),
        cmocka_unit_test(test_identifiers_are_quoted_wherever_they_stand),
        cmocka_unit_test(test_casts_are_types_and_nothing_else),
        cmocka_unit_test(test_embeds),
        cmocka_unit_test(test_range_is_applied_before_embeds_that_drop_no_row),
        cmocka_unit_test(test_range_stays_outside_when_an_embed_decides_about_rows),
        cmocka_unit_test(test_range_is_repeated_outside_when_a_view_may_show_a_row_twice),
        cmocka_unit_test(test_spreads_and_aggregates),
        cmocka_unit_test(test_representations_convert_on_the_way_out_and_in),
        cmocka_unit_test(test_star_of_a_marked_table_means_the_readable_columns),
        cmocka_unit_test(test_counts_come_before_the_rows),
    };
    return cmocka_run_group_tests(tests, plan_set_up, plan_tear_down);
}
