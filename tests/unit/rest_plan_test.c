/* What a request becomes: SQL text (a function of the request's shape), parameters, and errors of the schema
 * family, on a snapshot made by hand. */
#include "rest/parse.h"
#include "schema/snapshot.h"
#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static schema_snapshot_t *snapshot;
static pool_t *pool;

static rest_settings_t settings(void)
{
    static const str_t schemas[] = {{"api", 3}};
    return (rest_settings_t){.schemas = schemas,
                             .schema_count = 1,
                             .max_rows = -1,
                             .has_aggregates = true,
                             .has_legacy_targets = true,
                             .filters_max = 50,
                             .logic_depth_max = 8,
                             .list_max = 100,
                             .embed_depth_max = 5,
                             .embeds_max = 10,
                             .columns_max = 50,
                             .json_depth_max = 8};
}

static int set_up(void **state)
{
    (void)state;
    snapshot = snapshot_fixture();
    pool = pool_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pool_destroy(pool);
    schema_unref(snapshot);
    return 0;
}

/* ---- requests ---- */

static rest_request_t request(rest_action_t action, const char *target, const char *query)
{
    static const rest_media_t json = {.kind = REST_MEDIA_JSON};
    rest_settings_t s = settings();
    rest_request_t r = {.action = action, .schema = STR("api"), .target = str_from_c(target)};
    rest_query_range_t range = {0};
    err_t *err = rest_parse_query(&s, pool, str_from_c(query), action == REST_ACTION_CALL_READ, &r, &range);
    if (err != NULL)
        print_error("%s: %.*s\n", query, STR_ARG(err->message));
    assert_null(err);
    r.range = REST_RANGE_ALL;
    if (range.has_limit_value)
        r.range.limit = range.limit;
    if (range.has_offset_value)
        r.range.offset = range.offset;
    r.accept = &json;
    r.accept_count = 1;
    r.content_type = json;
    return r;
}

static void with_body(rest_request_t *r, const char *json)
{
    rest_body_t kind = rest_check_json(pool, str_from_c(json), 8, &r->columns, &r->column_count);
    r->payload = (rest_payload_t){
        .kind = REST_PAYLOAD_JSON, .text = str_from_c(json), .is_object = kind == REST_BODY_OBJECT};
}

static err_t *plan_as(const rest_request_t *r, const char *role, rest_plan_t *out)
{
    rest_settings_t *s = POOL_NEW(pool, rest_settings_t);
    *s = settings();
    identity_t identity = {.role = str_from_c(role)};
    return rest_plan(s, pool, r, snapshot, &identity, out);
}

static void assert_text(str_t got, const char *expected)
{
    if (got.len == strlen(expected) && memcmp(got.base, expected, got.len) == 0)
        return;
    print_error("expected: %s\n     got: %.*s\n", expected, STR_ARG(got));
    fail();
}

/* The statement with the parameters behind it: "select .. | a | b". */
static str_t shown(const db_stmt_t *stmt)
{
    buf_t out;
    buf_init(&out, pool, 256);
    buf_append_str(&out, stmt->sql);
    for (size_t i = 0; i < stmt->param_count; i++)
        buf_printf(&out, " | %.*s", STR_ARG(stmt->params[i]));
    return buf_str(&out);
}

static void assert_sql(const rest_request_t *r, const char *expected)
{
    rest_plan_t plan;
    err_t *err = plan_as(r, "web", &plan);
    if (err != NULL)
        print_error("%.*s\n", STR_ARG(err->message));
    assert_null(err);
    assert_true(plan.stmt_count > 0);
    assert_text(shown(&plan.stmts[plan.stmt_count - 1]), expected);
}

static void assert_read(const char *target, const char *query, const char *expected)
{
    rest_request_t r = request(REST_ACTION_READ, target, query);
    assert_sql(&r, expected);
}

static err_t *failed(const rest_request_t *r, const char *code)
{
    rest_plan_t plan;
    err_t *err = plan_as(r, "web", &plan);
    assert_non_null(err);
    assert_text(err->code, code);
    return err;
}

/* ---- reading ---- */

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
    rest_request_t r = request(REST_ACTION_READ, "projects", query);
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
    rest_request_t r = request(REST_ACTION_CREATE, "project_details", "");
    with_body(&r, "{\"project_id\":1,\"notes\":\"n\"}");
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
    rest_request_t r = request(REST_ACTION_UPDATE, "settings", "id=eq.1");
    with_body(&r, "{\"label\":\"x\"}");
    r.prefer.ret = REST_RETURN_FULL;
    assert_sql(
        &r,
        "UPDATE \"api\".\"settings\" SET \"label\" = \"pgrst_body\".\"label\" FROM (SELECT \"label\" FROM "
        "json_to_record($1) AS _(\"label\" text)) AS pgrst_body WHERE \"settings\".\"id\" = $2 RETURNING "
        "\"settings\".\"id\", \"settings\".\"label\" | {\"label\":\"x\"} | 1");
    /* naming the column is the caller's business, and the database's to refuse */
    assert_read("settings", "select=secret", "SELECT \"settings\".\"secret\" FROM \"api\".\"settings\"");
    rest_request_t all = request(REST_ACTION_READ, "settings", "");
    rest_plan_t plan;
    assert_null(plan_as(&all, "owner", &plan));
    assert_text(plan.stmts[0].sql,
                "SELECT \"settings\".\"id\", \"settings\".\"secret\", \"settings\".\"label\" FROM "
                "\"api\".\"settings\"");
}

static void test_counts_come_before_the_rows(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_READ, "clients", "id=gt.1&limit=1");
    r.prefer.count = REST_COUNT_EXACT;
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_int_equal(plan.stmt_count, 2);
    assert_int_equal(plan.roles[0], REST_STMT_COUNT);
    assert_text(shown(&plan.stmts[0]),
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

/* ---- writing ---- */

static void test_insert_forms(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_CREATE, "projects", "");
    with_body(&r, "[{\"name\":\"a\"},{\"name\":\"b\"}]");
    assert_sql(
        &r,
        "INSERT INTO \"api\".\"projects\" (\"name\") SELECT \"pgrst_body\".\"name\" FROM (SELECT \"name\" "
        "FROM json_to_recordset($1) AS _(\"name\" text)) AS pgrst_body | "
        "[{\"name\":\"a\"},{\"name\":\"b\"}]");
    r.prefer.missing = REST_MISSING_DEFAULT;
    with_body(&r, "[{\"id\":1}]");
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
    rest_request_t r = request(REST_ACTION_CREATE, "clients", "on_conflict=name");
    with_body(&r, "{\"name\":\"a\"}");
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
        rest_request_t r = request(REST_ACTION_UPSERT, "clients", BAD[i]);
        with_body(&r, "{\"id\":1}");
        failed(&r, "PGRST105");
    }
    rest_request_t r = request(REST_ACTION_UPSERT, "clients", "id=eq.1");
    with_body(&r, "{\"id\":1}");
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_true(str_find(plan.stmts[0].sql, STR(" AND \"pgrst_body\".\"id\" = $2 ON CONFLICT (\"id\")"), 0) !=
                SIZE_MAX);
}

static void test_mutation_with_embeds_returns_what_they_join_on(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_DELETE, "projects", "id=eq.1&select=name,clients(name)");
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
    rest_request_t r = request(REST_ACTION_UPDATE, "clients", "id=eq.1");
    with_body(&r, "{}");
    assert_sql(&r, "SELECT NULL FROM \"api\".\"clients\" WHERE false");
}

/* ---- calling ---- */

static void test_calls(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_CALL_READ, "add", "a=1&b=2");
    assert_sql(&r,
               "SELECT \"add\".\"pgrst_scalar\" FROM (SELECT \"api\".\"add\"(\"a\" := $1::integer, \"b\" := "
               "$2::integer) AS pgrst_scalar) AS \"add\" | 1 | 2");
    r = request(REST_ACTION_CALL, "add", "");
    with_body(&r, "{\"a\":1,\"b\":2}");
    assert_sql(&r,
               "SELECT \"add\".\"pgrst_scalar\" FROM (SELECT \"a\", \"b\" FROM json_to_record($1) AS _(\"a\" "
               "integer, \"b\" integer) LIMIT 1) AS pgrst_body, LATERAL (SELECT \"api\".\"add\"(\"a\" := "
               "\"pgrst_body\".\"a\", \"b\" := \"pgrst_body\".\"b\") AS pgrst_scalar) AS \"add\" | "
               "{\"a\":1,\"b\":2}");
    r = request(REST_ACTION_CALL_READ, "find_projects", "term=x&select=id,clients(name)&id=gt.1");
    assert_sql(
        &r, "SELECT \"projects\".\"id\", row_to_json(\"projects_clients_1\".*) AS \"clients\" FROM "
            "\"api\".\"find_projects\"(\"term\" := $1::text) AS \"projects\" LEFT JOIN LATERAL (SELECT "
            "\"clients_1\".\"name\" FROM \"api\".\"clients\" AS \"clients_1\" WHERE \"clients_1\".\"id\" = "
            "\"projects\".\"client_id\") AS \"projects_clients_1\" ON TRUE WHERE \"projects\".\"id\" > $2 | "
            "x | 1");
    r = request(REST_ACTION_CALL, "take_json", "");
    with_body(&r, "{\"any\":1}");
    assert_sql(&r, "SELECT \"take_json\".\"pgrst_scalar\" FROM (SELECT \"api\".\"take_json\"($1::json) AS "
                   "pgrst_scalar) AS \"take_json\" | {\"any\":1}");
    /* rows of no table have columns that only the database knows */
    r = request(REST_ACTION_CALL, "report", "");
    with_body(&r, "{}");
    assert_sql(&r, "SELECT row_to_json(basalt_row) FROM (SELECT \"record\".* FROM \"api\".\"report\"() AS "
                   "\"record\") AS "
                   "basalt_row");
}

static void test_call_runs_once_even_when_counted(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_CALL_READ, "find_projects", "limit=1");
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
    rest_request_t r = request(REST_ACTION_CALL_READ, "find_projects", "");
    rest_plan_t plan;
    assert_null(plan_as(&r, "web", &plan));
    assert_true(plan.is_read_only);
    assert_false(plan.is_role_isolation);
    assert_int_equal(plan.isolation, DB_ISOLATION_SERIALIZABLE);
    assert_int_equal(plan.setting_count, 1);
    r = request(REST_ACTION_CALL, "report", "");
    assert_null(plan_as(&r, "web", &plan));
    assert_false(plan.is_read_only);
    assert_true(plan.is_role_isolation);
}

/* ---- errors ---- */

static void test_unknown_names(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_READ, "client", "");
    err_t *err = failed(&r, "PGRST205");
    assert_int_equal(err->status, 404);
    assert_text(err->hint, "Perhaps you meant the table 'api.clients'");
    r = request(REST_ACTION_READ, "projects", "select=client(*)");
    err = failed(&r, "PGRST200");
    assert_text(err->hint, "Perhaps you meant 'clients' instead of 'client'.");
    r = request(REST_ACTION_CREATE, "clients", "");
    with_body(&r, "{\"nam\":1}");
    err = failed(&r, "PGRST204");
    assert_text(err->message, "Could not find the 'nam' column of 'clients' in the schema cache");
    r = request(REST_ACTION_READ, "projects", "select=id&tasks.id=eq.1");
    failed(&r, "PGRST108");
    r = request(REST_ACTION_READ, "projects", "select=id,tasks(id)&order=tasks(id)");
    failed(&r, "PGRST118");
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
        rest_request_t r = request(CASES[i].action, CASES[i].target, CASES[i].query);
        rest_plan_t plan;
        assert_int_equal(!str_is_null(plan_as(&r, "web", &plan)->hint), CASES[i].web_sees);
        for (size_t k = 0; k < 2; k++)
            assert_true(str_is_null(plan_as(&r, BLIND[k], &plan)->hint));
    }
}

static void test_ambiguous_embed_lists_its_candidates(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_READ, "reviews", "select=users(*)");
    err_t *err = failed(&r, "PGRST201");
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
        r = request(REST_ACTION_READ, "reviews", GOOD[i]);
        rest_plan_t plan;
        assert_null(plan_as(&r, "web", &plan));
        assert_true(str_find(plan.stmts[0].sql, STR("\"users_1\".\"id\" = \"reviews\".\"author_id\""), 0) !=
                    SIZE_MAX);
    }
    r = request(REST_ACTION_READ, "reviews", "select=users!nothing(id)");
    err = failed(&r, "PGRST200");
    assert_true(str_is_null(err->hint));
}

static void test_function_that_no_arguments_fit(void **state)
{
    (void)state;
    rest_request_t r = request(REST_ACTION_CALL_READ, "add", "x=1");
    err_t *err = failed(&r, "PGRST202");
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
    rest_request_t r = request(REST_ACTION_READ, "clients", "");
    r.accept = &xml;
    failed(&r, "PGRST107");
    /* a handler for the whole relation answers while nothing else was selected */
    r = request(REST_ACTION_READ, "projects", "");
    r.accept = &xml;
    assert_sql(&r, "SELECT \"api\".\"rows_xml\"(basalt_row::\"api\".\"projects\") AS body, "
                   "pg_catalog.count(basalt_row) AS page_total FROM (SELECT \"projects\".* FROM "
                   "\"api\".\"projects\") AS "
                   "basalt_row");
    r = request(REST_ACTION_READ, "projects", "select=id");
    r.accept = &xml;
    failed(&r, "PGRST107");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_star_stays_a_star_when_every_column_is_plain),
        cmocka_unit_test(test_columns_without_a_plain_text_form_are_converted_by_the_database),
        cmocka_unit_test(test_values_are_parameters_and_limits_are_text),
        cmocka_unit_test(test_json_paths_and_full_text),
        cmocka_unit_test(test_identifiers_are_quoted_wherever_they_stand),
        cmocka_unit_test(test_embeds),
        cmocka_unit_test(test_range_is_applied_before_embeds_that_drop_no_row),
        cmocka_unit_test(test_range_stays_outside_when_an_embed_decides_about_rows),
        cmocka_unit_test(test_range_is_repeated_outside_when_a_view_may_show_a_row_twice),
        cmocka_unit_test(test_spreads_and_aggregates),
        cmocka_unit_test(test_representations_convert_on_the_way_out_and_in),
        cmocka_unit_test(test_star_of_a_marked_table_means_the_readable_columns),
        cmocka_unit_test(test_counts_come_before_the_rows),
        cmocka_unit_test(test_insert_forms),
        cmocka_unit_test(test_upsert_counts_what_was_new),
        cmocka_unit_test(test_put_needs_exactly_the_key),
        cmocka_unit_test(test_mutation_with_embeds_returns_what_they_join_on),
        cmocka_unit_test(test_update_without_columns_touches_nothing),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_call_runs_once_even_when_counted),
        cmocka_unit_test(test_routine_settings_and_volatility_reach_the_transaction),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_hints_name_only_what_the_role_may_use),
        cmocka_unit_test(test_ambiguous_embed_lists_its_candidates),
        cmocka_unit_test(test_function_that_no_arguments_fit),
        cmocka_unit_test(test_media_types_that_nothing_makes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
