#include "base/fetch.h"
#include "http_harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static pool_t *pool;
static fetch_t *client;
static char cert_path[] = "/tmp/basalt-fetch-cert-XXXXXX", key_path[] = "/tmp/basalt-fetch-key-XXXXXX";

static int setup(void **state)
{
    (void)state;
    fetch_global_init();
    close(mkstemp(cert_path));
    close(mkstemp(key_path));
    char command[512];
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
             "/CN=localhost "
             "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>/dev/null",
             key_path, cert_path);
    if (system(command) != 0)
        return -1;
    http_limits_t limits = harness_limits();
    harness_start(&limits, cert_path, key_path);
    pool = pool_create();
    client = fetch_create();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fetch_destroy(client);
    pool_destroy(pool);
    harness_stop();
    fetch_global_cleanup();
    unlink(cert_path);
    unlink(key_path);
    return 0;
}

static str_t url(const char *path)
{
    return pool_printf(pool, "http://127.0.0.1:%d%s", harness.port, path);
}

static str_t tls_url(const char *path)
{
    return pool_printf(pool, "https://127.0.0.1:%d%s", harness.tls_port, path);
}

/* "" when it went well, else the error's code. */
static const char *code_of(const fetch_request_t *request, fetch_response_t *out)
{
    err_t *err = fetch_perform(client, pool, request, out);
    if (err == NULL)
        return "";
    assert_int_equal(err->family, ERR_FAMILY_UPSTREAM);
    assert_true(err->status == 502 || err->status == 504);
    return pool_cstr(pool, err->code);
}

static void an_exchange_brings_status_headers_and_body(void **state)
{
    (void)state;
    fetch_response_t out;
    const fetch_header_t headers[] = {{STR("X-Test"), STR("v")}, {STR("X-Empty"), STR("")}};
    fetch_request_t request = {.url = url("/facts?q"),
                               .method = STR("PUT"),
                               .headers = headers,
                               .header_count = 2,
                               .body = STR("abc"),
                               .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "");
    assert_int_equal(out.status, 200);
    assert_int_not_equal(str_find(out.body, STR("method=PUT path=/facts query=q"), 0), SIZE_MAX);
    assert_int_not_equal(str_find(out.body, STR("body=3 x=v"), 0), SIZE_MAX);
    assert_true(str_eq(fetch_header(&out, STR("content-TYPE")), STR("text/plain")));
    assert_true(str_is_null(fetch_header(&out, STR("x-none"))));
    assert_true(out.elapsed_us > 0);
    request = (fetch_request_t){.url = url("/empty"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "");
    assert_int_equal(out.status, 204);
    assert_int_equal(out.body.len, 0);
    request = (fetch_request_t){.url = url("/hello"), .method = STR("HEAD"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "");
    assert_int_equal(out.body.len, 0);
    request = (fetch_request_t){.url = url("/echo"), .method = STR("POST"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "");
    assert_int_equal(harness_connections(), 1); /* one connection served them all */
}

static void own_and_reserved_addresses_are_refused_by_default(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "127.0.0.1",       "localhost",  "0.0.0.0", "169.254.169.254",    "224.0.0.1",
        "255.255.255.255", "[::1]",      "[::]",    "[::ffff:127.0.0.1]", "[fe80::1]",
        "[ff02::1]",       "2130706433", "0x7f.1",  "[64:ff9b::7f00:1]",  "[2002:7f00:1::]",
        "[::7f00:1]"};
    int before = atomic_load(&harness.requests);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        fetch_response_t out;
        fetch_request_t request = {.url = pool_printf(pool, "http://%s:%d/hello", hosts[i], harness.port)};
        const char *code = code_of(&request, &out);
        if (strcmp(code, "address") != 0)
            fail_msg("%s: %s", hosts[i], code);
    }
    assert_int_equal(harness.requests, before);
}

static bool is_refused(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return target_is_refused((const struct sockaddr *)&v4);
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        fail_msg("%s", text);
    return target_is_refused((const struct sockaddr *)&v6);
}

static void every_spelling_of_an_address_is_judged_as_what_it_is(void **state)
{
    (void)state;
    static const char *const refused[] = {"0.1.2.3",
                                          "127.255.255.254",
                                          "169.254.0.1",
                                          "100.100.100.200",
                                          "168.63.129.16",
                                          "192.0.0.192",
                                          "239.1.1.1",
                                          "240.0.0.1",
                                          "::ffff:169.254.169.254",
                                          "::ffff:0:127.0.0.1",
                                          "64:ff9b::169.254.169.254",
                                          "64:ff9b:1::10.0.0.1",
                                          "2002:a9fe:a9fe::1",
                                          "2001:0:a9fe:a9fe::1",
                                          "febf::1",
                                          "fd00:ec2::254"};
    static const char *const allowed[] = {
        "10.0.0.1",        "172.16.0.1",        "192.168.1.1",     "100.64.0.1",        "100.100.100.201",
        "126.255.255.255", "169.253.255.255",   "223.255.255.255", "8.8.8.8",           "fd00::1",
        "fec0::1",         "2001:db8::1",       "2606:4700::1111", "64:ff9b::10.0.0.1", "2002:a00:1::1",
        "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "fd00:ec2::253"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (!is_refused(refused[i]))
            fail_msg("%s is let through", refused[i]);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (is_refused(allowed[i]))
            fail_msg("%s is refused", allowed[i]);
}

static void a_kept_connection_does_not_open_a_door_for_a_stricter_request(void **state)
{
    (void)state;
    fetch_response_t out;
    fetch_request_t request = {.url = url("/hello"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "");
    request.addr_policy = TARGET_REMOTE;
    assert_string_equal(code_of(&request, &out), "address");
}

static void failures_have_their_codes(void **state)
{
    (void)state;
    fetch_response_t out;
    fetch_request_t request = {.url = STR("http://127.0.0.1:1/"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "connect");
    request = (fetch_request_t){.url = url("/when-told"), .timeout_ms = 100, .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "timeout");
    assert_true(out.elapsed_us >= 100000);
    request = (fetch_request_t){.url = url("/hello"), .response_max = 4, .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "too_large");
    request.response_max = 5;
    assert_string_equal(code_of(&request, &out), "");
    request = (fetch_request_t){.url = url("/broken"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "protocol");
    request = (fetch_request_t){.url = STR("file:///etc/passwd"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "protocol");
    request = (fetch_request_t){.url = STR("http://x/\r\nHost: y"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "protocol");
    const fetch_header_t split = {STR("X"), STR("a\r\nY: b")};
    request =
        (fetch_request_t){.url = url("/"), .headers = &split, .header_count = 1, .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "protocol");
    static const atomic_bool is_cancelled = true;
    request =
        (fetch_request_t){.url = url("/when-told"), .is_cancelled = &is_cancelled, .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "cancelled");
}

static void certificates_count_unless_told_otherwise(void **state)
{
    (void)state;
    fetch_response_t out;
    fetch_request_t request = {.url = tls_url("/hello"), .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "tls");
    request.ca_file = str_from_c(cert_path);
    assert_string_equal(code_of(&request, &out), "");
    request.ca_file = STR_NULL;
    assert_string_equal(code_of(&request, &out), "tls"); /* the kept connection is not reused for it */
    request.is_tls_unverified = true;
    assert_string_equal(code_of(&request, &out), "");
    assert_true(str_eq(out.body, STR("hello")));
    request.is_tls_legacy = true;
    assert_string_equal(code_of(&request, &out), "");
}

typedef struct {
    const fetch_response_t *out;
    size_t bytes, limit;
    int status_seen;
} taken_t;

static bool take(void *arg, str_t chunk)
{
    taken_t *taken = arg;
    taken->bytes += chunk.len;
    taken->status_seen = taken->out->status;
    return taken->bytes < taken->limit;
}

static void streams_are_handed_over_and_may_be_ended(void **state)
{
    (void)state;
    fetch_response_t out;
    taken_t taken = {.out = &out, .limit = SIZE_MAX};
    fetch_request_t request = {
        .url = url("/stream"), .on_data = take, .arg = &taken, .response_max = 10, .addr_policy = TARGET_ANY};
    assert_string_equal(code_of(&request, &out), "");
    assert_int_equal(taken.bytes, 6u << 20);
    assert_int_equal(taken.status_seen, 201);
    assert_int_equal(out.body.len, 0);
    taken = (taken_t){.out = &out, .limit = 1000};
    assert_string_equal(code_of(&request, &out), "");
    assert_in_range(taken.bytes, 1000, 100000);
    assert_true(harness_wait(&harness.gone_streams, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_brings_status_headers_and_body),
        cmocka_unit_test(own_and_reserved_addresses_are_refused_by_default),
        cmocka_unit_test(every_spelling_of_an_address_is_judged_as_what_it_is),
        cmocka_unit_test(a_kept_connection_does_not_open_a_door_for_a_stricter_request),
        cmocka_unit_test(failures_have_their_codes),
        cmocka_unit_test(certificates_count_unless_told_otherwise),
        cmocka_unit_test(streams_are_handed_over_and_may_be_ended),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
