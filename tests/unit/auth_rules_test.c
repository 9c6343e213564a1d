/* The rules of auth that need no database: passwords, addresses, redirects, mails, one-time codes, limits. */
#include "auth/address.h"
#include "auth/limits.h"
#include "auth/mail.h"
#include "auth/one_time.h"
#include "auth/password.h"
#include "auth/redirect.h"
#include "auth/totp.h"
#include "base/clock.h"
#include "drivers/smtp/smtp.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
    pool_t *pool;
    gateway_t gateway;
    auth_scope_t scope;
} fixture_t;

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    f->pool = pool_create();
    setenv("API_EXTERNAL_URL", "https://api.test/", 1);
    setenv("GOTRUE_SITE_URL", "https://site.test", 1);
    assert_null(config_load(f->pool, GATEWAY_CONFIG_KEYS, NULL, &f->gateway.config));
    auth_scope_init(&f->scope, &f->gateway, f->pool, STR("10.1.2.3"), STR("agent"));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    config_destroy(f->gateway.config);
    pool_destroy(f->pool);
    free(f);
    return 0;
}

static void set(fixture_t *f, const char *name, const char *value)
{
    assert_true(config_override(f->gateway.config, str_from_c(name), str_from_c(value)));
}

static void a_hash_verifies_its_password_only(void **state)
{
    fixture_t *f = *state;
    str_t hash = password_hash(f->pool, STR("correct horse"));
    assert_true(str_starts_with(hash, STR("$2a$10$")));
    assert_true(password_is_bcrypt(hash));
    assert_true(password_verify(f->pool, STR("correct horse"), hash, NULL));
    assert_false(password_verify(f->pool, STR("correct horsf"), hash, NULL));
    assert_false(password_verify(f->pool, STR(""), hash, NULL));
    assert_false(str_eq(hash, password_hash(f->pool, STR("correct horse"))));
}

static void foreign_hashes_are_never_guessed_at(void **state)
{
    fixture_t *f = *state;
    static const char *const HASHES[] = {"",
                                         "plain",
                                         "$1$abc$abcdefghijklmnop",
                                         "$2a$10$short",
                                         "*0",
                                         "$2a$31$abcdefghijklmnopqrstuuWbnzCqdFcG3o0O5kCqY1hsnS6n7hhTS",
                                         "$argon2id$v=16$m=16,t=2,p=1$c2FsdHNhbHQ$AAAA",
                                         "$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$AAAA",
                                         "$argon2d$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$AAAA",
                                         "$fbscrypt$v=1,n=30,r=8,p=1,ss=Bw==,sk=AA==$AA==$AA=="};
    for (size_t i = 0; i < sizeof(HASHES) / sizeof(HASHES[0]); i++) {
        bool is_known = true;
        assert_false(password_verify(f->pool, STR("x"), str_from_c(HASHES[i]), &is_known));
        assert_false(is_known);
    }
}

static void imported_hashes_verify(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *password, *hash;
    } CASES[] = {
        {"test", "$argon2id$v=19$m=64,t=2,p=2$c2FsdHNhbHQ$tXNyBl7wyPxC1azot4BEan06dPz57cf53NurnG7AP6M"},
        {"test", "$argon2i$v=19$m=128,t=3,p=1$c2FsdHNhbHRzYWx0$jGtS6OA+AV3/PjLYha3dyL54MrWIRj4Z5m4Ds73oH0w"},
        {"user1password",
         "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk="
         "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
         "$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/"
         "qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        bool is_known = false;
        str_t hash = str_from_c(CASES[i].hash);
        assert_true(password_verify(f->pool, str_from_c(CASES[i].password), hash, &is_known));
        assert_true(is_known);
        assert_false(password_verify(f->pool, STR("other"), hash, NULL));
    }
}

static void long_passwords_and_nul_are_not_cut(void **state)
{
    fixture_t *f = *state;
    char text[80];
    memset(text, 'a', sizeof(text));
    str_t hash = password_hash(f->pool, str_make(text, 72));
    assert_false(str_is_null(hash));
    assert_true(str_is_null(password_hash(f->pool, str_make(text, 73))));
    assert_false(password_verify(f->pool, str_make(text, 73), hash, NULL));
    assert_true(str_is_null(password_hash(f->pool, str_make("abc\0def", 7))));
    assert_null(password_check_strength(&f->scope, str_make(text, 72)));
    err_t *err = password_check_strength(&f->scope, str_make(text, 73));
    assert_int_equal(err->status, 400);
}

static void an_unknown_user_costs_as_much_as_a_known_one(void **state)
{
    fixture_t *f = *state;
    str_t hash = password_hash(f->pool, STR("secret"));
    int64_t verify = INT64_MAX, waste = INT64_MAX;
    bool is_alike = false; /* the quickest of some tries is what the work costs */
    for (int i = 0; i < 5 || (!is_alike && i < 500); i++) {
        int64_t start = clock_mono_us();
        (void)password_verify(f->pool, STR("wrong!"), hash, NULL);
        int64_t middle = clock_mono_us();
        password_waste_time(f->pool, STR("wrong!"));
        int64_t end = clock_mono_us();
        verify = middle - start < verify ? middle - start : verify;
        waste = end - middle < waste ? end - middle : waste;
        is_alike = waste * 10 > verify * 8 && waste * 8 < verify * 10;
    }
    assert_true(is_alike);
}

static void weak_passwords_name_every_reason(void **state)
{
    fixture_t *f = *state;
    set(f, "GOTRUE_PASSWORD_MIN_LENGTH", "8");
    set(f, "GOTRUE_PASSWORD_REQUIRED_CHARACTERS", "abc:123");
    err_t *err = password_check_strength(&f->scope, STR("xyz"));
    assert_int_equal(err->status, 422);
    assert_string_equal(pool_cstr(f->pool, err->code), "weak_password");
    assert_string_equal(
        pool_cstr(f->pool, err->message),
        "Password should be at least 8 characters. Password should contain at least one character of each: "
        "abc, 123.");
    assert_string_equal(pool_cstr(f->pool, err->details_json),
                        "{\"weak_password\":{\"reasons\":[\"length\",\"characters\"]}}");
    assert_null(password_check_strength(&f->scope, STR("aaaa1111")));
    assert_non_null(password_check_strength(&f->scope, STR("aaaaaaaa")));
    set(f, "GOTRUE_PASSWORD_MIN_LENGTH", "1");
    assert_non_null(password_check_strength(&f->scope, STR("a1")));
}

static void addresses_are_checked_and_lowered(void **state)
{
    fixture_t *f = *state;
    static const char *const GOOD[] = {"A@B.C", "first.last+tag@example.com", "a@localhost", "x'y@d-e.fr",
                                       "..@e.com"};
    static const char *const BAD[] = {"",
                                      "a",
                                      "@b.c",
                                      "a@",
                                      "a@b..c",
                                      "a@-b.c",
                                      "a@b.c-",
                                      "a b@c.d",
                                      "a@b@c",
                                      "a\"@b.c",
                                      "a@b.c\r\nBcc: x@y.z",
                                      "\xc3\xa4@b.c",
                                      "a@b\xc3\xa4.c",
                                      "<a@b.c>",
                                      "a@b_c.d"};
    str_t out;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
        assert_null(address_check_email(f->pool, str_from_c(GOOD[i]), &out));
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_non_null(address_check_email(f->pool, str_from_c(BAD[i]), &out));
    assert_null(address_check_email(f->pool, STR("MiXed@Example.COM"), &out));
    assert_string_equal(pool_cstr(f->pool, out), "mixed@example.com");
    assert_null(address_check_phone(f->pool, STR("+49 123 456"), &out));
    assert_string_equal(pool_cstr(f->pool, out), "49123456");
    assert_non_null(address_check_phone(f->pool, STR("0123"), &out));
    assert_non_null(address_check_phone(f->pool, STR("1234567890123456"), &out));
}

static void redirects_follow_the_allow_list(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *list, *url;
        bool is_allowed;
    } CASES[] = {
        {"", "https://site.test", true},
        {"", "https://site.test/a?b#c", true},
        {"", "HTTPS://SITE.TEST/", true},
        {"", "http://site.test/", false},
        {"", "https://site.test:444/", false},
        {"", "https://sub.site.test/", false},
        {"", "https://site.test.evil.test/", false},
        {"", "https://user@site.test/", true},
        {"", "https://site.test@evil.test/", false},
        {"", "https://site.test\\@evil.test/", false},
        {"", "https://evil.test\\.site.test/", false},
        {"", "https:evil.test", false},
        {"", "//site.test/", false},
        {"", "/relative", false},
        {"", "http://127.0.0.1:1234/x", true},
        {"", "http://[::1]:1234/x", true},
        {"", "http://10.0.0.1/", false},
        {"", "http://2130706433/", false},
        {"http://**", "http://2130706433/", false},
        {"http://**", "http://10.0.0.1/", false},
        {"http://**", "http://a_b.test/", false},
        {"https://*.a.test/*", "https://x.a.test/y", true},
        {"https://*.a.test/*", "https://x.y.a.test/z", false},
        {"https://*.a.test/*", "https://x.a.test/y/z", false},
        {"https://*.a.test/**", "https://x.a.test/y/z.html?q=1", true},
        {"https://*.a.test/**", "https://evil.test/.a.test/", false},
        {"a, https://b.test/y", "https://b.test/y", true},
        {"https://b.test/[a-c]?", "https://b.test/b1", true},
        {"https://b.test/[!a-c]?", "https://b.test/b1", false},
        {"myapp://callback", "myapp://callback#frag", true},
        {"myapp://callback", "myapp://other", false},
        {"https://b.test/x", "https://b.test/x\r\nSet-Cookie: a=b", false},
        {"**", "javascript:alert(1) ", false},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        bool is_allowed = redirect_is_allowed(f->pool, STR("https://site.test"), str_from_c(CASES[i].list),
                                              str_from_c(CASES[i].url));
        if (is_allowed != CASES[i].is_allowed)
            fail_msg("%s under %s: %d", CASES[i].url, CASES[i].list, is_allowed);
    }
}

static void globs_end_in_time(void **state)
{
    fixture_t *f = *state;
    char url[2000] = "https://b.test/";
    memset(url + 15, 'a', sizeof(url) - 16);
    url[sizeof(url) - 1] = '\0';
    int64_t start = clock_mono_us();
    assert_false(redirect_is_allowed(f->pool, STR("https://site.test"),
                                     STR("https://b.test/**a**a**a**a**a**a**a**b"), str_from_c(url)));
    assert_true(clock_mono_us() - start < 60000000);
}

static void results_travel_in_query_and_fragment(void **state)
{
    fixture_t *f = *state;
    const redirect_pair_t pairs[] = {{STR("a"), STR("x y&z=\xc3\xa4")}, {STR("sb"), STR("")}};
    str_t encoded = redirect_encode_pairs(f->pool, pairs, 2);
    assert_string_equal(pool_cstr(f->pool, encoded), "a=x+y%26z%3D%C3%A4&sb=");
    assert_string_equal(
        pool_cstr(f->pool, redirect_build(f->pool, STR("https://a/b?c=d#old"), STR("e=f"), STR("g=h"))),
        "https://a/b?c=d&e=f#g=h");
    assert_string_equal(pool_cstr(f->pool, redirect_build(f->pool, STR("https://a"), STR(""), STR("g=h"))),
                        "https://a#g=h");
}

static void mails_escape_what_people_wrote(void **state)
{
    fixture_t *f = *state;
    mail_t mail = {.kind = MAIL_RECOVERY,
                   .to = STR("a@b.c"),
                   .email = STR("a@b.c"),
                   .code = STR("123456"),
                   .token_hash = STR("abc"),
                   .redirect_to = STR("https://site.test/x?a=b"),
                   .data = STR("{\"name\":\"<script>'\\\"\",\"n\":7}")};
    str_t html = mail_render(
        &f->scope, STR("{{ .Data.name }}|{{.Token}}|{{ .Data.n }}|{{ .Nothing }}|{{ .Data.gone }}|{{ x"),
        &mail, true);
    assert_string_equal(pool_cstr(f->pool, html), "&lt;script&gt;&#39;&#34;|123456|7||"
                                                  "|{{ x");
    html = mail_render(&f->scope, STR("{{ .ConfirmationURL }}"), &mail, false);
    assert_string_equal(pool_cstr(f->pool, html),
                        "https://api.test/auth/v1/"
                        "verify?token=abc&type=recovery&redirect_to=https%3A%2F%2Fsite.test%2Fx%3Fa%3Db");
    mail.redirect_to = STR("https://site.test/x");
    assert_string_equal(
        pool_cstr(f->pool,
                  mail_action_link(&f->scope, MAIL_RECOVERY, "magiclink", STR("abc"), mail.redirect_to)),
        "https://api.test/auth/v1/verify?token=abc&type=magiclink&redirect_to=https://site.test/x");
}

static void a_mail_header_cannot_be_smuggled_in(void **state)
{
    fixture_t *f = *state;
    str_t to = STR("you@b.c");
    smtp_message_t message = {.from_address = STR("me@b.c"),
                              .from_name = STR("Me \"X\""),
                              .to = &to,
                              .to_count = 1,
                              .subject = STR("Gr\xc3\xbc\xc3\x9f"
                                             "e"),
                              .html = STR("<p>hi</p>")};
    str_t text = smtp_build_message(f->pool, &message);
    assert_true(
        str_find(
            text,
            STR("From: \"Me \\\"X\\\"\" <me@b.c>\r\nTo: you@b.c\r\nSubject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"),
            0) == 0);
    assert_true(str_ends_with(text, STR("\r\n\r\nPHA+aGk8L3A+\r\n")));
    static const char *const BAD[] = {"x\r\nBcc: y@z", "x\n", "x\x01"};
    for (size_t i = 0; i < 3; i++) {
        smtp_message_t bad = message;
        bad.subject = str_from_c(BAD[i]);
        assert_true(str_is_null(smtp_build_message(f->pool, &bad)));
    }
    static const char *const ADDRESSES[] = {"a@b.c>, <d@e.f", "a@b.c\r\nX: y", "nobody", "a b@c.d", ""};
    for (size_t i = 0; i < 5; i++) {
        str_t address = str_from_c(ADDRESSES[i]);
        smtp_message_t bad = message;
        bad.to = &address;
        assert_true(str_is_null(smtp_build_message(f->pool, &bad)));
    }
}

static void one_time_codes_are_hashed_as_supabase_does(void **state)
{
    fixture_t *f = *state;
    str_t hash = one_time_hash(f->pool, STR("a@b.c"), STR("123456"));
    assert_int_equal(hash.len, 56);
    /* printf 'a@b.c123456' | sha224sum */
    assert_string_equal(pool_cstr(f->pool, hash), "19fc8045654795b943ae7db4b637d9ee44d1dc98644c90a3fb01fa3f");
    assert_true(one_time_matches(one_time_prefix(f->pool, hash, true), hash));
    assert_true(one_time_matches(hash, hash));
    assert_false(one_time_matches(STR(""), STR("")));
    assert_false(one_time_matches(hash, STR("x")));
    str_t code = one_time_code(&f->scope);
    assert_int_equal(code.len, 6);
    set(f, "GOTRUE_MAILER_OTP_LENGTH", "99");
    assert_int_equal(one_time_code(&f->scope).len, 10);
    int64_t now = clock_unix_ms();
    assert_true(one_time_is_fresh(&f->scope, now - 3599000));
    assert_false(one_time_is_fresh(&f->scope, now - 3601000));
    assert_false(one_time_is_fresh(&f->scope, 0));
    assert_non_null(one_time_check_frequency(&f->scope, now - 30000));
    assert_null(one_time_check_frequency(&f->scope, now - 61000));
}

static void time_codes_match_the_rfc(void **state)
{
    fixture_t *f = *state;
    str_t secret = STR("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); /* "12345678901234567890" */
    assert_string_equal(pool_cstr(f->pool, totp_code(f->pool, secret, 59)), "287082");
    assert_string_equal(pool_cstr(f->pool, totp_code(f->pool, secret, 1111111109)), "081804");
    assert_string_equal(pool_cstr(f->pool, totp_code(f->pool, secret, 20000000000)), "353130");
    assert_true(totp_is_valid(f->pool, secret, STR("287082"), 59 + 30));
    assert_false(totp_is_valid(f->pool, secret, STR("287082"), 59 + 61));
    assert_false(totp_is_valid(f->pool, STR("not base32!"), STR(""), 59));
}

static void buckets_run_empty_and_are_kept_apart(void **state)
{
    (void)state;
    auth_limits_t *limits = auth_limits_create();
    for (int i = 0; i < 3; i++)
        assert_true(auth_limits_take(limits, "k", STR("a"), 0.001, 3, 1));
    assert_false(auth_limits_take(limits, "k", STR("a"), 0.001, 3, 1));
    assert_true(auth_limits_take(limits, "k", STR("b"), 0.001, 3, 0));
    assert_true(auth_limits_take(limits, "other", STR("a"), 0.001, 3, 1));
    char name[32];
    for (int i = 0; i < 25000; i++) {
        int len = snprintf(name, sizeof(name), "caller %d", i);
        assert_true(auth_limits_take(limits, "k", str_make(name, (size_t)len), 0.001, 3, 1));
    }
    auth_limits_destroy(limits);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_hash_verifies_its_password_only),
        T(foreign_hashes_are_never_guessed_at),
        T(imported_hashes_verify),
        T(long_passwords_and_nul_are_not_cut),
        T(an_unknown_user_costs_as_much_as_a_known_one),
        T(weak_passwords_name_every_reason),
        T(addresses_are_checked_and_lowered),
        T(redirects_follow_the_allow_list),
        T(globs_end_in_time),
        T(results_travel_in_query_and_fragment),
        T(mails_escape_what_people_wrote),
        T(a_mail_header_cannot_be_smuggled_in),
        T(one_time_codes_are_hashed_as_supabase_does),
        T(time_codes_match_the_rfc),
        T(buckets_run_empty_and_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
