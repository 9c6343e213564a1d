#include "base/crypt.h"
#include "base/read_json.h"
#include "drivers/credentials/credentials.h"
#include "drivers/credentials/secret.h"
#include "executor/gateway_client.h"
#include "executor/status_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Bytes 00..1f. */
#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define CALVIN "md+L5w3djs6IymPpoTz/YQ=="

static void test_passwords_of_existing_databases_are_read(void **state)
{
    /* Vectors of the product's contract; the long one carries PostgreSQL's line feed. */
    static const char *const ROWS[][2] = {
        {CALVIN, "calvin"},
        {"nzt1BJJvi9NuMRjpA6TNSg==", ""},
        {"2MlXWOM1PlMPpSvRDnO5hk9rowIiB0xNR3w/KU8SqC8=", "0123456789abcdef"},
        {"cq2jZkRzxBjJF6SW/MNwZpExoUyFIz+8CMS6ek3T/Ovq68fAMYI4qN3xpumvMHkSzLQe+J1wPlEg\n1vWphbP6tA==",
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    };
    pool_t *pool = pool_create();
    str_t out;
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        assert_true(secret_decrypt(pool, STR(KEY), str_from_c(ROWS[i][0]), &out));
        assert_true(str_eq(out, str_from_c(ROWS[i][1])));
    }
    assert_true(secret_decrypt(pool, crypt_base64(pool, STR("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")),
                               STR("cFdmAmX/N70OZ4F/RKHBLw=="), &out)); /* 33 bytes are cut to 32 */
    assert_true(str_eq(out, STR("calvin")));
    assert_false(
        secret_decrypt(pool, STR("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHhA="), STR(CALVIN), &out));
    assert_false(secret_decrypt(pool, STR(KEY), STR("not base64 at all!"), &out));
    assert_false(secret_decrypt(pool, STR_NULL, STR(CALVIN), &out));
    pool_destroy(pool);
}

/* What the database function encrypt_password writes, made here from its description. */
static str_t encrypt_v1(pool_t *pool, str_t plain)
{
    str_t master, body, cipher, iv = STR("0123456789abcdef");
    uint8_t key[CRYPT_SHA256_LEN], mac[CRYPT_SHA256_LEN];
    assert_true(crypt_unbase64(pool, STR(KEY), &master));
    crypt_hmac_sha256(master, STR("basalt secret v1 encryption"), key);
    assert_true(crypt_aes256_cbc_encrypt(pool, str_make((char *)key, 32), iv, plain, &cipher));
    body = pool_concat(pool, 2, iv, cipher);
    crypt_hmac_sha256(master, STR("basalt secret v1 authentication"), key);
    crypt_hmac_sha256(str_make((char *)key, 32), body, mac);
    return pool_concat(pool, 2, STR("enc:v1:"),
                       crypt_base64(pool, pool_concat(pool, 2, body, str_make((char *)mac, sizeof(mac)))));
}

static void test_authenticated_passwords_are_read_and_damage_is_noticed(void **state)
{
    pool_t *pool = pool_create();
    str_t out, text = encrypt_v1(pool, STR("p\\a ss\xc3\xb6"));
    (void)state;
    assert_true(secret_decrypt(pool, STR(KEY), text, &out));
    assert_true(str_eq(out, STR("p\\a ss\xc3\xb6")));
    char *damaged = pool_cstr(pool, text);
    for (size_t i = 7; i < text.len - 1; i += 5) {
        char kept = damaged[i];
        damaged[i] = kept == 'A' ? 'B' : 'A';
        assert_false(secret_decrypt(pool, STR(KEY), str_make(damaged, text.len), &out));
        damaged[i] = kept;
    }
    assert_false(secret_decrypt(pool, STR(KEY), STR("enc:v1:"), &out));
    assert_false(secret_decrypt(pool, STR(KEY), STR("enc:v1:AAAA"), &out));
    pool_destroy(pool);
}

static credential_book_t book_of(pool_t *pool, const char *sets, const char *ranges)
{
    json_t *set_rows = NULL, *range_rows = NULL;
    assert_null(read_json(pool, str_from_c(sets), NULL, &set_rows));
    assert_null(read_json(pool, str_from_c(ranges), NULL, &range_rows));
    return (credential_book_t){.sets = set_rows, .ranges = range_rows, .key = STR(KEY)};
}

#define SET(id, user, more)                                                                                  \
    "{\"id\":\"" id "\",\"name\":\"" id "\",\"username\":\"" user "\",\"password_encrypted\":\"" CALVIN      \
    "\"," more "}"

static const char SETS[] =
    "[" SET("linked", "u-linked", "\"priority\":1") "," SET("found", "u-found", "\"priority\":1") "," SET(
        "net8", "u-net8", "\"priority\":5") "," SET("net24", "u-net24",
                                                    "\"priority\":9") "," SET("esx", "u-esx",
                                                                              "\"credential_type\":"
                                                                              "\"esxi\"") "," SET("std",
                                                                                                  "u-std",
                                                                                                  "\"is_"
                                                                                                  "default"
                                                                                                  "\":"
                                                                                                  "true") "]";
static const char RANGES[] = "[{\"credential_set_id\":\"net8\",\"ip_range\":\"10.0.0.0/8\",\"priority\":50},"
                             "{\"credential_set_id\":\"net24\",\"ip_range\":\"10.1.1.0/24\",\"priority\":10},"
                             "{\"credential_set_id\":\"esx\",\"ip_range\":\"10.0.0.0/8\",\"priority\":1},"
                             "{\"credential_set_id\":\"net8\",\"ip_range\":\"nonsense\",\"priority\":0}]";

static void test_the_order_of_credentials(void **state)
{
    static const char *const ROWS[][2] = {
        {"{\"ip_address\":\"10.1.1.1\",\"idrac_username\":\"own\",\"idrac_password_encrypted\":\"" CALVIN
         "\",\"credential_set_id\":\"linked\"}",
         "own"},
        {"{\"ip_address\":\"10.1.1.1\",\"idrac_username\":\"own\",\"idrac_password_encrypted\":\"\","
         "\"credential_set_id\":\"linked\"}",
         "u-linked"},
        {"{\"ip_address\":\"10.1.1.1\",\"credential_set_id\":\"linked\",\"discovered_by_credential_set_id\":"
         "\"found\"}",
         "u-linked"},
        {"{\"ip_address\":\"10.1.1.1\",\"discovered_by_credential_set_id\":\"found\"}", "u-found"},
        {"{\"ip_address\":\"10.1.1.1\",\"credential_set_id\":\"esx\"}", "u-net24"}, /* not for an iDRAC */
        {"{\"ip_address\":\"10.1.1.1:8443\"}", "u-net24"}, /* the lower range priority wins */
        {"{\"ip_address\":\"10.2.0.1\"}", "u-net8"},
        {"{\"ip_address\":\"192.0.2.1\"}", "u-std"},
    };
    pool_t *pool = pool_create();
    credential_book_t book = book_of(pool, SETS, RANGES);
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        json_t *server = NULL;
        credential_t found = {0};
        assert_null(read_json(pool, str_from_c(ROWS[i][0]), NULL, &server));
        assert_null(credential_find(&book, pool, server, &found));
        if (!str_eq(found.username, str_from_c(ROWS[i][1])))
            fail_msg("%s gave %.*s", ROWS[i][0], STR_ARG(found.username));
        assert_true(str_eq(found.password, STR("calvin")));
        credential_wipe(&found);
    }
    pool_destroy(pool);
}

static void test_the_environment_is_last_and_nothing_is_built_in(void **state)
{
    pool_t *pool = pool_create();
    credential_book_t book = book_of(pool, "[]", "[]");
    json_t *server = NULL;
    credential_t found = {0};
    (void)state;
    assert_null(read_json(pool, STR("{\"ip_address\":\"10.0.0.1\"}"), NULL, &server));
    err_t *err = credential_find(&book, pool, server, &found);
    assert_non_null(err);
    assert_true(str_eq(err->code, STR("no_credentials")));
    book.default_username = STR("env");
    book.default_password = STR("secret");
    assert_null(credential_find(&book, pool, server, &found));
    assert_true(str_eq(found.username, STR("env")));
    pool_destroy(pool);
}

static void test_an_undecipherable_password_ends_the_search(void **state)
{
    pool_t *pool = pool_create();
    credential_book_t book = book_of(pool, SETS, RANGES);
    json_t *server = NULL;
    credential_t found = {0};
    (void)state;
    assert_null(
        read_json(pool,
                  STR("{\"ip_address\":\"10.1.1.1\",\"idrac_username\":\"own\","
                      "\"idrac_password_encrypted\":\"enc:v1:AAAA\",\"credential_set_id\":\"linked\"}"),
                  NULL, &server));
    err_t *err = credential_find(&book, pool, server, &found);
    assert_non_null(err);
    assert_true(str_eq(err->code, STR("undecipherable")));
    book.key = STR_NULL;
    err = credential_find(&book, pool, server, &found);
    assert_non_null(err);
    assert_true(
        str_starts_with(err->message, STR("Cannot decrypt credentials - encryption key not configured")));
    pool_destroy(pool);
}

static void test_a_scan_tries_each_set_once_ranges_first(void **state)
{
    pool_t *pool = pool_create();
    credential_book_t book = book_of(pool, SETS, RANGES);
    json_t *given = NULL;
    str_t *sets;
    (void)state;
    assert_null(read_json(pool, STR("[\"std\",\"net8\",\"esx\",\"linked\",\"missing\"]"), NULL, &given));
    size_t count = credential_candidates(&book, pool, STR("10.1.1.1"), given, &sets);
    assert_int_equal(count, 4);
    assert_true(str_eq(sets[0], STR("net24")));
    assert_true(str_eq(sets[1], STR("net8")));
    assert_true(str_eq(sets[2], STR("linked")));
    assert_true(str_eq(sets[3], STR("std")));
    pool_destroy(pool);
}

static void test_the_key_never_travels_in_clear(void **state)
{
    static const struct {
        const char *url;
        bool is_good;
    } ROWS[] = {{"https://gw.example", true},
                {"http://127.0.0.1:54321", true},
                {"http://localhost:54321/", true},
                {"http://[::1]:54321", true},
                {"http://gw.example", false},
                {"http://127.0.0.1.example", false},
                {"http://localhost.example", false},
                {"ftp://x", false},
                {"", false}};
    pool_t *pool = pool_create();
    gateway_address_t address;
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        bool is_good =
            gateway_address_parse(pool, str_from_c(ROWS[i].url), STR("k"), STR_NULL, &address) == NULL;
        if (is_good != ROWS[i].is_good)
            fail_msg("%s", ROWS[i].url);
    }
    assert_non_null(gateway_address_parse(pool, STR("https://gw.example"), STR(""), STR_NULL, &address));
    pool_destroy(pool);
}

static void test_foreign_origins_are_refused(void **state)
{
    (void)state;
    assert_true(status_api_allows_origin(STR("http://localhost:5173"), STR_NULL));
    assert_true(status_api_allows_origin(STR("https://127.0.0.1"), STR_NULL));
    assert_true(status_api_allows_origin(STR("http://[::1]:80"), STR_NULL));
    assert_false(status_api_allows_origin(STR("https://evil.example"), STR_NULL));
    assert_false(status_api_allows_origin(STR("https://localhost.evil.example"), STR_NULL));
    assert_false(status_api_allows_origin(STR("null"), STR_NULL));
    assert_true(
        status_api_allows_origin(STR("https://ui.example"), STR("https://a.example, https://ui.example")));
    assert_false(status_api_allows_origin(STR("https://ui.example.evil"), STR("https://ui.example")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passwords_of_existing_databases_are_read),
        cmocka_unit_test(test_authenticated_passwords_are_read_and_damage_is_noticed),
        cmocka_unit_test(test_the_order_of_credentials),
        cmocka_unit_test(test_the_environment_is_last_and_nothing_is_built_in),
        cmocka_unit_test(test_an_undecipherable_password_ends_the_search),
        cmocka_unit_test(test_a_scan_tries_each_set_once_ranges_first),
        cmocka_unit_test(test_the_key_never_travels_in_clear),
        cmocka_unit_test(test_foreign_origins_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
