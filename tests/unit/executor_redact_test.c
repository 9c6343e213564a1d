#include "base/read_json.h"
#include "base/redact.h"
#include "executor/activity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static str_t redacted(pool_t *pool, const char *text, const char *known)
{
    json_t *value = NULL;
    str_t secrets[] = {str_from_c(known)};
    assert_null(read_json(pool, str_from_c(text), NULL, &value));
    json_t *clean = redact_json(pool, value, secrets, known != NULL ? 1 : 0);
    str_t out = read_json_dump(pool, clean);
    json_decref(clean);
    return out;
}

static void test_no_secret_survives(void **state)
{
    /* Every body holds the canary under another name, depth or form. */
    static const char *const BODIES[] = {
        "{\"Password\":\"CANARY-7\"}",
        "{\"UserName\":\"root\",\"Password\":\"CANARY-7\"}",
        "{\"a\":{\"b\":[{\"TempPassword\":\"CANARY-7\"}]}}",
        "{\"X-Auth-Token\":\"CANARY-7\"}",
        "{\"x-auth-TOKEN\":[\"CANARY-7\"]}",
        "{\"Authorization\":\"Basic CANARY-7\"}",
        "{\"Set-Cookie\":\"vmware_soap_session=CANARY-7\"}",
        "{\"apikey\":\"CANARY-7\",\"private_key\":{\"pem\":\"CANARY-7\"}}",
        "{\"Attributes\":{\"Users.2.Password\":\"CANARY-7\",\"SNMP.1.AgentCommunity\":\"CANARY-7\"}}",
        "{\"ImportBuffer\":\"<SystemConfiguration>CANARY-7</SystemConfiguration>\"}",
        "{\"url\":\"https://admin:CANARY-7@10.0.0.1/x\"}",
        "{\"url\":\"nfs://u:CANARY-7@h and cifs://v:CANARY-7@h/y?z\"}",
        "{\"url\":\"https://h/kvm?a=1&token=CANARY-7&b=2\"}",
        "{\"share_password\":\"CANARY-7\",\"pwd\":\"CANARY-7\"}",
    };
    pool_t *pool = pool_create();
    (void)state;
    for (size_t i = 0; i < sizeof(BODIES) / sizeof(BODIES[0]); i++) {
        str_t out = redacted(pool, BODIES[i], NULL);
        if (str_find(out, STR("CANARY-7"), 0) != SIZE_MAX)
            fail_msg("%s became %.*s", BODIES[i], STR_ARG(out));
    }
    /* A device that echoes the password in a text. */
    str_t out = redacted(pool, "{\"Message\":\"bad value CANARY-7 for x, CANARY-7\"}", "CANARY-7");
    assert_int_equal(str_find(out, STR("CANARY-7"), 0), SIZE_MAX);
    pool_destroy(pool);
}

static void test_what_is_no_secret_stays(void **state)
{
    pool_t *pool = pool_create();
    const char *body = "{\"PasswordChangeRequired\":false,\"Name\":\"x\",\"n\":[1,2.5,null],\"t\":\"a://b/"
                       "c?d=e\",\"mail\":\"a@b\"}";
    (void)state;
    assert_true(str_eq(redacted(pool, body, NULL), str_from_c(body)));
    pool_destroy(pool);
}

static json_t *row_of(pool_t *pool, const settings_t *settings, const redfish_record_t *record)
{
    activity_about_t about = {.secret = STR("CANARY-7")};
    return activity_row(pool, settings, &about, record);
}

static void test_activity_rows_hold_no_secret(void **state)
{
    pool_t *pool = pool_create();
    settings_t settings = settings_parse(NULL, NULL);
    fetch_header_t headers[] = {{STR("X-Auth-Token"), STR("TOKEN-1")},
                                {STR("Accept"), STR("application/json")}};
    redfish_record_t record = {.operation = REDFISH_SESSION_CREATE,
                               .method = STR("POST"),
                               .path = STR("/x"),
                               .url = STR("https://root:CANARY-7@10.0.0.1/x"),
                               .headers = headers,
                               .header_count = 2,
                               .request_body = STR("{\"UserName\":\"root\",\"Password\":\"CANARY-7\"}"),
                               .response_body = STR("{\"echo\":\"CANARY-7\"}"),
                               .status = 201,
                               .is_success = true};
    (void)state;
    json_t *row = row_of(pool, &settings, &record);
    str_t text = read_json_dump(pool, row);
    assert_int_equal(str_find(text, STR("CANARY-7"), 0), SIZE_MAX);
    assert_int_equal(str_find(text, STR("TOKEN-1"), 0), SIZE_MAX);
    assert_true(str_eq(read_json_str(row, "operation_type"), STR("session_create")));
    assert_int_equal(read_json_int(row, "status_code", 0), 201);
    json_decref(row);
    pool_destroy(pool);
}

static void test_activity_bodies_are_bounded_and_levels_obeyed(void **state)
{
    pool_t *pool = pool_create();
    settings_t settings = settings_parse(NULL, NULL);
    char *big = pool_alloc(pool, 300000);
    memset(big, 'x', 300000);
    redfish_record_t record = {.method = STR("GET"),
                               .path = STR("/x"),
                               .url = STR("u"),
                               .is_success = true,
                               .response_body = str_make(big, 300000)};
    (void)state;
    json_t *row = row_of(pool, &settings, &record);
    const json_t *body = read_json_object(row, "response_body");
    assert_true(read_json_bool(body, "_truncated", false));
    assert_int_equal(read_json_int(body, "_original_size_kb", 0), 293);
    assert_true(json_is_null(json_object_get(row, "status_code")));
    json_decref(row);
    record.response_body = STR("<xml/>");
    row = row_of(pool, &settings, &record);
    assert_int_equal(read_json_int(read_json_object(row, "response_body"), "_size", 0), 6);
    json_decref(row);
    settings.activity_level = ACTIVITY_ERRORS;
    assert_null(row_of(pool, &settings, &record));
    record.is_success = false;
    row = row_of(pool, &settings, &record);
    assert_non_null(row);
    json_decref(row);
    settings.activity_level = ACTIVITY_NONE;
    assert_null(row_of(pool, &settings, &record));
    pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_secret_survives),
        cmocka_unit_test(test_what_is_no_secret_stays),
        cmocka_unit_test(test_activity_rows_hold_no_secret),
        cmocka_unit_test(test_activity_bodies_are_bounded_and_levels_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
