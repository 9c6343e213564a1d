/* Claims: times, audience, role, and the cache that must not outlive them. */
#include "base/clock.h"
#include "token_test.h"

static void a_signed_token_gives_role_sub_session_and_claims(void **state)
{
    fixture_t *f = *state;
    identity_t identity;
    str_t jwt = claims(
        f->pool,
        "{ \"role\":\"authenticated\", \"sub\":\"u 1\",\n\"session_id\":\"s1\",\"exp\":99999999999}\n");
    assert_null(token_verify(f->verifier, f->pool, jwt, &identity));
    assert_string_equal(pool_cstr(f->pool, identity.role), "authenticated");
    assert_string_equal(pool_cstr(f->pool, identity.sub), "u 1");
    assert_string_equal(pool_cstr(f->pool, identity.session_id), "s1");
    assert_string_equal(
        pool_cstr(f->pool, identity.claims_json),
        "{\"role\":\"authenticated\",\"sub\":\"u 1\",\"session_id\":\"s1\",\"exp\":99999999999}");
    assert_true(identity.exp == 99999999999);
}

static void the_session_sees_the_role_in_force_among_the_claims(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *claims, *session;
    } CASES[] = {
        {"{\"app\":{\"role\":\"writer\"},\"role\":\"other\",\"n\":1.50}",
         "{\"app\":{\"role\":\"writer\"},\"n\":1.50,\"role\":\"writer\"}"},
        {"{\"role\":[\"a,b\",{\"c\":1}],\"app\":{\"role\":\"w\\\"r\"},\"t\":\"x,\\\",\"}",
         "{\"app\":{\"role\":\"w\\\"r\"},\"t\":\"x,\\\",\",\"role\":\"w\\\"r\"}"},
        {"{\"role\":\"writer\",\"app\":{\"role\":\"writer\"}}",
         "{\"role\":\"writer\",\"app\":{\"role\":\"writer\"}}"},
        {"{\"roles\":1}", "{\"roles\":1,\"role\":\"anon\"}"},
        {"{}", "{\"role\":\"anon\"}"},
    };
    token_verifier_t *verifier = make_verifier(
        f->pool, &(token_options_t){
                     .secret = STR(SECRET), .anon_role = STR("anon"), .role_claim_key = STR("$.app.role")});
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        identity_t identity;
        assert_null(token_verify(verifier, f->pool, claims(f->pool, CASES[i].claims), &identity));
        assert_string_equal(pool_cstr(f->pool, identity.session_claims), CASES[i].session);
    }
    token_verifier_destroy(verifier);
}

static void no_token_is_the_anonymous_role_or_401(void **state)
{
    fixture_t *f = *state;
    assert_role(f->verifier, f->pool, STR_NULL, "anon");
    token_verifier_t *strict = make_verifier(f->pool, &(token_options_t){.secret = STR(SECRET)});
    assert_refused(strict, f->pool, STR_NULL, "PGRST302", "Anonymous access is disabled");
    assert_refused(strict, f->pool, claims(f->pool, "{}"), "PGRST302", NULL);
    token_verifier_destroy(strict);
}

static void without_a_secret_tokens_answer_500(void **state)
{
    fixture_t *f = *state;
    identity_t identity;
    token_verifier_t *bare = make_verifier(f->pool, &(token_options_t){.anon_role = STR("anon")});
    err_t *err = token_verify(bare, f->pool, claims(f->pool, "{}"), &identity);
    assert_non_null(err);
    assert_int_equal(err->status, 500);
    assert_string_equal(pool_cstr(f->pool, err->code), "PGRST300");
    token_verifier_destroy(bare);
}

static void times_are_judged_with_thirty_seconds_of_leeway(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *format, *message; /* message NULL: accepted */
        int offset;
    } CASES[] = {
        {"{\"role\":\"r\",\"exp\":%lld}", NULL, -25},
        {"{\"role\":\"r\",\"exp\":%lld}", "JWT expired", -35},
        {"{\"role\":\"r\",\"exp\":%lld.0}", NULL, 100},
        {"{\"role\":\"r\",\"exp\":%lld.5}", "JWT expired", 100},
        {"{\"role\":\"r\",\"nbf\":%lld}", NULL, 25},
        {"{\"role\":\"r\",\"nbf\":%lld}", "JWT not yet valid", 35},
        {"{\"role\":\"r\",\"nbf\":%lld.5}", "JWT not yet valid", 35},
        {"{\"role\":\"r\",\"iat\":%lld}", NULL, 25},
        {"{\"role\":\"r\",\"iat\":%lld}", "JWT issued at future", 35},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char payload[128];
        snprintf(payload, sizeof(payload), CASES[i].format, (long long)(clock_unix() + CASES[i].offset));
        if (CASES[i].message == NULL)
            assert_role(f->verifier, f->pool, claims(f->pool, payload), "r");
        else
            assert_refused(f->verifier, f->pool, claims(f->pool, payload), "PGRST303", CASES[i].message);
    }
}

static void odd_times_are_refused(void **state)
{
    fixture_t *f = *state;
    static const char *const PAYLOADS[] = {"{\"exp\":-1}",
                                           "{\"exp\":0}",
                                           "{\"exp\":1e30}",
                                           "{\"exp\":1e400}",
                                           "{\"exp\":\"99999999999\"}",
                                           "{\"exp\":true}",
                                           "{\"exp\":[99999999999]}",
                                           "{\"exp\":99999999999999999999999}",
                                           "{\"nbf\":1e30}",
                                           "{\"nbf\":\"0\"}",
                                           "{\"iat\":1e30}",
                                           "{\"iat\":{}}"};
    for (size_t i = 0; i < sizeof(PAYLOADS) / sizeof(PAYLOADS[0]); i++)
        assert_refused(f->verifier, f->pool, claims(f->pool, PAYLOADS[i]), NULL, NULL);
    assert_refused(f->verifier, f->pool, claims(f->pool, "{\"exp\":\"x\"}"), "PGRST303",
                   "The JWT 'exp' claim must be a number");
    assert_role(f->verifier, f->pool, claims(f->pool, "{\"role\":\"r\",\"exp\":null}"), "r");
}

static void a_cached_token_still_expires(void **state)
{
    fixture_t *f = *state;
    char payload[64];
    snprintf(payload, sizeof(payload), "{\"role\":\"r\",\"exp\":%lld}", (long long)(clock_unix() + 10));
    str_t jwt = claims(f->pool, payload);
    assert_role(f->verifier, f->pool, jwt, "r");
    assert_role(f->verifier, f->pool, jwt, "r");
    clock_shift(60);
    assert_refused(f->verifier, f->pool, jwt, "PGRST303", "JWT expired");
    clock_shift(-60);
    assert_role(f->verifier, f->pool, jwt, "r");
}

static void the_cache_is_bounded_and_never_confuses_tokens(void **state)
{
    fixture_t *f = *state;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 20; i++) {
            char role[16], payload[64];
            snprintf(role, sizeof(role), "r%d", i);
            snprintf(payload, sizeof(payload), "{\"role\":\"%s\"}", role);
            assert_role(f->verifier, f->pool, claims(f->pool, payload), role);
        }
}

static void the_audience_is_checked_when_configured(void **state)
{
    fixture_t *f = *state;
    token_verifier_t *verifier = make_verifier(
        f->pool, &(token_options_t){.secret = STR(SECRET), .audience = STR("us"), .anon_role = STR("anon")});
    static const char *const GOOD[] = {"{\"aud\":\"us\"}", "{\"aud\":[\"x\",\"us\"]}", "{\"aud\":[]}",
                                       "{\"aud\":null}", "{}"};
    static const char *const FOREIGN[] = {"{\"aud\":\"them\"}", "{\"aud\":\"\"}", "{\"aud\":[\"them\"]}",
                                          "{\"aud\":\"us2\"}"};
    static const char *const BAD[] = {"{\"aud\":1}", "{\"aud\":{}}", "{\"aud\":[{},\"us\"]}",
                                      "{\"aud\":[\"us\",1]}", "{\"aud\":true}"};
    for (size_t i = 0; i < 5; i++)
        assert_role(verifier, f->pool, claims(f->pool, GOOD[i]), "anon");
    for (size_t i = 0; i < 4; i++)
        assert_refused(verifier, f->pool, claims(f->pool, FOREIGN[i]), "PGRST303", "JWT not in audience");
    for (size_t i = 0; i < 5; i++)
        assert_refused(verifier, f->pool, claims(f->pool, BAD[i]), "PGRST303",
                       "The JWT 'aud' claim must be a string or an array of strings");
    token_verifier_destroy(verifier);
}

static void the_role_path_reads_both_notations(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *path, *payload, *role; /* role NULL: no role found */
    } CASES[] = {
        {"$.a.role", "{\"a\":{\"role\":\"x\"}}", "x"},
        {"$.a.roles[1]", "{\"a\":{\"roles\":[\"y\",\"x\"]}}", "x"},
        {"$.a.roles[-1]", "{\"a\":{\"roles\":[\"y\",\"x\"]}}", "x"},
        {"$[\"https://e.com/r\"][0].value", "{\"https://e.com/r\":[{\"value\":\"x\"}]}", "x"},
        {"$.d[3]", "{\"d\":[\"x\"]}", NULL},
        {"$.r[?(@ == \"x\")]", "{\"r\":[\"y\",\"x\"]}", "x"},
        {"$.r[?@ != 'y']", "{\"r\":[\"y\",\"x\"]}", "x"},
        {"$.r[?search(@, \"^xy\")]", "{\"r\":[\"ab\",\"xyz\"]}", "xyz"},
        {"$.r[?match(@, \"x.\")]", "{\"r\":[\"xyz\",\"xy\"]}", "xy"},
        {"$.r[?(@.n == \"b\")].v", "{\"r\":[{\"n\":\"a\"},{\"n\":\"b\",\"v\":\"x\"}]}", "x"},
        {"$..role", "{\"a\":[{\"b\":{\"role\":\"x\"}}],\"c\":{\"role\":\"y\"}}", "x"},
        {"$..[0]", "{\"a\":{\"b\":[[\"x\"]]}}", "[\"x\"]"},
        {"$.access.*.roles[0]", "{\"access\":{\"a\":1,\"b\":{\"roles\":[\"x\"]}}}", "x"},
        {"$['a', 'b'][*]", "{\"b\":[\"x\"]}", "x"},
        {"$ .r [ 1 : ]", "{\"r\":[\"a\",\"x\",\"b\"]}", "x"},
        {"$.r[::-1]", "{\"r\":[\"a\",\"b\",\"x\"]}", "x"},
        {"$.r[-2:-1]", "{\"r\":[\"a\",\"x\",\"b\"]}", "x"},
        {"$.r[5:1:-2]", "{\"r\":[\"a\",\"b\",\"c\",\"x\"]}", "x"},
        {"$.r[::0]", "{\"r\":[\"a\"]}", NULL},
        {"$.r[2:2]", "{\"r\":[\"a\",\"b\",\"c\"]}", NULL},
        {"$.r[?@ == 'x' || @ == 'y']", "{\"r\":[\"a\",\"y\",\"x\"]}", "y"},
        {"$.r[?@.on == true && !(@.n < 2)].v",
         "{\"r\":[{\"on\":true,\"n\":1,\"v\":\"a\"},{\"on\":true,\"n\":2,\"v\":\"x\"}]}", "x"},
        {"$.r[?@.v].v", "{\"r\":[{\"n\":\"b\"},{\"n\":\"b\",\"v\":\"x\"}]}", "x"},
        {"$.r[?!@.old].v", "{\"r\":[{\"old\":null,\"v\":\"a\"},{\"v\":\"x\"}]}", "x"},
        {"$.r[?@.app == $.azp].v",
         "{\"azp\":\"b\",\"r\":[{\"app\":\"a\",\"v\":\"y\"},{\"app\":\"b\",\"v\":\"x\"}]}", "x"},
        {"$.r[?@.none == @.other].v", "{\"r\":[{\"v\":\"x\"}]}", "x"},
        {"$.r[?@.n >= 10].v", "{\"r\":[{\"n\":\"99\",\"v\":\"y\"},{\"n\":10.0,\"v\":\"x\"}]}", "x"},
        {"$.r[?@ == 'it\\'s \"\\u0078\"']", "{\"r\":[\"it's \\\"x\\\"\"]}", "it's \"x\""},
        {"$.o[?search(@, 'x')]", "{\"o\":{\"a\":\"b\",\"c\":\"wxy\"}}", "wxy"},
        {"$.r[?@[0] == 'k'][1]", "{\"r\":[[\"j\",\"y\"],[\"k\",\"x\"]]}", "x"},
        {"$.r[?(@.n == \"b\")].v", "{\"r\":[{\"n\":\"b\"},{\"n\":\"b\",\"v\":\"x\"}]}", "x"},
        {".a.role", "{\"a\":{\"role\":\"x\"}}", "x"},
        {".\"https://e.com/r\"[0].value", "{\"https://e.com/r\":[{\"value\":\"x\"}]}", "x"},
        {".r[?(@ ^== \"xx\")]", "{\"r\":[\"yxx\",\"xxy\"]}", "xxy"},
        {".r[?(@ ==^ \"xx\")]", "{\"r\":[\"xxy\",\"yxx\"]}", "yxx"},
        {".r[?(@ *== \"_t_\")]", "{\"r\":[\"t\",\"a_t_b\"]}", "a_t_b"},
        {".r[?(@ == \"s\")]", "{\"r\":[{\"s\":\"s\"}]}", NULL},
        {"$.role", "{\"role\":[\"service_role\"]}", "[\"service_role\"]"},
        {"$.role", "{\"role\":{\"a\":\"service_role\"}}", "{\"a\":\"service_role\"}"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        token_verifier_t *verifier = make_verifier(
            f->pool, &(token_options_t){.secret = STR(SECRET), .role_claim_key = str_from_c(CASES[i].path)});
        if (CASES[i].role != NULL)
            assert_role(verifier, f->pool, claims(f->pool, CASES[i].payload), CASES[i].role);
        else
            assert_refused(verifier, f->pool, claims(f->pool, CASES[i].payload), "PGRST302", NULL);
        token_verifier_destroy(verifier);
    }
}

static void bad_role_paths_are_refused_at_start(void **state)
{
    fixture_t *f = *state;
    static const char *const BAD[] = {"$.my_role;;domain",
                                      "@@.role.other",
                                      "role.other",
                                      ".role##",
                                      ".my_role;;domain",
                                      ".#$$%&$%/",
                                      "1234",
                                      ".role[?(@ =)]",
                                      "$",
                                      "$.a[1",
                                      "$.a ",
                                      "$.1a",
                                      "$.a.['b']",
                                      "$...a",
                                      "$.a[]",
                                      "$.a[?]",
                                      "$.a[?@.*  == 1]",
                                      "$.a[?@..b == 1]",
                                      "$.a[?1]",
                                      "$.a[?@ == ]",
                                      "$.a[?!@ == 1]",
                                      "$.a[?(@ == 1]",
                                      "$.a[?search(@, '(')]",
                                      "$.a[?search(@, @)]",
                                      "$.a[?length(@) == 1]",
                                      "$.a['b]",
                                      "$.a[?((((((((((((((((((@))))))))))))))))))]",
                                      "@.a"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        token_verifier_t *verifier = NULL;
        err_t *err = token_verifier_create(
            f->pool, &(token_options_t){.secret = STR(SECRET), .role_claim_key = str_from_c(BAD[i])},
            &verifier);
        assert_non_null(err);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_signed_token_gives_role_sub_session_and_claims),
        T(the_session_sees_the_role_in_force_among_the_claims),
        T(no_token_is_the_anonymous_role_or_401),
        T(without_a_secret_tokens_answer_500),
        T(times_are_judged_with_thirty_seconds_of_leeway),
        T(odd_times_are_refused),
        T(a_cached_token_still_expires),
        T(the_cache_is_bounded_and_never_confuses_tokens),
        T(the_audience_is_checked_when_configured),
        T(the_role_path_reads_both_notations),
        T(bad_role_paths_are_refused_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
