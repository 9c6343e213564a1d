/* From catalog rows to the snapshot: relationships, keys of views, overloads, hints. */
#include "base/read_json.h"
#include "schema/build.h"
#include "schema/dump.h"
#include "schema/hint.h"
#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static schema_snapshot_t *snapshot;

static int set_up(void **state)
{
    (void)state;
    snapshot = snapshot_fixture();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    schema_unref(snapshot);
    return 0;
}

#define assert_str(got, literal)                                                                             \
    do {                                                                                                     \
        str_t assert_str_got = (got);                                                                        \
        assert_int_equal(assert_str_got.len, sizeof(literal) - 1);                                           \
        assert_memory_equal(assert_str_got.base, literal, sizeof(literal) - 1);                              \
    } while (0)

static const schema_table_t *table(const char *name)
{
    return schema_table(snapshot, STR("api"), str_from_c(name));
}

static const schema_relation_t *relation(const char *from, const char *to, schema_relation_kind_t kind)
{
    const schema_table_t *t = table(from);
    for (size_t i = 0; i < t->relation_count; i++)
        if (t->relations[i]->kind == kind && str_eq(t->relations[i]->foreign.name, str_from_c(to)))
            return t->relations[i];
    return NULL;
}

static void test_foreign_key_leads_both_ways(void **state)
{
    (void)state;
    const schema_relation_t *there = relation("projects", "clients", SCHEMA_REL_M2O);
    const schema_relation_t *back = relation("clients", "projects", SCHEMA_REL_O2M);
    assert_non_null(there);
    assert_non_null(back);
    assert_true(there->is_to_one);
    assert_false(back->is_to_one);
    assert_str(there->pairs[0].from, "client_id");
    assert_str(back->pairs[0].to, "client_id");
    assert_str(back->constraint, "projects_client_fkey");
}

static void test_foreign_key_on_a_unique_column_is_one_to_one(void **state)
{
    (void)state;
    const schema_relation_t *own = relation("project_details", "projects", SCHEMA_REL_O2O);
    const schema_relation_t *back = relation("projects", "project_details", SCHEMA_REL_O2O);
    assert_non_null(own);
    assert_non_null(back);
    assert_false(own->is_parent);
    assert_true(back->is_parent);
    assert_null(relation("projects", "project_details", SCHEMA_REL_O2M));
}

static void test_junction_covered_by_its_key_makes_many_to_many(void **state)
{
    (void)state;
    const schema_relation_t *r = relation("users", "tasks", SCHEMA_REL_M2M);
    assert_non_null(r);
    assert_str(r->junction.name, "users_tasks");
    assert_str(r->source_pairs[0].from, "id");
    assert_str(r->source_pairs[0].to, "user_id");
    assert_str(r->target_pairs[0].to, "task_id");
    assert_non_null(relation("tasks", "users", SCHEMA_REL_M2M));
}

static void test_view_takes_keys_of_the_columns_that_it_shows_unchanged(void **state)
{
    (void)state;
    const schema_table_t *view = table("projects_view");
    assert_true(view->is_view);
    assert_int_equal(view->primary_key_count, 1);
    assert_str(view->primary_key[0], "id");
    const schema_relation_t *r = relation("projects_view", "clients", SCHEMA_REL_M2O);
    assert_non_null(r);
    assert_true(r->table_is_view);
    assert_str(r->pairs[0].from, "owner");
    const schema_relation_t *tasks = relation("tasks", "projects_view", SCHEMA_REL_M2O);
    assert_non_null(tasks);
    assert_true(tasks->foreign_is_view);
    /* the subquery's target list, which names tasks, is not the view's */
    assert_null(relation("projects_view", "users", SCHEMA_REL_M2M));
}

static void test_computed_relationship_is_known_by_its_function(void **state)
{
    (void)state;
    const schema_relation_t *r = relation("projects", "tasks", SCHEMA_REL_COMPUTED);
    assert_non_null(r);
    assert_str(r->function.name, "lead_task");
    assert_true(r->is_to_one);
    assert_non_null(relation("projects", "tasks", SCHEMA_REL_O2M));
}

static void test_overloads_come_with_fewest_parameters_first(void **state)
{
    (void)state;
    const schema_overloads_t *o = schema_overloads(snapshot, STR("api"), STR("add"));
    assert_int_equal(o->count, 2);
    assert_int_equal(o->routines[0]->parameter_count, 1);
    assert_int_equal(o->routines[1]->parameter_count, 3);
    assert_false(o->routines[1]->parameters[2].is_required);
}

static void test_functions_that_no_request_could_call_are_left_out(void **state)
{
    (void)state;
    assert_non_null(schema_overloads(snapshot, STR("api"), STR("take_json")));
    assert_null(schema_overloads(snapshot, STR("api"), STR("no_names")));
}

static void test_settings_of_functions_and_roles_are_kept(void **state)
{
    (void)state;
    const schema_routine_t *f = schema_overloads(snapshot, STR("api"), STR("find_projects"))->routines[0];
    assert_int_equal(f->isolation, SCHEMA_ISOLATION_SERIALIZABLE);
    assert_int_equal(f->setting_count, 1);
    assert_str(f->settings[0].value, "1s");
    const schema_role_t *role = schema_role(snapshot, STR("web"));
    assert_non_null(role);
    assert_str(role->settings[0].name, "statement_timeout");
    assert_null(schema_role(snapshot, STR("nobody")));
}

static void test_marked_table_knows_what_each_role_may_read(void **state)
{
    (void)state;
    const schema_table_t *t = table("settings");
    assert_true(t->is_expanding_star);
    const schema_readable_t *web = schema_readable(t, STR("web"));
    assert_int_equal(web->column_count, 2);
    assert_str(web->columns[1], "label");
    assert_int_equal(schema_readable(t, STR("owner"))->column_count, 3);
    assert_null(schema_readable(t, STR("nobody")));
    assert_false(table("clients")->is_expanding_star);
}

/* One table of `count` columns c0, c1 ... of a domain that has a default and is not null. */
static schema_snapshot_t *wide_table(int count)
{
    const str_t schemas[] = {STR("api")};
    schema_build_t *build = schema_build_create(schemas, 1);
    schema_build_row(build, SCHEMA_ROWS_RELATIONS,
                     (str_t[]){STR("10"), STR("api"), STR("wide"), STR("r"), STR_NULL, STR("28")}, 6);
    for (int i = 0; i < count; i++) {
        char number[16], name[16];
        snprintf(number, sizeof(number), "%d", i + 1);
        snprintf(name, sizeof(name), "c%d", i);
        schema_build_row(build, SCHEMA_ROWS_COLUMNS,
                         (str_t[]){STR("10"), str_from_c(number), str_from_c(name), STR_NULL, STR("900"),
                                   STR("-1"), i == 0 ? STR("'own'") : STR_NULL, STR("t"), STR("f")},
                         9);
    }
    schema_build_row(build, SCHEMA_ROWS_FACTS,
                     (str_t[]){STR("type"), STR("900"), STR("-1"), STR("api.code"), STR("text"), STR("25"),
                               STR("'none'"), STR("tfft"), STR("12")},
                     9);
    schema_snapshot_t *wide = schema_build_finish(build, 1);
    schema_build_destroy(build);
    return wide;
}

static void test_columns_are_found_by_name_in_narrow_and_wide_tables(void **state)
{
    (void)state;
    for (int count = 15; count <= 18; count++) {
        schema_snapshot_t *wide = wide_table(count);
        const schema_table_t *t = schema_table(wide, STR("api"), STR("wide"));
        assert_int_equal(t->column_count, count);
        for (int i = 0; i < count; i++) {
            char name[16];
            snprintf(name, sizeof(name), "c%d", i);
            assert_ptr_equal(schema_column(t, str_from_c(name)), &t->columns[i]);
        }
        assert_null(schema_column(t, STR("c")));
        assert_null(schema_column(t, STR("c99")));
        schema_unref(wide);
    }
}

static void test_columns_have_what_their_type_says(void **state)
{
    (void)state;
    schema_snapshot_t *wide = wide_table(2);
    const schema_table_t *t = schema_table(wide, STR("api"), STR("wide"));
    const schema_column_t *first = schema_column(t, STR("c0")), *second = schema_column(t, STR("c1"));
    assert_str(first->type, "api.code");
    assert_str(first->base_type, "text");
    assert_int_equal(first->base_oid, 25);
    assert_int_equal(first->max_length, 12);
    assert_true(first->is_plain && !first->is_array && !first->is_composite);
    assert_false(first->is_nullable); /* the domain forbids it, not the column */
    assert_str(first->default_value, "'own'");
    assert_str(second->default_value, "'none'");
    schema_unref(wide);
}

static void test_names_of_other_schemas_are_not_found(void **state)
{
    (void)state;
    assert_null(schema_table(snapshot, STR("public"), STR("clients")));
    assert_null(schema_table(snapshot, STR("api"), STR("client")));
    /* no confusion of where the schema ends */
    assert_null(schema_table(snapshot, STR("ap"), STR("iclients")));
}

static void test_nearest_name(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    const str_t names[] = {STR("films"), STR("directors"), STR("roles"), STR("actors")};
    assert_str(schema_nearest(pool, STR("film"), names, 4, SCHEMA_HINT_LOOSE, true), "films");
    assert_str(schema_nearest(pool, STR("ROLE"), names, 4, SCHEMA_HINT_LOOSE, true), "roles");
    assert_true(
        str_is_null(schema_nearest(pool, STR("noclosealternative"), names, 4, SCHEMA_HINT_LOOSE, true)));
    /* an equal name is no suggestion where the caller knows it */
    assert_true(str_is_null(schema_nearest(pool, STR("actors"), names, 4, SCHEMA_HINT_LOOSE, false)));
    /* strict: one letter of a long name may be wrong, half of a short one may not */
    assert_str(schema_nearest(pool, STR("directrs"), names, 4, SCHEMA_HINT_STRICT, true), "directors");
    assert_true(str_is_null(schema_nearest(pool, STR("fil"), names, 4, SCHEMA_HINT_STRICT, true)));
    assert_true(str_is_null(schema_nearest(pool, STR(""), names, 4, SCHEMA_HINT_LOOSE, true)));
    assert_true(str_is_null(schema_nearest(pool, STR("x"), NULL, 0, SCHEMA_HINT_LOOSE, true)));
    pool_destroy(pool);
}

static void test_dump_is_json_with_every_table(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    buf_t out;
    json_t *json = NULL;
    buf_init(&out, pool, 1024);
    schema_dump(snapshot, &out);
    assert_null(read_json(pool, buf_str(&out), NULL, &json));
    json_t *tables = read_json_array(json, "dbTables");
    assert_int_equal(json_array_size(tables), snapshot->table_count);
    json_t *clients = json_array_get(tables, 0);
    assert_str(read_json_str(json_array_get(clients, 0), "qiName"), "clients");
    json_t *columns = read_json_object(json_array_get(clients, 1), "tableColumns");
    assert_str(read_json_str(json_object_get(columns, "name"), "colType"), "text");
    size_t count = 0, i;
    json_t *pair;
    json_array_foreach(read_json_array(json, "dbRelationships"), i, pair) count +=
        json_array_size(json_array_get(pair, 1));
    assert_int_equal(count, snapshot->relation_count);
    pool_destroy(pool);
}

static void test_snapshot_outlives_its_replacement(void **state)
{
    (void)state;
    schema_snapshot_t *held = schema_ref(snapshot_fixture());
    schema_unref(held); /* the cache lets go */
    assert_non_null(schema_table(held, STR("api"), STR("clients")));
    schema_unref(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign_key_leads_both_ways),
        cmocka_unit_test(test_foreign_key_on_a_unique_column_is_one_to_one),
        cmocka_unit_test(test_junction_covered_by_its_key_makes_many_to_many),
        cmocka_unit_test(test_view_takes_keys_of_the_columns_that_it_shows_unchanged),
        cmocka_unit_test(test_computed_relationship_is_known_by_its_function),
        cmocka_unit_test(test_overloads_come_with_fewest_parameters_first),
        cmocka_unit_test(test_functions_that_no_request_could_call_are_left_out),
        cmocka_unit_test(test_settings_of_functions_and_roles_are_kept),
        cmocka_unit_test(test_marked_table_knows_what_each_role_may_read),
        cmocka_unit_test(test_columns_are_found_by_name_in_narrow_and_wide_tables),
        cmocka_unit_test(test_columns_have_what_their_type_says),
        cmocka_unit_test(test_names_of_other_schemas_are_not_found),
        cmocka_unit_test(test_nearest_name),
        cmocka_unit_test(test_dump_is_json_with_every_table),
        cmocka_unit_test(test_snapshot_outlives_its_replacement),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
