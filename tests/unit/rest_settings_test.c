/* The configuration of the REST room: what texts of operators become, and what stands for "unset". */
#include "rest/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
    pool_t *pool;
    config_t *config;
    rest_settings_box_t *box;
} fixture_t;

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    f->pool = pool_create();
    unsetenv("PGRST_DB_ANON_ROLE");
    assert_null(config_load(f->pool, GATEWAY_CONFIG_KEYS, NULL, &f->config));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    if (f->box != NULL)
        rest_settings_unref(f->box);
    config_destroy(f->config);
    pool_destroy(f->pool);
    free(f);
    return 0;
}

static const rest_settings_t *load(fixture_t *f)
{
    if (f->box != NULL)
        rest_settings_unref(f->box);
    f->box = rest_settings_load(f->config);
    return &f->box->values;
}

static void set(fixture_t *f, const char *name, const char *value)
{
    assert_true(config_override(f->config, str_from_c(name), str_from_c(value)));
}

#define assert_text(got, literal)                                                                            \
    do {                                                                                                     \
        str_t assert_text_got = (got);                                                                       \
        assert_int_equal(assert_text_got.len, sizeof(literal) - 1);                                          \
        assert_memory_equal(assert_text_got.base, literal, sizeof(literal) - 1);                             \
    } while (0)

/* Unit tests plan with the defaults of rest_settings_default: they must be those that a gateway has. */
static void the_limits_of_the_tests_are_those_of_the_table(void **state)
{
    rest_settings_t bare;
    rest_settings_default(&bare);
    const rest_settings_t *s = load(*state);
    assert_int_equal(s->filters_max, bare.filters_max);
    assert_int_equal(s->logic_depth_max, bare.logic_depth_max);
    assert_int_equal(s->list_max, bare.list_max);
    assert_int_equal(s->embed_depth_max, bare.embed_depth_max);
    assert_int_equal(s->embeds_max, bare.embeds_max);
    assert_int_equal(s->columns_max, bare.columns_max);
    assert_int_equal(s->json_depth_max, bare.json_depth_max);
    assert_int_equal(s->stall_timeout_ms, bare.stall_timeout_ms);
    assert_int_equal(s->stream_timeout_ms, bare.stream_timeout_ms);
    assert_int_equal(s->buffer_max, bare.buffer_max);
    assert_int_equal(s->buffers_max, bare.buffers_max);
    assert_int_equal(s->max_rows, bare.max_rows);
    assert_int_equal(s->has_legacy_targets, bare.has_legacy_targets);
    assert_int_equal(s->schema_count, 1);
    assert_text(s->schemas[0], "public");
}

static void unset_means_no_limit_no_role_and_no_function(void **state)
{
    const rest_settings_t *s = load(*state);
    assert_int_equal(s->max_rows, -1);
    assert_true(s->anon_role.len == 0);
    assert_true(str_is_null(s->root_spec) && str_is_null(s->pre_request) && str_is_null(s->trace_header));
    assert_int_equal(s->cors_origin_count, 0);
    assert_false(s->is_tx_rollback || s->is_tx_overridable || s->is_plan_enabled || s->has_aggregates);
}

static void lists_are_trimmed_and_empty_items_do_not_count(void **state)
{
    fixture_t *f = *state;
    set(f, "PGRST_DB_SCHEMAS", " api , ,other,");
    set(f, "PGRST_DB_EXTRA_SEARCH_PATH", "");
    set(f, "PGRST_SERVER_CORS_ALLOWED_ORIGINS", "https://a.test,  https://b.test");
    const rest_settings_t *s = load(f);
    assert_int_equal(s->schema_count, 2);
    assert_text(s->schemas[0], "api");
    assert_text(s->schemas[1], "other");
    assert_int_equal(s->extra_search_path_count, 0);
    assert_int_equal(s->cors_origin_count, 2);
    assert_text(s->cors_origins[1], "https://b.test");
    set(f, "PGRST_DB_SCHEMAS", " , ");
    assert_text(load(f)->schemas[0], "public"); /* never none */
}

static void functions_of_the_configuration_are_quoted(void **state)
{
    fixture_t *f = *state;
    set(f, "PGRST_DB_PRE_REQUEST", "check");
    set(f, "PGRST_DB_ROOT_SPEC", "api.root");
    const rest_settings_t *s = load(f);
    assert_text(s->pre_request, "select \"check\"()");
    assert_text(s->root_spec, "root");
    set(f, "PGRST_DB_PRE_REQUEST", "my \"own\".check;drop");
    set(f, "PGRST_DB_ROOT_SPEC", "root");
    s = load(f);
    assert_text(s->pre_request, "select \"my \"\"own\"\"\".\"check;drop\"()");
    assert_text(s->root_spec, "root");
}

static void the_end_of_transactions_has_four_words(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *text;
        bool is_rollback, is_overridable;
    } CASES[] = {{"commit", false, false},
                 {"commit-allow-override", false, true},
                 {"rollback", true, false},
                 {"rollback-allow-override", true, true}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        set(f, "PGRST_DB_TX_END", CASES[i].text);
        const rest_settings_t *s = load(f);
        assert_int_equal(s->is_tx_rollback, CASES[i].is_rollback);
        assert_int_equal(s->is_tx_overridable, CASES[i].is_overridable);
    }
}

static void words_and_numbers_are_taken_over(void **state)
{
    fixture_t *f = *state;
    set(f, "PGRST_DB_MAX_ROWS", "0");
    set(f, "PGRST_OPENAPI_MODE", "disabled");
    set(f, "PGRST_SERVER_TRACE_HEADER", "X-Request-Id");
    set(f, "PGRST_CLIENT_ERROR_VERBOSITY", "minimal");
    set(f, "BASALT_REST_STREAM_TIMEOUT", "90s");
    set(f, "BASALT_REST_BUFFER", "64kB");
    const rest_settings_t *s = load(f);
    assert_int_equal(s->max_rows, 0);
    assert_int_equal(s->openapi_mode, REST_OPENAPI_DISABLED);
    assert_text(s->trace_header, "x-request-id");
    assert_true(s->is_error_minimal);
    assert_int_equal(s->stream_timeout_ms, 90000);
    assert_int_equal(s->buffer_max, 65536);
    set(f, "PGRST_OPENAPI_MODE", "ignore-privileges");
    assert_int_equal(load(f)->openapi_mode, REST_OPENAPI_IGNORE);
    set(f, "PGRST_OPENAPI_MODE", "follow-privileges");
    assert_int_equal(load(f)->openapi_mode, REST_OPENAPI_FOLLOW);
}

static void requests_keep_the_settings_that_they_started_with(void **state)
{
    fixture_t *f = *state;
    set(f, "PGRST_DB_ANON_ROLE", "first");
    rest_settings_box_t *kept = rest_settings_ref(rest_settings_load(f->config));
    rest_settings_unref(kept); /* the room's own count goes at a reload */
    set(f, "PGRST_DB_ANON_ROLE", "second");
    assert_text(load(f)->anon_role, "second");
    assert_text(kept->values.anon_role, "first");
    rest_settings_unref(kept);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(the_limits_of_the_tests_are_those_of_the_table),
        T(unset_means_no_limit_no_role_and_no_function),
        T(lists_are_trimmed_and_empty_items_do_not_count),
        T(functions_of_the_configuration_are_quoted),
        T(the_end_of_transactions_has_four_words),
        T(words_and_numbers_are_taken_over),
        T(requests_keep_the_settings_that_they_started_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
