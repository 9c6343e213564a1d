#include "base/clock.h"
#include "base/read_json.h"
#include "drivers/redfish/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static json_t *parse(pool_t *pool, const char *text)
{
    json_t *value = NULL;
    read_json_limits_t limits = {.any_value = true};
    assert_null(read_json(pool, str_from_c(text), &limits, &value));
    return value;
}

static void test_rollup_is_critical_when_anything_is(void **state)
{
    static const char *const ROWS[][2] = {
        {"[{\"Status\":{\"Health\":\"OK\"}},{\"Status\":{\"Health\":\"OK\"}}]", "OK"},
        {"[{\"Status\":{\"Health\":\"OK\"}},{\"Status\":{\"Health\":\"Warning\"}}]", "Warning"},
        {"[{\"Status\":{\"Health\":\"Warning\"}},{\"Status\":{\"Health\":\"Critical\"}}]", "Critical"},
        {"[{\"Status\":{\"Health\":\"OK\"}},{\"Status\":{\"State\":\"Absent\",\"Health\":\"Critical\"}}]",
         "OK"},
        {"[{\"Status\":{\"Health\":null}},{\"Status\":{\"Health\":\"OK\"}}]", "OK"},
        {"[{\"Status\":{\"HealthRollup\":\"Warning\"}}]", "Warning"},
        {"[{\"Status\":{\"Health\":null}},{}, 5, \"x\"]", ""},
        {"[]", ""},
    };
    pool_t *pool = pool_create();
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        if (!str_eq(redfish_rollup(parse(pool, ROWS[i][0])), str_from_c(ROWS[i][1])))
            fail_msg("%s", ROWS[i][0]);
    assert_true(str_is_null(redfish_rollup(NULL)));
    pool_destroy(pool);
}

static void test_links_stay_on_the_device(void **state)
{
    (void)state;
    assert_true(str_eq(redfish_link_path(STR("/redfish/v1/x?$skip=50")), STR("/redfish/v1/x?$skip=50")));
    assert_true(str_eq(redfish_link_path(STR("https://evil.example/redfish/v1/x")), STR("/redfish/v1/x")));
    assert_true(str_is_null(redfish_link_path(STR("https://evil.example"))));
    assert_true(str_is_null(redfish_link_path(STR("/etc/passwd"))));
    assert_true(str_is_null(redfish_link_path(STR("@evil.example/redfish/v1"))));
    assert_true(str_is_null(redfish_link_path(STR("/redfish/v1/a b"))));
    assert_true(str_is_null(redfish_link_path(STR("/redfish/v1/a\r\nX: y"))));
    assert_true(str_is_null(redfish_link_path(STR_NULL)));
}

static err_t *classify(pool_t *pool, const char *method, int status, const char *text)
{
    json_t *body = NULL;
    redfish_call_t call = {.method = str_from_c(method), .path = STR("/redfish/v1/x")};
    fetch_response_t response = {.status = status, .body = str_from_c(text)};
    return redfish_classify(pool, &call, &response, &body);
}

#define EXTENDED(id)                                                                                         \
    "{\"error\":{\"@Message.ExtendedInfo\":[{\"MessageId\":\"IDRAC.2.8." id                                  \
    "\",\"Message\":\"words of the device\"}]}}"

static void test_errors_are_told_apart(void **state)
{
    static const struct {
        int status;
        const char *body, *code;
    } ROWS[] = {
        {401, "", "auth"},
        {403, EXTENDED("SYS403"), "auth"},
        {404, EXTENDED("SYS403"), "not_supported"}, /* the status decides, not the ambiguous code */
        {409, EXTENDED("PSU501"), "conflict"},
        {503, EXTENDED("RAC0218"), "busy"},
        {400, EXTENDED("RAC0508"), "busy"},
        {400, EXTENDED("RAC050"), "device"}, /* exactly, not by prefix */
        {400, EXTENDED("SYS428"), "device"},
        {500, "<html>", "device"},
        {200, "<html>", "protocol"},
        {200, "[1,2]", "protocol"},
        {200, "", "protocol"},
    };
    pool_t *pool = pool_create();
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        err_t *err = classify(pool, "GET", ROWS[i].status, ROWS[i].body);
        assert_non_null(err);
        if (!str_eq(err->code, str_from_c(ROWS[i].code)))
            fail_msg("%d %s gave %.*s", ROWS[i].status, ROWS[i].body, STR_ARG(err->code));
    }
    err_t *err = classify(pool, "GET", 400, EXTENDED("SYS428"));
    assert_true(str_eq(err->details, STR("SYS428")));
    assert_true(str_find(err->message, STR("words of the device"), 0) != SIZE_MAX);
    assert_null(classify(pool, "POST", 204, ""));
    assert_null(classify(pool, "GET", 200, "{}"));
    pool_destroy(pool);
}

static void test_a_system_with_odd_fields_is_read_without_harm(void **state)
{
    pool_t *pool = pool_create();
    redfish_system_t system;
    (void)state;
    redfish_parse_system(
        pool,
        parse(pool, "{\"HostName\":5,\"Status\":\"OK\",\"ProcessorSummary\":[],\"MemorySummary\":null}"),
        &system);
    assert_true(str_is_null(system.hostname));
    assert_int_equal(system.cpu_count, 0);
    redfish_parse_system(
        pool,
        parse(pool, "{\"HostName\":\"h\",\"SKU\":\"TAG\",\"SerialNumber\":\"CN1\",\"PowerState\":\"On\","
                    "\"Status\":{\"Health\":\"OK\"},\"MemorySummary\":{\"TotalSystemMemoryGiB\":127.9},"
                    "\"ProcessorSummary\":{\"Count\":2}}"),
        &system);
    assert_true(str_eq(system.service_tag, STR("TAG")));
    assert_int_equal(system.memory_gb, 128);
    assert_int_equal(system.cpu_count, 2);
    pool_destroy(pool);
}

static void test_only_idracs_are_taken_for_idracs(void **state)
{
    pool_t *pool = pool_create();
    redfish_identity_t identity;
    (void)state;
    redfish_identify(parse(pool, "{\"Product\":\"Integrated Dell Remote Access Controller\"}"), &identity);
    assert_true(identity.is_idrac);
    redfish_identify(parse(pool, "{\"Oem\":{\"Dell\":{\"ServiceTag\":\"T\"}}}"), &identity);
    assert_true(identity.is_idrac);
    assert_true(str_eq(identity.service_tag, STR("T")));
    redfish_identify(parse(pool, "{\"Product\":\"iLO 5\",\"Vendor\":\"HPE\"}"), &identity);
    assert_false(identity.is_idrac);
    redfish_identify(parse(pool, "{}"), &identity);
    assert_false(identity.is_idrac);
    pool_destroy(pool);
}

/* One call with this end; false when the breaker is open, `*wait_ms` then tells for how long. */
static bool call_of(redfish_guard_t *guard, const char *device, bool is_forced,
                    redfish_guard_outcome_t outcome, int64_t *wait_ms)
{
    str_t address = str_from_c(device);
    if (redfish_guard_enter(guard, address, is_forced, NULL, wait_ms) != REDFISH_GUARD_ENTERED)
        return false;
    redfish_guard_leave(guard, address, outcome);
    return true;
}

static void test_the_breaker_opens_after_refusals_in_a_row(void **state)
{
    redfish_guard_options_t options = {
        .concurrent_max = 2, .failures_max = 3, .refused_ms = 1800000, .unwell_ms = 60000};
    redfish_guard_t *guard = redfish_guard_create(&options);
    int64_t wait_ms = 0;
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_true(call_of(guard, "a", false, REDFISH_GUARD_REFUSED, &wait_ms));
    assert_true(call_of(guard, "a", false, REDFISH_GUARD_GOOD, &wait_ms)); /* from the beginning */
    for (int i = 0; i < 3; i++) {
        assert_true(call_of(guard, "a", false, REDFISH_GUARD_REFUSED, &wait_ms));
        if (i < 2) /* neither changes the number of refusals */
            assert_true(
                call_of(guard, "a", false, i == 0 ? REDFISH_GUARD_UNWELL : REDFISH_GUARD_NEUTRAL, &wait_ms));
    }
    assert_false(call_of(guard, "a", false, REDFISH_GUARD_GOOD, &wait_ms));
    assert_in_range(wait_ms, 60001, 1800001);
    assert_true(call_of(guard, "b", false, REDFISH_GUARD_NEUTRAL, &wait_ms));
    assert_true(call_of(guard, "a", true, REDFISH_GUARD_GOOD, &wait_ms)); /* an operator looked: it is well */
    assert_true(call_of(guard, "a", false, REDFISH_GUARD_GOOD, &wait_ms));
    redfish_guard_destroy(guard);
}

static void test_an_unwell_device_is_left_alone_for_a_short_while(void **state)
{
    redfish_guard_options_t options = {
        .concurrent_max = 2, .failures_max = 3, .refused_ms = 1800000, .unwell_ms = 60000};
    redfish_guard_t *guard = redfish_guard_create(&options);
    int64_t wait_ms = 0;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(call_of(guard, "a", false, REDFISH_GUARD_UNWELL, &wait_ms));
    assert_true(call_of(guard, "a", true, REDFISH_GUARD_UNWELL, &wait_ms)); /* looking makes it no longer */
    assert_false(call_of(guard, "a", false, REDFISH_GUARD_GOOD, &wait_ms));
    assert_in_range(wait_ms, 1, 60001);
    assert_true(call_of(guard, "a", true, REDFISH_GUARD_GOOD, &wait_ms));
    assert_true(call_of(guard, "a", false, REDFISH_GUARD_GOOD, &wait_ms));
    redfish_guard_destroy(guard);
}

static void test_an_unwell_device_is_asked_more_and_more_seldom(void **state)
{
    redfish_guard_options_t options = {
        .concurrent_max = 2, .failures_max = 3, .refused_ms = 64, .unwell_ms = 1};
    redfish_guard_t *guard = redfish_guard_create(&options);
    int64_t wait_ms = 0;
    int calls = 0;
    (void)state;
    while (wait_ms <= 32 + 1) /* it passes pauses of 1 to 32 ms and stays at the longest */
        if (call_of(guard, "a", false, REDFISH_GUARD_UNWELL, &wait_ms))
            calls++;
    assert_in_range(wait_ms, 34, 65);
    assert_true(calls >= 3 + 6);
    redfish_guard_destroy(guard);
}

static void test_requests_to_one_device_keep_their_distance(void **state)
{
    redfish_guard_options_t options = {
        .concurrent_max = 4, .delay_ms = 120, .failures_max = 3, .refused_ms = 1000, .unwell_ms = 1000};
    redfish_guard_t *guard = redfish_guard_create(&options);
    int64_t wait_ms = 0, started = clock_mono_us();
    (void)state;
    for (int i = 0; i < 3; i++) {
        redfish_guard_enter(guard, STR("10.0.0.1"), false, NULL, &wait_ms);
        redfish_guard_leave(guard, STR("10.0.0.1"), REDFISH_GUARD_GOOD);
    }
    assert_true(clock_mono_us() - started >= 2 * 120000);
    atomic_bool is_cancelled = true;
    assert_int_equal(redfish_guard_enter(guard, STR("10.0.0.1"), false, &is_cancelled, &wait_ms),
                     REDFISH_GUARD_CANCELLED);
    redfish_guard_destroy(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollup_is_critical_when_anything_is),
        cmocka_unit_test(test_links_stay_on_the_device),
        cmocka_unit_test(test_errors_are_told_apart),
        cmocka_unit_test(test_a_system_with_odd_fields_is_read_without_harm),
        cmocka_unit_test(test_only_idracs_are_taken_for_idracs),
        cmocka_unit_test(test_the_breaker_opens_after_refusals_in_a_row),
        cmocka_unit_test(test_an_unwell_device_is_left_alone_for_a_short_while),
        cmocka_unit_test(test_an_unwell_device_is_asked_more_and_more_seldom),
        cmocka_unit_test(test_requests_to_one_device_keep_their_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
