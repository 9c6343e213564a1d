#include "base/metrics.h"
#include "http_harness.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static char directory[] = "/tmp/basalt-http-limits-XXXXXX";
static char cert_path[128], key_path[128];

static void make_certificate(const char *name)
{
    char command[512];
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=%s "
             "-keyout %s -out %s 2>/dev/null",
             name, key_path, cert_path);
    assert_int_equal(system(command), 0);
}

static int make_directory(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", directory);
    snprintf(key_path, sizeof(key_path), "%s/key.pem", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(cert_path);
    unlink(key_path);
    return rmdir(directory);
}

static void start(http_limits_t limits)
{
    harness_start(&limits, NULL, NULL);
}

static void expect(int fd, int status, const char *body)
{
    client_answer_t answer = client_answer(fd, true);
    assert_int_equal(answer.status, status);
    if (body != NULL)
        assert_string_equal(answer.body, body);
    free(answer.body);
}

static const char HELLO[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

static void at_the_connection_limit_new_ones_wait_for_a_place(void **state)
{
    (void)state;
    http_limits_t limits = harness_limits();
    limits.connections_max = 3;
    start(limits);
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = client_connect(harness.port);
    for (int i = 0; i < 4; i++)
        client_send_text(fds[i], HELLO);
    for (int i = 0; i < 3; i++)
        expect(fds[i], 200, "hello");
    usleep(100000);
    assert_int_equal(harness_connections(), 3);
    assert_int_equal(harness.requests, 3);
    int reserved = client_connect(harness.reserved_port); /* the operator still gets in */
    client_send_text(reserved, HELLO);
    expect(reserved, 200, "hello");
    close(reserved);
    assert_true(harness_wait_connections(3));
    usleep(50000);
    assert_int_equal(harness.requests, 4); /* and makes no room for others by leaving */
    close(fds[0]);
    expect(fds[3], 200, "hello");
    for (int i = 1; i < 4; i++)
        close(fds[i]);
    assert_true(harness_wait_connections(0));
    harness_stop();
}

static void one_address_gets_its_share_and_no_more(void **state)
{
    (void)state;
    http_limits_t limits = harness_limits();
    limits.connections_per_addr = 2;
    start(limits);
    int a = client_connect(harness.port), b = client_connect(harness.port), c = client_connect(harness.port);
    assert_true(client_is_closed(c));
    close(c);
    client_send_text(a, HELLO);
    expect(a, 200, "hello");
    close(a);
    assert_true(harness_wait_connections(1));
    a = client_connect(harness.port);
    client_send_text(a, HELLO);
    expect(a, 200, "hello");
    close(a);
    close(b);
    harness_stop();
    for (int exempt = 0; exempt < 2; exempt++) {
        limits.trusted_proxies = exempt == 0 ? STR("127.0.0.0/8") : STR_NULL;
        limits.uncounted_addrs = exempt == 1 ? STR("::1,127.0.0.1") : STR_NULL;
        start(limits);
        int fds[5];
        for (int i = 0; i < 5; i++) {
            fds[i] = client_connect(harness.port);
            client_send_text(fds[i], HELLO);
            expect(fds[i], 200, "hello");
        }
        for (int i = 0; i < 5; i++)
            close(fds[i]);
        harness_stop();
    }
}

static void facts(const char *headers, const char *expected)
{
    int fd = client_connect(harness.port);
    char text[512];
    snprintf(text, sizeof(text), "GET /f HTTP/1.1\r\nHost: h\r\n%s\r\n", headers);
    client_send_text(fd, text);
    client_answer_t answer = client_answer(fd, true);
    const char *from = strstr(answer.body, "addr=");
    assert_non_null(from);
    assert_memory_equal(from, expected, strlen(expected));
    free(answer.body);
    close(fd);
}

static void too_few_descriptors_lower_the_limit(void **state)
{
    (void)state;
    struct rlimit before, few = {200, 200};
    getrlimit(RLIMIT_NOFILE, &before);
    few.rlim_max = before.rlim_max;
    pid_t child = fork(); /* the hard limit cannot be raised again */
    if (child == 0) {
        few.rlim_max = 200;
        setrlimit(RLIMIT_NOFILE, &few);
        http_limits_t limits = harness_limits();
        limits.connections_max = 10000;
        start(limits);
        metric_t *lowered = metric_counter("basalt_events_total", "", "event=\"http_connections_lowered\"");
        _exit(metric_value(lowered) == 1 && client_get("/hello") == 200 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    few = (struct rlimit){256, before.rlim_max}; /* where the system allows it, the limit is raised instead */
    setrlimit(RLIMIT_NOFILE, &few);
    http_limits_t limits = harness_limits();
    limits.connections_max = 600;
    start(limits);
    harness_stop();
    getrlimit(RLIMIT_NOFILE, &few);
    assert_true(few.rlim_cur >= 600);
    setrlimit(RLIMIT_NOFILE, &before);
}

static void only_trusted_proxies_are_believed(void **state)
{
    (void)state;
    start(harness_limits());
    facts("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n", "addr=127.0.0.1 host=h tls=0");
    harness_stop();
    http_limits_t limits = harness_limits();
    limits.trusted_proxies = STR("10.0.0.0/8, 127.0.0.1,fd00::/8, nonsense/99");
    start(limits);
    facts("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n", "addr=9.9.9.9 host=h tls=1");
    facts("X-Forwarded-For: 1.1.1.1, 9.9.9.9, 10.1.2.3\r\n", "addr=9.9.9.9 host=h tls=0");
    facts("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 10.0.0.1, fd00::1\r\n", "addr=1.1.1.1 ");
    facts("X-Forwarded-For: 1.1.1.1, [2001:db8::7]:443\r\n", "addr=2001:db8::7 ");
    facts("X-Forwarded-For: 8.8.8.8:1234\r\n", "addr=8.8.8.8 ");
    facts("X-Forwarded-For: 1.1.1.1, <script>\r\n", "addr=127.0.0.1 ");
    facts("X-Forwarded-For: 11.0.0.1\r\n", "addr=11.0.0.1 ");
    facts("", "addr=127.0.0.1 host=h tls=0");
    harness_stop();
}

static void idle_connections_are_closed(void **state)
{
    (void)state;
    http_limits_t limits = harness_limits();
    limits.idle_timeout_ms = 500;
    start(limits);
    int fd = client_connect(harness.port), silent = client_connect(harness.port);
    client_send_text(fd, HELLO);
    expect(fd, 200, "hello");
    assert_true(client_is_closed(fd));
    assert_true(client_is_closed(silent));
    close(fd);
    close(silent);
    harness_stop();
}

static void strict_proxies_get_no_second_request_after_a_body(void **state)
{
    (void)state;
    http_limits_t limits = harness_limits();
    limits.is_proxy_strict = true;
    start(limits);
    int fd = client_connect(harness.port);
    client_send_text(fd, HELLO);
    expect(fd, 200, "hello");
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "0\r\n\r\nGET /hello HTTP/1.1\r\nHost: smuggled\r\n\r\n");
    client_answer_t answer = client_answer(fd, true);
    assert_int_equal(answer.status, 200);
    assert_true(client_head_has(&answer, "connection: close"));
    free(answer.body);
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    assert_int_equal(harness.requests, 2);
    close(fd);
    harness_stop();
}

static void on_drained(void *arg)
{
    (void)arg;
    atomic_store(&harness.is_drained, true);
}

static void drain_slowly(http_server_t *server)
{
    http_server_drain(server, 60000, on_drained, NULL);
}

static void drain_soon(http_server_t *server)
{
    http_server_drain(server, 200, on_drained, NULL);
}

static bool wait_drained(void)
{
    for (int i = 0; i < 60000 && !atomic_load(&harness.is_drained); i++)
        usleep(1000);
    return atomic_load(&harness.is_drained);
}

static void draining_finishes_what_is_under_way(void **state)
{
    (void)state;
    start(harness_limits());
    int busy = client_connect(harness.port), idle = client_connect(harness.port);
    client_send_text(idle, HELLO);
    expect(idle, 200, "hello");
    client_send_text(busy, "GET /when-told HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(harness_wait(&harness.requests, 2));
    harness_on_loop(drain_slowly);
    assert_true(client_is_closed(idle));
    assert_int_equal(client_connect(harness.port), -1);
    assert_false(atomic_load(&harness.is_drained));
    atomic_store(&harness.is_told, true);
    client_answer_t answer = client_answer(busy, true);
    assert_string_equal(answer.body, "later");
    assert_true(client_head_has(&answer, "connection: close"));
    free(answer.body);
    assert_true(wait_drained());
    assert_int_not_equal(access(harness.unix_path, F_OK), 0);
    close(busy);
    close(idle);
    harness_stop();
}

static void draining_ends_at_its_deadline(void **state)
{
    (void)state;
    start(harness_limits());
    int silent = client_connect(harness.port), full = client_connect(harness.port);
    client_send_text(silent, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    client_send_text(full, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(harness_wait(&harness.full_writes, 1));
    harness_on_loop(drain_soon);
    assert_true(wait_drained());
    assert_int_equal(harness_connections(), 0);
    assert_int_equal(harness.gone_streams, 2);
    close(silent);
    close(full);
    harness_stop();
}

static void with_nothing_to_do_draining_is_immediate(void **state)
{
    (void)state;
    start(harness_limits());
    harness_on_loop(drain_slowly);
    assert_true(wait_drained());
    harness_stop();
}

static http_limits_t changed;

static void change_limits(http_server_t *server)
{
    http_server_set_limits(server, &changed);
}

static void limits_may_change_while_it_runs(void **state)
{
    (void)state;
    start(harness_limits());
    char target[200];
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    target[199] = '\0';
    assert_int_equal(client_get(target), 200);
    changed = harness_limits();
    changed.url_max = 100;
    changed.body_max = 3;
    changed.trusted_proxies = STR("127.0.0.1");
    harness_on_loop(change_limits);
    assert_int_equal(client_get(target), 414);
    int fd = client_connect(harness.port);
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd");
    expect(fd, 413, NULL);
    close(fd);
    facts("X-Forwarded-For: 9.9.9.9\r\n", "addr=9.9.9.9 ");
    harness_stop();
}

static client_answer_t ask(const char *method, const char *path, const char *headers)
{
    int fd = client_connect(harness.port);
    char text[512];
    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path, headers);
    client_send_text(fd, text);
    client_answer_t answer = client_answer(fd, strcmp(method, "HEAD") != 0);
    assert_int_equal(answer.status, 200);
    close(fd);
    return answer;
}

static void text_is_gzipped_for_those_who_take_it(void **state)
{
    (void)state;
    static const struct {
        const char *path, *headers;
        bool is_zipped;
    } cases[] = {{"/text", "Accept-Encoding: br, gzip;q=0.5\r\n", true},
                 {"/text", "Accept-Encoding: *\r\n", true},
                 {"/text", "Accept-Encoding: gzip;q=0, *\r\n", false},
                 {"/text", "Accept-Encoding: identity\r\n", false},
                 {"/text", "", false},
                 {"/bytes", "Accept-Encoding: gzip\r\n", false},
                 {"/hello", "Accept-Encoding: gzip\r\n", false}};
    http_limits_t limits = harness_limits();
    limits.compress_min = 1000;
    start(limits);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client_answer_t answer = ask("GET", cases[i].path, cases[i].headers);
        assert_int_equal(client_head_has(&answer, "content-encoding: gzip"), cases[i].is_zipped);
        assert_int_equal(client_head_has(&answer, "vary: accept-encoding"),
                         strcmp(cases[i].path, "/text") == 0);
        if (cases[i].is_zipped) {
            static char plain[30000];
            z_stream stream = {.next_in = (Bytef *)answer.body,
                               .avail_in = (uInt)answer.body_len,
                               .next_out = (Bytef *)plain,
                               .avail_out = sizeof(plain)};
            assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
            assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
            assert_int_equal(stream.total_out, 20000);
            assert_memory_equal(plain + 19990, "wxyzabcdef", 10);
            inflateEnd(&stream);
            assert_true(answer.body_len < 2000);
        }
        free(answer.body);
    }
    client_answer_t answer = ask("HEAD", "/text", "Accept-Encoding: gzip\r\n");
    assert_true(client_head_has(&answer, "content-length: 20000"));
    harness_stop();
    start(harness_limits()); /* off unless asked for */
    answer = ask("GET", "/text", "Accept-Encoding: gzip\r\n");
    assert_int_equal(answer.body_len, 20000);
    free(answer.body);
    harness_stop();
}

/* --- TLS --- */

typedef struct {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
} tls_t;

static tls_t tls_connect(int version, const char *alpn)
{
    tls_t tls = {.context = SSL_CTX_new(TLS_client_method()), .fd = client_connect(harness.tls_port)};
    SSL_CTX_set_min_proto_version(tls.context, version);
    SSL_CTX_set_max_proto_version(tls.context, version);
    SSL_CTX_set_security_level(tls.context, 0);
    tls.ssl = SSL_new(tls.context);
    SSL_set_fd(tls.ssl, tls.fd);
    if (alpn != NULL)
        SSL_set_alpn_protos(tls.ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    return tls;
}

static void tls_close(tls_t *tls)
{
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    close(tls->fd);
}

/* Sends a request and returns the start of the answer as text. */
static const char *tls_ask(tls_t *tls, const char *request)
{
    static char text[4096];
    size_t len = 0;
    assert_int_equal(SSL_write(tls->ssl, request, (int)strlen(request)), (int)strlen(request));
    while (len < sizeof(text) - 1) {
        int got = SSL_read(tls->ssl, text + len, (int)(sizeof(text) - 1 - len));
        if (got <= 0)
            break;
        len += (size_t)got;
        text[len] = '\0';
        const char *body = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (body != NULL && length != NULL && strlen(body + 4) >= strtoul(length + 16, NULL, 10))
            break;
    }
    text[len] = '\0';
    return text;
}

static void tls_speaks_1_2_and_1_3_and_http_1_1_only(void **state)
{
    (void)state;
    make_certificate("first");
    http_limits_t limits = harness_limits();
    harness_start(&limits, cert_path, key_path);
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        tls_t tls = tls_connect(versions[i], "\x02h2\x08http/1.1");
        assert_int_equal(SSL_connect(tls.ssl), 1);
        const unsigned char *chosen;
        unsigned len;
        SSL_get0_alpn_selected(tls.ssl, &chosen, &len);
        assert_int_equal(len, 8);
        assert_memory_equal(chosen, "http/1.1", 8);
        assert_non_null(strstr(tls_ask(&tls, "GET /facts HTTP/1.1\r\nHost: h\r\n\r\n"), "host=h tls=1"));
        assert_non_null(strstr(tls_ask(&tls, HELLO), "\r\n\r\nhello"));
        assert_non_null(strstr(tls_ask(&tls, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n"), "\r\n\r\nlater"));
        SSL_shutdown(tls.ssl);
        tls_close(&tls);
    }
    tls_t only_h2 = tls_connect(TLS1_3_VERSION, "\x02h2");
    assert_int_equal(SSL_connect(only_h2.ssl), 1);
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(only_h2.ssl, &chosen, &len);
    assert_int_equal(len, 0);
    tls_close(&only_h2);
    tls_t old = tls_connect(TLS1_1_VERSION, NULL);
    assert_int_not_equal(SSL_connect(old.ssl), 1);
    tls_close(&old);
    int plain = client_connect(harness.tls_port);
    client_send_text(plain, HELLO);
    char byte;
    while (recv(plain, &byte, 1, 0) > 0)
        ;
    close(plain);
    assert_true(harness_wait_connections(0));
    harness_stop();
}

static void a_tls_client_that_leaves_is_noticed_and_large_streams_arrive(void **state)
{
    (void)state;
    make_certificate("second");
    http_limits_t limits = harness_limits();
    harness_start(&limits, cert_path, key_path);
    tls_t tls = tls_connect(TLS1_3_VERSION, NULL);
    assert_int_equal(SSL_connect(tls.ssl), 1);
    const char request[] = "GET /sized HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    SSL_write(tls.ssl, request, sizeof(request) - 1);
    usleep(100000);
    static char bytes[16384];
    size_t total = 0;
    int got;
    while ((got = SSL_read(tls.ssl, bytes, sizeof(bytes))) > 0)
        total += (size_t)got;
    assert_in_range(total, (6u << 20) + 1, (6u << 20) + 1000);
    tls_close(&tls);
    tls = tls_connect(TLS1_3_VERSION, NULL);
    assert_int_equal(SSL_connect(tls.ssl), 1);
    const char later[] = "GET /when-told HTTP/1.1\r\nHost: x\r\n\r\n";
    int before = atomic_load(&harness.disposed_requests);
    SSL_write(tls.ssl, later, sizeof(later) - 1);
    assert_true(harness_wait(&harness.requests, 2));
    SSL_shutdown(tls.ssl);
    tls_close(&tls);
    assert_true(harness_wait(&harness.disposed_requests, before + 1));
    assert_true(harness_wait(&harness.gone_requests, 1));
    harness_stop();
}

static const char *served_name(tls_t *tls)
{
    static char name[64];
    X509 *cert = SSL_get1_peer_certificate(tls->ssl);
    assert_non_null(cert);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
    X509_free(cert);
    return name;
}

static bool has_reload_failed;

static void reload(http_server_t *server)
{
    pool_t *errors = pool_create();
    has_reload_failed = http_server_reload_tls(server, errors) != NULL;
    pool_destroy(errors);
}

static void certificates_reload_for_new_connections_and_bad_ones_change_nothing(void **state)
{
    (void)state;
    make_certificate("before");
    http_limits_t limits = harness_limits();
    harness_start(&limits, cert_path, key_path);
    tls_t old = tls_connect(TLS1_3_VERSION, NULL);
    assert_int_equal(SSL_connect(old.ssl), 1);
    assert_string_equal(served_name(&old), "before");
    make_certificate("after");
    harness_on_loop(reload);
    assert_false(has_reload_failed);
    tls_t fresh = tls_connect(TLS1_3_VERSION, NULL);
    assert_int_equal(SSL_connect(fresh.ssl), 1);
    assert_string_equal(served_name(&fresh), "after");
    assert_non_null(strstr(tls_ask(&old, HELLO), "hello")); /* the old connection lives on */
    assert_int_equal(truncate(cert_path, 10), 0);
    harness_on_loop(reload);
    assert_true(has_reload_failed);
    tls_t still = tls_connect(TLS1_3_VERSION, NULL);
    assert_int_equal(SSL_connect(still.ssl), 1);
    assert_string_equal(served_name(&still), "after");
    tls_close(&old);
    tls_close(&fresh);
    tls_close(&still);
    harness_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_the_connection_limit_new_ones_wait_for_a_place),
        cmocka_unit_test(one_address_gets_its_share_and_no_more),
        cmocka_unit_test(too_few_descriptors_lower_the_limit),
        cmocka_unit_test(only_trusted_proxies_are_believed),
        cmocka_unit_test(idle_connections_are_closed),
        cmocka_unit_test(strict_proxies_get_no_second_request_after_a_body),
        cmocka_unit_test(draining_finishes_what_is_under_way),
        cmocka_unit_test(draining_ends_at_its_deadline),
        cmocka_unit_test(with_nothing_to_do_draining_is_immediate),
        cmocka_unit_test(limits_may_change_while_it_runs),
        cmocka_unit_test(text_is_gzipped_for_those_who_take_it),
        cmocka_unit_test(tls_speaks_1_2_and_1_3_and_http_1_1_only),
        cmocka_unit_test(a_tls_client_that_leaves_is_noticed_and_large_streams_arrive),
        cmocka_unit_test(certificates_reload_for_new_connections_and_bad_ones_change_nothing),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
