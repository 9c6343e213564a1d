/* Requests that differ in values share a plan, and nothing else of each other. */
#include "rest/plan_cache.h"

#include "plan_twin.h"
#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static schema_snapshot_t *snapshot;
static rest_settings_box_t box = {.refs = 1};
static rest_plan_cache_t *cache;
static pool_t *pool;

static int set_up(void **state)
{
    static const str_t SCHEMAS[] = {{"api", 3}};
    (void)state;
    rest_settings_default(&box.values);
    box.values.schemas = SCHEMAS;
    snapshot = snapshot_fixture();
    cache = rest_plan_cache_create();
    pool = pool_create();
    rest_plan_cache_enter(cache, snapshot, &box);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rest_plan_cache_destroy(cache);
    schema_unref(snapshot);
    pool_destroy(pool);
    return 0;
}

static rest_input_t get(const char *path, const char *query)
{
    return (rest_input_t){
        .method = STR("GET"), .path = str_from_c(path), .query = str_from_c(query), .body = STR("")};
}

static rest_plan_key_t key_as(const rest_input_t *in, const char *role)
{
    rest_plan_key_t key;
    rest_plan_key_read(&box.values, pool, in, str_from_c(role), &key);
    return key;
}

static err_t *make(const rest_input_t *in, const char *role, rest_request_t *request, rest_plan_t *plan)
{
    identity_t identity = {.role = str_from_c(role)};
    err_t *err = rest_parse(&box.values, pool, in, request);
    return err != NULL ? err : rest_plan(&box.values, pool, request, snapshot, &identity, plan);
}

/* As a request does that finds no plan. */
static void offer(const rest_input_t *in, const char *role)
{
    rest_request_t request;
    rest_plan_t plan;
    rest_plan_key_t key = key_as(in, role);
    assert_null(make(in, role, &request, &plan));
    rest_plan_cache_offer(cache, &key, &request, &plan);
}

static bool has_plan(const rest_input_t *in, const char *role)
{
    rest_plan_key_t key = key_as(in, role);
    rest_cached_plan_t *cached = rest_plan_cache_get(cache, &key);
    rest_cached_plan_release(cached);
    return cached != NULL;
}

static bool share(const char *path, const char *query, const char *other)
{
    rest_input_t a = get(path, query), b = get(path, other);
    rest_plan_key_t one = key_as(&a, "web"), two = key_as(&b, "web");
    assert_non_null(one.text.base);
    assert_non_null(two.text.base);
    return str_eq(one.text, two.text);
}

static void test_only_operands_may_differ(void **state)
{
    (void)state;
    static const struct {
        const char *path, *one, *two;
        bool is_shared;
    } CASES[] = {
        {"/clients", "id=eq.1", "id=eq.2", true},
        {"/clients", "id=not.gte.1&name=like.a*", "id=not.gte.&name=like.%2A", true},
        {"/clients", "id=in.(1,2)", "id=in.%283%29", true},
        {"/clients", "name=eq(any).%7Ba%7D", "name=eq(any).x", true},
        {"/clients", "name=fts(english).a", "name=fts(english).b", true},
        {"/rpc/add", "a=1&b=2", "a=2&b=x", true},
        {"/clients", "id=eq.1", "id=neq.1", false},
        {"/clients", "id=eq.1", "id=not.eq.1", false},
        {"/clients", "id=eq.1", "name=eq.1", false},
        {"/clients", "name=eq(any).a", "name=eq(all).a", false},
        {"/clients", "name=fts(english).a", "name=fts(german).a", false},
        {"/clients", "id=in.(1,2)", "id=in.(1,\"2\")", false},
        {"/clients", "id=is.null", "id=is.not_null", false},
        {"/clients", "limit=1", "limit=2", false},
        {"/clients", "offset=1", "offset=2", false},
        {"/clients", "order=id", "order=name", false},
        {"/clients", "select=id", "select=id::text", false},
        {"/projects", "data->a=eq.1", "data->b=eq.1", false},
        {"/clients", "or=(id.eq.1)", "or=(id.eq.2)", false},
        {"/clients", "and=eq.1", "and=eq.2", false},
        {"/rpc/add", "a=1&b=2", "b=1&a=2", false},
        {"/rpc/add", "a=1&b=2", "a=1&b=eq.2", false},
        {"/clients", "id=eq.1", "id=eq.1&id=eq.1", false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++)
        if (share(CASES[i].path, CASES[i].one, CASES[i].two) != CASES[i].is_shared)
            fail_msg("%s and %s", CASES[i].one, CASES[i].two);
}

static void test_headers_belong_to_the_key(void **state)
{
    (void)state;
    static const str_t PREFER[] = {STR("count=exact"), STR("count=planned")};
    rest_input_t plain = get("/clients", "id=eq.1"), other[6];
    for (size_t i = 0; i < 6; i++)
        other[i] = plain;
    other[0].accept = STR("text/csv");
    other[1].accept_profile = STR("api");
    other[2].range = STR("0-1");
    other[3].prefers = PREFER;
    other[3].prefer_count = 1;
    other[4].prefers = PREFER + 1;
    other[4].prefer_count = 1;
    other[5].method = STR("HEAD");
    for (size_t i = 0; i < 6; i++) {
        assert_false(str_eq(key_as(&plain, "web").text, key_as(&other[i], "web").text));
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(key_as(&other[k], "web").text, key_as(&other[i], "web").text));
    }
}

static void test_a_plan_is_bound_to_the_values_of_its_request(void **state)
{
    (void)state;
    static const char *const PAIRS[][3] = {
        {"/clients", "name=eq.x&id=gt.1&name=like.*a", "name=eq.%24&id=gt.%C3%A4&name=like.b*"},
        {"/projects", "id=in.(1,2)&select=id,clients(name)&clients.name=eq.a",
         "id=in.(3)&select=id,clients(name)&clients.name=eq.b,c"},
        {"/projects", "data->>a=eq.1&name=plfts(english).x", "data->>a=eq.2&name=plfts(english).y"},
    };
    for (size_t i = 0; i < sizeof(PAIRS) / sizeof(*PAIRS); i++) {
        rest_input_t first = get(PAIRS[i][0], PAIRS[i][1]), second = get(PAIRS[i][0], PAIRS[i][2]);
        offer(&first, "web");
        offer(&first, "web");
        rest_plan_key_t key = key_as(&second, "web");
        rest_cached_plan_t *cached = rest_plan_cache_get(cache, &key);
        assert_non_null(cached);
        rest_request_t bound_request, request;
        rest_plan_t bound, plan;
        rest_cached_plan_bind(cached, pool, &key, &bound_request, &bound);
        assert_null(make(&second, "web", &request, &plan));
        assert_null(plan_twin_difference(&bound_request, &bound, &request, &plan));
        assert_true(str_eq(bound_request.canonical_query, request.canonical_query));
        rest_cached_plan_release(cached);
    }
}

static void test_the_keys_of_a_payload_belong_to_the_key(void **state)
{
    (void)state;
    static const char *const BODIES[] = {"{\"id\":1}", "[{\"id\":1}]", "[]", "{\"name\":1}",
                                         "{\"id\":1,\"name\":2}"};
    rest_input_t in = get("/clients", "");
    in.method = STR("POST");
    for (size_t i = 0; i < 5; i++) {
        in.body = str_from_c(BODIES[i]);
        offer(&in, "web");
        assert_false(has_plan(&in, "web"));
        offer(&in, "web");
        assert_true(has_plan(&in, "web"));
    }
    in.body = STR(" { \"id\" : {\"name\": 7} } ");
    rest_plan_key_t key = key_as(&in, "web");
    rest_cached_plan_t *cached = rest_plan_cache_get(cache, &key);
    rest_request_t request;
    rest_plan_t plan;
    assert_non_null(cached);
    rest_cached_plan_bind(cached, pool, &key, &request, &plan);
    assert_true(str_eq(plan.stmts[0].params[0], in.body));
    rest_cached_plan_release(cached);
    in.body = STR("{\"id\":1");
    assert_null(key_as(&in, "web").text.base);
    in.body = STR("id=1");
    in.content_type = STR("application/x-www-form-urlencoded");
    assert_null(key_as(&in, "web").text.base);
}

static void test_what_comes_once_is_not_kept(void **state)
{
    (void)state;
    rest_input_t in = get("/clients", "name=eq.x");
    offer(&in, "web");
    assert_int_equal(rest_plan_cache_count(cache), 0);
    in.query = STR("name=eq.y");
    offer(&in, "web");
    assert_int_equal(rest_plan_cache_count(cache), 1);
    in.query = STR("limit=37"); /* its text will hardly come again */
    offer(&in, "web");
    offer(&in, "web");
    assert_int_equal(rest_plan_cache_count(cache), 1);
}

static void test_its_state_can_be_looked_at(void **state)
{
    (void)state;
    rest_input_t in = get("/clients", "id=eq.1"), unkeyed = get("/", "");
    offer(&in, "web");
    assert_false(has_plan(&in, "web"));
    offer(&in, "web");
    assert_true(has_plan(&in, "web"));
    assert_true(has_plan(&in, "web"));
    assert_false(has_plan(&unkeyed, "web"));
    buf_t out;
    buf_init(&out, pool, 128);
    rest_plan_cache_inspect(cache, &out);
    buf_append_char(&out, '\0');
    assert_non_null(strstr(out.base, "\"plans\":1,"));
    assert_non_null(strstr(out.base, "\"hits\":2,\"misses\":1,\"unkeyed\":1}"));
}

static void test_the_number_of_plans_is_bounded(void **state)
{
    (void)state;
    char query[64] = "";
    rest_input_t in = get("/clients", query), first = get("/clients", "id=eq.1");
    offer(&first, "web");
    offer(&first, "web");
    for (int i = 0; i < 2000; i++) {
        snprintf(query, sizeof(query), "select=a%d:id", i);
        in.query = str_from_c(query);
        offer(&in, "web");
        offer(&in, "web");
        assert_true(has_plan(&first, "web")); /* used all the time */
    }
    assert_in_range(rest_plan_cache_count(cache), 100, 512);
}

static void test_columns_that_a_role_may_read_stay_its_own(void **state)
{
    (void)state;
    rest_input_t in = get("/settings", "select=*");
    assert_true(rest_plan_cache_is_by_role(cache));
    offer(&in, "web");
    offer(&in, "web");
    assert_true(has_plan(&in, "web"));
    assert_false(has_plan(&in, "blind"));
}

static void test_another_snapshot_or_configuration_empties_it(void **state)
{
    (void)state;
    rest_input_t in = get("/clients", "id=eq.1");
    rest_settings_box_t other = {.refs = 1, .values = box.values};
    offer(&in, "web");
    offer(&in, "web");
    rest_plan_key_t key = key_as(&in, "web");
    rest_cached_plan_t *in_use = rest_plan_cache_get(cache, &key);
    rest_plan_cache_enter(cache, snapshot, &box);
    assert_int_equal(rest_plan_cache_count(cache), 1);
    rest_plan_cache_enter(cache, snapshot, &other);
    assert_int_equal(rest_plan_cache_count(cache), 0);
    schema_snapshot_t *next = snapshot_fixture();
    offer(&in, "web");
    assert_int_equal(rest_plan_cache_count(cache), 1);
    rest_plan_cache_enter(cache, next, &other);
    assert_int_equal(rest_plan_cache_count(cache), 0);
    rest_plan_cache_flush(cache);
    schema_unref(next);
    rest_request_t request;
    rest_plan_t plan;
    rest_cached_plan_bind(in_use, pool, &key, &request,
                          &plan); /* a request that is under way keeps its plan */
    assert_true(str_eq(plan.stmts[0].params[0], STR("1")));
    rest_cached_plan_release(in_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_operands_may_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headers_belong_to_the_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_plan_is_bound_to_the_values_of_its_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_keys_of_a_payload_belong_to_the_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_comes_once_is_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_its_state_can_be_looked_at, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_number_of_plans_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_columns_that_a_role_may_read_stay_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_snapshot_or_configuration_empties_it, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("rest_plan_cache", tests, NULL, NULL);
}
