#include "db/pg_error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void each_sqlstate_has_its_status(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate, *message;
        uint16_t status;
    } rows[] = {
        {"08000", "", 503},
        {"08006", "", 503},
        {"08P01", "", 503},
        {"09000", "", 500},
        {"0L000", "", 403},
        {"0P000", "", 403},
        {"21000", "more than one row returned by a subquery used as an expression", 500},
        {"21000", "UPDATE requires a WHERE clause", 400},
        {"22012", "", 400},
        {"22023", "something else", 400},
        {"22023", "role \"x\" does not exist", 401},
        {"22P02", "", 400},
        {"23502", "", 400},
        {"23503", "", 409},
        {"23505", "", 409},
        {"23514", "", 400},
        {"23P01", "", 400},
        {"25006", "", 405},
        {"25001", "", 500},
        {"25P02", "", 500},
        {"28000", "", 403},
        {"28P01", "", 403},
        {"2D000", "", 500},
        {"38000", "", 500},
        {"39000", "", 500},
        {"3B000", "", 500},
        {"40001", "", 500},
        {"40P01", "", 500},
        {"42501", "", 403},
        {"42601", "", 400},
        {"42703", "", 400},
        {"42883", "function f() does not exist", 404},
        {"42883", "function xmlagg(integer) does not exist", 406},
        {"42P01", "", 404},
        {"42P17", "", 500},
        {"53000", "", 503},
        {"53300", "", 503},
        {"53400", "", 500},
        {"54000", "", 500},
        {"55000", "", 500},
        {"55P03", "", 500},
        {"57014", "", 500},
        {"57P01", "", 503},
        {"57P02", "", 500},
        {"58030", "", 500},
        {"F0000", "", 500},
        {"HV000", "", 500},
        {"P0000", "", 500},
        {"P0001", "", 400},
        {"P0002", "", 500},
        {"XX000", "", 500},
        {"PT402", "", 402},
        {"PT200", "", 200},
        {"PT40A", "", 500},
        {"PT999", "", 500},
        {"PT100", "", 500},
        {"12345", "", 400},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (pg_error_status(str_from_c(rows[i].sqlstate), str_from_c(rows[i].message), false) !=
            rows[i].status)
            fail_msg("%s %s", rows[i].sqlstate, rows[i].message);
    assert_int_equal(pg_error_status(STR("42501"), STR(""), true), 401);
    assert_int_equal(pg_error_status(STR("23505"), STR(""), true), 409);
}

static err_t *raise(pool_t *pool, const char *message, const char *details)
{
    return pg_error_from_fields(pool, STR("PGRST"), str_from_c(message), str_from_c(details), STR("ignored"),
                                false);
}

static void assert_str(str_t value, const char *expected)
{
    if (!str_eq(value, str_from_c(expected)) || str_is_null(value) != (expected == NULL))
        fail_msg("'%.*s' is not '%s'", STR_ARG(value), expected != NULL ? expected : "(null)");
}

static void raise_pgrst_decides_status_body_and_headers(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    err_t *err = raise(pool, "{\"code\":\"123\",\"message\":\"ABC\",\"details\":\"DEF\",\"hint\":null}",
                       "{\"status\":332,\"status_text\":\"Own\",\"headers\":{\"X-A\":\"1\",\"X-B\":\"2\"}}");
    assert_int_equal(err->status, 332);
    assert_str(err->code, "123");
    assert_str(err->message, "ABC");
    assert_str(err->details, "DEF");
    assert_str(err->hint, NULL);
    assert_str(err->headers, "X-A: 1\r\nX-B: 2\r\n");
    assert_str(err->reason, "Own");
    err = raise(pool, "{\"code\":\"c\",\"message\":\"m\"}", "{\"status\":200,\"headers\":{}}");
    assert_int_equal(err->status, 200);
    assert_str(err->details, NULL);
    assert_str(err->headers, NULL);
    pool_destroy(pool);
}

static err_t *raise_state(pool_t *pool, const char *sqlstate)
{
    return pg_error_from_fields(pool, str_from_c(sqlstate), STR("Own words"), STR_NULL, STR_NULL, false);
}

static void the_message_of_a_raised_status_words_the_status_line(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    assert_str(raise_state(pool, "PT402")->reason, "Own words");
    assert_str(raise_state(pool, "PT40A")->reason, NULL);
    assert_str(raise_state(pool, "PT999")->reason, NULL);
    assert_str(raise_state(pool, "P0001")->reason, NULL);
    pool_destroy(pool);
}

static void raise_pgrst_of_another_form_is_refused(void **state)
{
    (void)state;
    static const char good_message[] = "{\"code\":\"c\",\"message\":\"m\"}";
    static const struct {
        const char *message, *details, *told;
    } rows[] = {
        {"INVALID", "{}", "Invalid JSON value for MESSAGE: 'INVALID'"},
        {"[]", "{}", "Invalid JSON value for MESSAGE: '[]'"},
        {"{\"code\":\"c\"}", "{}", "Invalid JSON value for MESSAGE: '{\"code\":\"c\"}'"},
        {"{\"code\":1,\"message\":\"m\"}", "{}",
         "Invalid JSON value for MESSAGE: '{\"code\":1,\"message\":\"m\"}'"},
        {good_message, NULL, "DETAIL is missing in the RAISE statement"},
        {good_message, "INVALID", "Invalid JSON value for DETAIL: 'INVALID'"},
        {good_message, "{\"status\":200}", "Invalid JSON value for DETAIL: '{\"status\":200}'"},
        {good_message, "{\"status\":\"200\",\"headers\":{}}",
         "Invalid JSON value for DETAIL: '{\"status\":\"200\",\"headers\":{}}'"},
        {good_message, "{\"status\":200,\"headers\":{\"A\":1}}",
         "Invalid JSON value for DETAIL: '{\"status\":200,\"headers\":{\"A\":1}}'"},
        {good_message, "{\"status\":200,\"headers\":{\"A\":\"x\\r\\nSet-Cookie: y\"}}",
         "Invalid JSON value for DETAIL: '{\"status\":200,\"headers\":{\"A\":\"x\\r\\nSet-Cookie: y\"}}'"},
    };
    pool_t *pool = pool_create();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        err_t *err = raise(pool, rows[i].message, rows[i].details);
        assert_int_equal(err->status, 500);
        assert_str(err->code, "PGRST121");
        assert_str(err->message, "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error");
        assert_str(err->details, rows[i].told);
        assert_false(str_is_null(err->hint));
        assert_str(err->headers, NULL);
    }
    pool_destroy(pool);
}

static void connection_errors_have_the_peers_codes(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    err_t *none = pg_error_no_connection(pool, STR("refused\n"));
    err_t *lost = pg_error_lost_connection(pool, STR(""));
    err_t *late = pg_error_acquire_timeout(pool);
    assert_int_equal(none->status, 503);
    assert_str(none->code, "PGRST000");
    assert_str(none->details, "refused");
    assert_str(none->headers, "Retry-After: 1\r\n");
    assert_int_equal(lost->status, 503);
    assert_str(lost->code, "PGRST001");
    assert_str(lost->details, NULL);
    assert_int_equal(late->status, 504);
    assert_str(late->code, "PGRST003");
    assert_str(late->headers, NULL);
    assert_int_equal(pg_error_queue_full(pool)->status, 503);
    pool_destroy(pool);
}

static void a_401_says_how_to_authenticate(void **state)
{
    (void)state;
    pool_t *pool = pool_create();
    err_t *err = pg_error_from_fields(pool, STR("42501"), STR("permission denied"), STR_NULL, STR_NULL, true);
    assert_int_equal(err->status, 401);
    assert_str(err->headers, "WWW-Authenticate: Bearer\r\n");
    assert_str(err->details, NULL);
    assert_str(err->hint, NULL);
    pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sqlstate_has_its_status),
        cmocka_unit_test(raise_pgrst_decides_status_body_and_headers),
        cmocka_unit_test(the_message_of_a_raised_status_words_the_status_line),
        cmocka_unit_test(raise_pgrst_of_another_form_is_refused),
        cmocka_unit_test(connection_errors_have_the_peers_codes),
        cmocka_unit_test(a_401_says_how_to_authenticate),
    };
    return cmocka_run_group_tests_name("db_pg_error", tests, NULL, NULL);
}
