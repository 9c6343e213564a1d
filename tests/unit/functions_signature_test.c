/* The executor's signature: both known ways of writing canonical JSON, byte for byte. */
#include "base/crypt.h"
#include "functions/canonical_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECRET "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMyYnQ="
#define TIMESTAMP "1700000000"

static void expect(const char *text, canonical_t dialect, const char *wanted)
{
    pool_t *pool = pool_create();
    str_t got = canonical_json(pool, str_from_c(text), dialect);
    if (wanted == NULL)
        assert_null(got.base);
    else
        assert_string_equal(pool_cstr(pool, got), wanted);
    pool_destroy(pool);
}

static void expect_signature(const char *body, canonical_t dialect, const char *wanted)
{
    pool_t *pool = pool_create();
    str_t message = pool_concat(pool, 2, canonical_json(pool, str_from_c(body), dialect), STR(TIMESTAMP));
    assert_string_equal(pool_cstr(pool, crypt_hmac_sha256_hex(pool, STR(SECRET), message)), wanted);
    pool_destroy(pool);
}

static const char JOB_BODY[] =
    "{\"job\": {\"status\": \"completed\", \"job_id\": "
    "\"11111111-1111-1111-1111-111111111111\", \"details\": {\"ratio\": 1.0, \"msg\": "
    "\"done \\u2713\"}}}";

static void signatures_of_both_signers_verify(void **state)
{
    (void)state;
    expect_signature("{ \"action\" : \"ping\" }", CANONICAL_UTF8,
                     "2e8a9490693ef504bed4ca61f1ba9edf4943a42ecd6db80b79841a1acee54020");
    expect_signature("{\"z\":[1,true,\"x\"],\"n\":null,\"action\":\"ping\"}", CANONICAL_ASCII,
                     "7b1e9a6005e1ff6610f8da9b774466fe08aaf095cf07dc68f04cba2f93718808");
    expect_signature(JOB_BODY, CANONICAL_ASCII,
                     "d70f8d9b86990dc702f47be497bf180ef15d4ef80ff511eda03468943a79ddb7");
    expect_signature(JOB_BODY, CANONICAL_UTF8,
                     "4155602d876a71d7dec15d56a4c9f674d558324600ebe100b4145c6e71e2304f");
}

static void numbers_are_printed_as_each_signer_does(void **state)
{
    (void)state;
    expect("[1.0,1e16,1e-7,0.1,-0.0,1e21,123456789012345680000,5e-324]", CANONICAL_UTF8,
           "[1,10000000000000000,1e-7,0.1,0,1e+21,123456789012345680000,5e-324]");
    expect("[1.0,1e+16,1e-07]", CANONICAL_ASCII, "[1.0,1e+16,1e-07]");
}

static void text_is_escaped_as_each_signer_does(void **state)
{
    (void)state;
    expect("\"\\u00e4\\ud83d\\ude00\\n\\u007f\\u0001\\/\"", CANONICAL_ASCII,
           "\"\\u00e4\\ud83d\\ude00\\n\\u007f\\u0001/\"");
    expect("\"\\u00e4\\ud83d\\ude00\\n\\u0001\"", CANONICAL_UTF8, "\"\u00e4\U0001F600\\n\\u0001\"");
}

static void keys_are_sorted_at_every_depth(void **state)
{
    (void)state;
    expect("{\"b\":{\"d\":1,\"c\":[{\"z\":0,\"a\":0}]},\"a\":2}", CANONICAL_UTF8,
           "{\"a\":2,\"b\":{\"c\":[{\"a\":0,\"z\":0}],\"d\":1}}");
}

static void what_is_no_json_has_no_canonical_form(void **state)
{
    static const char *const BAD[] = {"",      "{",     "{\"a\":}", "[1,]",  "nul",      "\"\\x\"",
                                      "[1] 2", "{a:1}", "\"",       "[1 2]", "{\"a\" 1}"};
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        expect(BAD[i], CANONICAL_UTF8, NULL);
    char deep[400];
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    expect(deep, CANONICAL_UTF8, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_of_both_signers_verify),
        cmocka_unit_test(numbers_are_printed_as_each_signer_does),
        cmocka_unit_test(text_is_escaped_as_each_signer_does),
        cmocka_unit_test(keys_are_sorted_at_every_depth),
        cmocka_unit_test(what_is_no_json_has_no_canonical_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
