#include "base/clock.h"
#include "base/config.h"
#include "base/crypt.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "base/token_bucket.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static pool_t *pool;

static int setup(void **state)
{
    (void)state;
    pool = pool_create();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pool_destroy(pool);
    return 0;
}

static void assert_str(str_t got, const char *expected)
{
    if (got.len != strlen(expected) || memcmp(got.base, expected, got.len) != 0)
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), expected);
}

static str_t unhex(const char *hex)
{
    str_t out;
    assert_true(crypt_unhex(pool, str_from_c(hex), &out));
    return out;
}

/* --- crypt --- */

static void digests_match_published_vectors(void **state)
{
    (void)state;
    /* FIPS 180-4 and RFC 1321 */
    assert_str(crypt_sha256_hex(pool, STR("abc")),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_str(crypt_sha256_hex(pool, STR("")),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_str(crypt_md5_hex(pool, STR("message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
    /* RFC 4231, cases 1 to 4 and 6 */
    str_t k20 = unhex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    assert_str(crypt_hmac_sha256_hex(pool, k20, STR("Hi There")),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_str(crypt_hmac_sha256_hex(pool, STR("Jefe"), STR("what do ya want for nothing?")),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    char aa[131], dd[50], cd[50];
    memset(aa, 0xaa, sizeof(aa));
    memset(dd, 0xdd, sizeof(dd));
    memset(cd, 0xcd, sizeof(cd));
    assert_str(crypt_hmac_sha256_hex(pool, str_make(aa, 20), str_make(dd, 50)),
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    assert_str(crypt_hmac_sha256_hex(pool, unhex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
                                     str_make(cd, 50)),
               "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    assert_str(crypt_hmac_sha256_hex(pool, str_make(aa, 131),
                                     STR("Test Using Larger Than Block-Size Key - Hash Key First")),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(crypt_hmac_sha256_hex(pool, STR(""), STR_NULL).len, 64);
}

static void aes_matches_nist_and_refuses_what_is_broken(void **state)
{
    (void)state;
    /* SP 800-38A F.2.5 */
    str_t key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    str_t iv = unhex("000102030405060708090a0b0c0d0e0f");
    str_t plain = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    str_t cipher, back;
    assert_true(crypt_aes256_cbc_encrypt(pool, key, iv, plain, &cipher));
    assert_int_equal(cipher.len, 80); /* one block of padding behind the vector */
    assert_str(crypt_hex(pool, (const uint8_t *)cipher.base, 64),
               "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
               "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b");
    assert_true(crypt_aes256_cbc_decrypt(pool, key, iv, cipher, &back));
    assert_true(str_eq(back, plain));
    assert_true(crypt_aes256_cbc_encrypt(pool, key, iv, STR(""), &cipher));
    assert_int_equal(cipher.len, 16);
    assert_true(crypt_aes256_cbc_decrypt(pool, key, iv, cipher, &back));
    assert_int_equal(back.len, 0);
    assert_false(crypt_aes256_cbc_decrypt(pool, key, iv, str_slice(cipher, 0, 15), &back));
    assert_false(crypt_aes256_cbc_decrypt(pool, key, iv, STR(""), &back));
    assert_false(crypt_aes256_cbc_encrypt(pool, str_slice(key, 0, 16), iv, plain, &cipher));
    assert_false(crypt_aes256_cbc_encrypt(pool, key, str_slice(iv, 0, 8), plain, &cipher));
    assert_true(crypt_aes256_cbc_encrypt(pool, key, iv, plain, &cipher));
    char *damaged = pool_cstr(pool, cipher);
    damaged[cipher.len - 17] ^= 0x01; /* turns the padding */
    assert_false(crypt_aes256_cbc_decrypt(pool, key, iv, str_make(damaged, cipher.len), &back));
}

static void base64_and_hex_go_both_ways(void **state)
{
    (void)state;
    static const char *const rfc4648[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    str_t out;
    for (size_t i = 0; i < 7; i++) {
        assert_str(crypt_base64(pool, str_from_c(rfc4648[i][0])), rfc4648[i][1]);
        assert_true(crypt_unbase64(pool, str_from_c(rfc4648[i][1]), &out));
        assert_str(out, rfc4648[i][0]);
    }
    assert_str(crypt_base64url(pool, STR("\xfb\xff\xfe?")), "-__-Pw");
    assert_true(crypt_unbase64(pool, STR("-__-Pw"), &out));
    assert_str(out, "\xfb\xff\xfe?");
    assert_true(crypt_unbase64(pool, STR("+//+Pw=="), &out));
    assert_str(out, "\xfb\xff\xfe?");
    static const char *const bad[] = {"A",    "Zg=",  "Zg===", "Z=g=", "Zm 9v",
                                      "Zh==", "Zm9=", "====",  "=",    "Zm9v\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(crypt_unbase64(pool, str_from_c(bad[i]), &out));
    assert_true(crypt_unhex(pool, STR("00fFA9"), &out));
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.base, "\x00\xff\xa9", 3);
    assert_false(crypt_unhex(pool, STR("0"), &out));
    assert_false(crypt_unhex(pool, STR("0g"), &out));
    assert_true(crypt_equal(STR("same"), STR("same")));
    assert_false(crypt_equal(STR("same"), STR("samE")));
    assert_false(crypt_equal(STR("same"), STR("sam")));
    assert_true(crypt_equal(STR(""), STR_NULL));
}

static void random_things_have_their_shape(void **state)
{
    (void)state;
    str_t uuid = rand_uuid(pool);
    assert_true(str_is_uuid(uuid));
    assert_int_equal(uuid.base[14], '4');
    assert_non_null(strchr("89ab", uuid.base[19]));
    assert_false(str_eq(uuid, rand_uuid(pool)));
    assert_int_equal(rand_hex(pool, 16).len, 32);
    str_t typed = rand_base32(pool, 50);
    assert_int_equal(strspn(typed.base, "abcdefghijklmnopqrstuvwxyz234567"), 50);
    assert_true(rand_uint64() != rand_uint64());
}

/* --- clock and bucket --- */

static void the_wall_clock_shifts_and_prints(void **state)
{
    (void)state;
    assert_str(clock_iso8601(pool, 1767323045678), "2026-01-02T03:04:05.678Z");
    assert_str(clock_iso8601(pool, -1), "1969-12-31T23:59:59.999Z");
    int64_t before = clock_unix();
    clock_shift(3600);
    assert_in_range(clock_unix() - before, 3600, 3700);
    clock_shift(-3600);
    assert_in_range(clock_unix_ms() / 1000 - before, 0, 100);
}

static void a_bucket_gives_its_burst_and_then_its_rate(void **state)
{
    (void)state;
    token_bucket_t bucket;
    token_bucket_init(&bucket, 1, 3);
    int64_t wait = -1;
    for (int i = 0; i < 3; i++)
        assert_true(token_bucket_take(&bucket, 1, &wait));
    assert_false(token_bucket_take(&bucket, 1, &wait));
    assert_in_range(wait, 1, 1000);
    bucket.updated_us -= 1000000; /* a second later */
    assert_true(token_bucket_take(&bucket, 1, NULL));
    bucket.updated_us -= 1000000000; /* long ago: never more than the burst */
    assert_true(token_bucket_take(&bucket, 3, NULL));
    assert_false(token_bucket_take(&bucket, 1, NULL));
    assert_false(token_bucket_take(&bucket, 4, &wait)); /* more than there can ever be */
    assert_int_equal(wait, INT32_MAX);
}

/* --- config --- */

static const config_key_t KEYS[] = {
    {"CT_NAME CT_ALIAS", CONFIG_STRING, "default", false, true, "a name"},
    {"CT_SECRET", CONFIG_STRING, NULL, true, false, "a secret"},
    {"CT_COUNT", CONFIG_INT, "5", false, true, "a number"},
    {"CT_FLAG", CONFIG_BOOL, "false", false, true, "a switch"},
    {"CT_WAIT", CONFIG_DURATION_MS, "10", false, true, "a time"},
    {"CT_SIZE", CONFIG_BYTES, "8MB", false, true, "a size"},
    {NULL, 0, NULL, false, false, NULL},
};

static const config_key_t PEER_KEYS[] = {
    {"PGRST_NAME", CONFIG_STRING, "default", false, false, "a name"},
    {"PGRST_COUNT", CONFIG_INT, "5", false, false, "a count"},
    {"PGRST_FLAG", CONFIG_BOOL, "false", false, false, "a flag"},
    {"PGRST_WAIT", CONFIG_DURATION_MS, "10", false, false, "a time"},
    {NULL, 0, NULL, false, false, NULL},
};

static char config_path[] = "/tmp/basalt-config-XXXXXX";

static void write_config(const char *text)
{
    int fd = open(config_path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static config_t *must_load(const char *file)
{
    config_t *config;
    err_t *err = config_load(pool, KEYS, file, &config);
    if (err != NULL)
        fail_msg("%.*s", STR_ARG(err->message));
    return config;
}

static void configuration_prefers_environment_to_file_to_default(void **state)
{
    (void)state;
    close(mkstemp(config_path));
    config_t *config = must_load(NULL);
    assert_str(config_str(config, "CT_NAME"), "default");
    assert_false(config_is_set(config, "CT_SECRET"));
    assert_int_equal(config_int(config, "CT_WAIT"), 10000);
    assert_int_equal(config_int(config, "CT_SIZE"), 8 << 20);
    config_destroy(config);
    write_config(
        "# comment\n\nCT_ALIAS = 'from file' \nexport CT_COUNT=7\nCT_FLAG=on\nUNKNOWN=1\nCT_SECRET=\"a b\"\n"
        "CT_WAIT=1m30s\nCT_SIZE=64KiB\nno line\n");
    config = must_load(config_path);
    assert_str(config_str(config, "CT_NAME"), "from file");
    assert_str(config_str(config, "CT_ALIAS"), "from file");
    assert_str(config_str(config, "CT_SECRET"), "a b");
    assert_int_equal(config_int(config, "CT_COUNT"), 7);
    assert_true(config_bool(config, "CT_FLAG"));
    assert_int_equal(config_int(config, "CT_WAIT"), 90000);
    assert_int_equal(config_int(config, "CT_SIZE"), 65536);
    config_destroy(config);
    setenv("CT_ALIAS", "from alias", 1);
    setenv("CT_COUNT", "", 1); /* compose passes empty variables: not given */
    setenv("CT_WAIT", "250ms", 1);
    config = must_load(config_path);
    assert_str(config_str(config, "CT_NAME"), "from alias");
    assert_int_equal(config_int(config, "CT_COUNT"), 7);
    assert_int_equal(config_int(config, "CT_WAIT"), 250);
    config_destroy(config);
    setenv("CT_NAME", "canonical", 1);
    config = must_load(config_path);
    assert_str(config_str(config, "CT_ALIAS"), "canonical");
    config_destroy(config);
    unsetenv("CT_NAME");
    unsetenv("CT_ALIAS");
    unsetenv("CT_COUNT");
    unsetenv("CT_WAIT");
    unlink(config_path);
}

static void configuration_reads_the_peers_form_of_a_file(void **state)
{
    (void)state;
    static const char *const broken[] = {"ct-name = \"open\nCT_COUNT=1\n", "ct-name = \"a\" b\n",
                                         "ct-name =\n", "ct-name = \"$x\"\n"};
    setenv("CT_HOME", "/here", 1);
    write_config(
        "# comment\n\nname = \"a \\\"b\\\" $$c $(CT_HOME)\" # why\ncount = 12\nflag = 2\nwait = true\n"
        "app.settings.Some_name = \"x\"\nother-thing = 1\n");
    config_t *config;
    err_t *err = config_load(pool, PEER_KEYS, config_path, &config);
    assert_null(err);
    assert_str(config_str(config, "PGRST_NAME"), "a \"b\" $c /here");
    assert_int_equal(config_int(config, "PGRST_COUNT"), 12);
    assert_true(config_bool(config, "PGRST_FLAG"));
    assert_int_equal(config_int(config, "PGRST_WAIT"), 10000); /* of the wrong type: ignored */
    assert_true(config_is_given(config, "PGRST_COUNT"));
    assert_false(config_is_given(config, "PGRST_WAIT"));
    const config_entry_t *entries;
    assert_int_equal(config_family(config, pool, STR("PGRST_APP_SETTINGS_"), &entries), 1);
    assert_str(entries[0].name, "Some_name");
    assert_str(entries[0].value, "x");
    setenv("PGRST_APP_SETTINGS_Some_name", "y", 1);
    assert_int_equal(config_family(config, pool, STR("PGRST_APP_SETTINGS_"), &entries), 1);
    assert_str(entries[0].value, "y");
    unsetenv("PGRST_APP_SETTINGS_Some_name");
    config_destroy(config);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        write_config(broken[i]);
        assert_non_null(config_load(pool, PEER_KEYS, config_path, &config));
    }
    unsetenv("CT_HOME");
    unlink(config_path);
}

static void what_is_fixed_stays_over_a_reload(void **state)
{
    (void)state;
    config_t *old = must_load(NULL);
    assert_true(config_override(old, STR("CT_SECRET"), STR("first")));
    assert_true(config_override(old, STR("CT_COUNT"), STR("9")));
    config_t *fresh = must_load(NULL);
    config_keep_fixed(fresh, old);
    assert_str(config_str(fresh, "CT_SECRET"), "first"); /* not reloadable */
    assert_int_equal(config_int(fresh, "CT_COUNT"), 5);
    assert_false(config_equals(fresh, old));
    assert_true(config_override(fresh, STR("CT_COUNT"), STR("9")));
    assert_true(config_equals(fresh, old));
    assert_true(config_override(fresh, STR("CT_SECRET"), STR("")));
    assert_false(config_equals(fresh, old));
    config_destroy(old);
    config_destroy(fresh);
}

static void values_that_do_not_parse_are_named_but_not_shown(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"CT_COUNT", "s3cret"}, {"CT_FLAG", "maybe"}, {"CT_WAIT", "10 parsecs"},        {"CT_SIZE", "-1"},
        {"CT_COUNT", "1.5"},    {"CT_SIZE", "MB"},    {"CT_WAIT", "99999999999999999h"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv(bad[i][0], bad[i][1], 1);
        config_t *config;
        err_t *err = config_load(pool, KEYS, NULL, &config);
        unsetenv(bad[i][0]);
        assert_non_null(err);
        assert_null(config);
        assert_int_not_equal(str_find(err->message, str_from_c(bad[i][0]), 0), SIZE_MAX);
        assert_int_equal(str_find(err->message, str_from_c(bad[i][1]), 0), SIZE_MAX);
    }
    config_t *config;
    assert_non_null(config_load(pool, KEYS, "/nonexistent/file", &config));
}

static void overrides_apply_and_borrowed_values_survive_them(void **state)
{
    (void)state;
    config_t *config = must_load(NULL);
    str_t before = config_str(config, "CT_NAME");
    assert_true(config_override(config, STR("CT_ALIAS"), STR("new \"quoted\"")));
    assert_str(before, "default");
    assert_str(config_str(config, "CT_NAME"), "new \"quoted\"");
    assert_false(config_override(config, STR("CT_COUNT"), STR("many")));
    assert_int_equal(config_int(config, "CT_COUNT"), 5);
    assert_false(config_override(config, STR("CT_NOTHING"), STR("1")));
    assert_true(config_override(config, STR("CT_SECRET"), STR("hunter2")));
    buf_t out;
    buf_init(&out, pool, 0);
    config_dump(config, &out, false);
    assert_str(buf_str(&out),
               "CT_NAME=\"new \\\"quoted\\\"\"\nCT_SECRET=\"<redacted>\"\nCT_COUNT=\"5\"\nCT_FLAG=\"false\"\n"
               "CT_WAIT=\"10\"\nCT_SIZE=\"8MB\"\n");
    buf_clear(&out);
    config_dump(config, &out, true);
    assert_int_not_equal(str_find(buf_str(&out), STR("hunter2"), 0), SIZE_MAX);
    config_destroy(config);
}

/* --- errors, log, metrics --- */

static void errors_copy_what_they_are_given(void **state)
{
    (void)state;
    char code[] = "PGRST116";
    err_t *err = err_make(pool, 406, ERR_FAMILY_REQUEST, code, "%d rows", 3);
    err_hint(pool, err_details(pool, err, "%s", "more"), "hint %c", '!');
    code[0] = 'X';
    pool_t *other = pool_create();
    err_t *copy = err_copy(other, err);
    assert_str(copy->code, "PGRST116");
    assert_str(copy->message, "3 rows");
    assert_str(copy->details, "more");
    assert_str(copy->hint, "hint !");
    assert_true(str_is_null(copy->details_json));
    assert_ptr_not_equal(copy->message.base, err->message.base);
    pool_destroy(other);
}

static void secrets_are_masked(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"nothing to hide: a=b, x: y", "nothing to hide: a=b, x: y"},
        {"got eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2ln here", "got <redacted> here"},
        {"eye and eyJ stay", "eye and eyJ stay"},
        {"Authorization: Bearer abc.def-ghi", "Authorization: <redacted>"},
        {"sent bearer sk_live_123, then", "sent bearer <redacted>, then"},
        {"postgres://app:p%40ss@db:5432/x?sslmode=off", "postgres://app:<redacted>@db:5432/x?sslmode=off"},
        {"https://example.com/a:b@c", "https://example.com/a:b@c"},
        {"host=db password=abc user=x", "host=db password=<redacted> user=x"},
        {"password='a b\\'c' user=x", "password='<redacted>' user=x"},
        {"{\"refresh_token\":\"abc\\\"d\",\"n\":1}", "{\"refresh_token\":\"<redacted>\",\"n\":1}"},
        {"{\"client_secret\": \"x\"}", "{\"client_secret\": \"<redacted>\"}"},
        {"?apikey=k1&token=t2&page=3", "?apikey=<redacted>&token=<redacted>&page=3"},
        {"PGRST_JWT_SECRET=abc", "PGRST_JWT_SECRET=<redacted>"},
        {"password=", "password="},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_str(log_redact(pool, str_from_c(cases[i][0])), cases[i][1]);
}

static str_t logged(void (*emit)(void))
{
    int fds[2];
    static char text[20000];
    assert_int_equal(pipe(fds), 0);
    log_set_fd(fds[1]);
    emit();
    log_set_fd(STDERR_FILENO);
    close(fds[1]);
    ssize_t len = read(fds[0], text, sizeof(text));
    close(fds[0]);
    return str_make(text, len > 0 ? (size_t)len : 0);
}

static void emit_some(void)
{
    observe(LOG_DEBUG, "ct_hidden", F_INT("n", 1));
    observe(LOG_WARN, "ct_shown", F_INT("n", -4), F_STR("text", STR("line\nbreak \xff")),
            F_STR("password", STR("abc")), F_STR("empty", STR("")));
}

static void emit_long(void)
{
    static char text[20000];
    memset(text, '\n', sizeof(text) - 1);
    observe(LOG_ERROR, "ct_long", F_INT("first", 1), F_CSTR("long", text), F_INT("after", 2));
}

static void log_lines_are_json_bounded_and_counted(void **state)
{
    (void)state;
    log_set_level(LOG_INFO);
    int64_t before = metric_value(metric_counter("basalt_events_total", "", "event=\"ct_hidden\""));
    str_t text = logged(emit_some);
    str_t line = str_split(&text, '\n');
    assert_int_equal(text.len, 0);
    size_t level = str_find(line, STR("\"level\""), 0);
    assert_str(str_slice(line, level, line.len),
               "\"level\":\"warn\",\"event\":\"ct_shown\",\"n\":-4,"
               "\"text\":\"line\\nbreak ?\",\"password\":\"<redacted>\",\"empty\":\"\"}");
    assert_int_equal(metric_value(metric_counter("basalt_events_total", "", "event=\"ct_hidden\"")),
                     before + 1);
    text = logged(emit_long);
    assert_in_range(text.len, 50, 8192);
    assert_int_not_equal(str_find(text, STR("\"cut_at\":\"long\"}\n"), 0), SIZE_MAX);
    log_level_t parsed;
    assert_true(log_level_parse(STR("CRIT"), &parsed));
    assert_int_equal(parsed, LOG_ERROR);
    assert_false(log_level_parse(STR("loud"), &parsed));
}

static void metrics_print_in_prometheus_form(void **state)
{
    (void)state;
    metric_t *a = metric_counter("ct_requests_total", "Requests", "code=\"200\"");
    metric_t *b = metric_counter("ct_requests_total", "Requests", "code=\"500\"");
    assert_ptr_equal(metric_counter("ct_requests_total", "Requests", "code=\"200\""), a);
    metric_add(a, 2);
    metric_add(b, 1);
    metric_add(NULL, 1);
    metric_set(metric_gauge("ct_depth", "Depth", ""), -3);
    metric_t *h = metric_histogram_us("ct_seconds", "Time", "op=\"x\"");
    metric_observe_us(h, 100);
    metric_observe_us(h, 101);
    metric_observe_us(h, 99000000);
    buf_t out;
    buf_init(&out, pool, 0);
    metrics_write(&out);
    static const char *const expected[] = {
        "# HELP ct_requests_total Requests\n# TYPE ct_requests_total counter\n"
        "ct_requests_total{code=\"200\"} 2\nct_requests_total{code=\"500\"} 1\n",
        "# TYPE ct_depth gauge\nct_depth -3\n",
        "ct_seconds_bucket{op=\"x\",le=\"0.0001\"} 1\nct_seconds_bucket{op=\"x\",le=\"0.00025\"} 2\n",
        "ct_seconds_bucket{op=\"x\",le=\"10\"} 2\nct_seconds_bucket{op=\"x\",le=\"+Inf\"} 3\n"
        "ct_seconds_sum{op=\"x\"} 99.000201\nct_seconds_count{op=\"x\"} 3\n"};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        if (str_find(buf_str(&out), str_from_c(expected[i]), 0) == SIZE_MAX)
            fail_msg("not found: %s", expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_match_published_vectors),
        cmocka_unit_test(aes_matches_nist_and_refuses_what_is_broken),
        cmocka_unit_test(base64_and_hex_go_both_ways),
        cmocka_unit_test(random_things_have_their_shape),
        cmocka_unit_test(the_wall_clock_shifts_and_prints),
        cmocka_unit_test(a_bucket_gives_its_burst_and_then_its_rate),
        cmocka_unit_test(configuration_prefers_environment_to_file_to_default),
        cmocka_unit_test(configuration_reads_the_peers_form_of_a_file),
        cmocka_unit_test(what_is_fixed_stays_over_a_reload),
        cmocka_unit_test(values_that_do_not_parse_are_named_but_not_shown),
        cmocka_unit_test(overrides_apply_and_borrowed_values_survive_them),
        cmocka_unit_test(errors_copy_what_they_are_given),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(log_lines_are_json_bounded_and_counted),
        cmocka_unit_test(metrics_print_in_prometheus_form),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
