#include "http_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    http_limits_t limits = harness_limits();
    harness_start(&limits, NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_stop();
    return 0;
}

static void expect(int fd, int status, const char *body)
{
    client_answer_t answer = client_answer(fd, true);
    assert_int_equal(answer.status, status);
    assert_true(answer.is_complete);
    if (body != NULL)
        assert_string_equal(answer.body, body);
    free(answer.body);
}

static void a_connection_serves_many_requests_and_pipelines_keep_their_order(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    for (int i = 0; i < 3; i++) {
        client_send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd, 200, "hello");
    }
    client_send_text(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /empty HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\n"
                         "Content-Length: 3\r\n\r\nabcGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "later");
    expect(fd, 200, "hello");
    expect(fd, 204, NULL);
    expect(fd, 200, "abc");
    expect(fd, 200, "hello");
    assert_int_equal(harness_connections(), 1);
    close(fd);
    assert_true(harness_wait_connections(0));
    assert_int_equal(harness.disposed_requests, harness.requests);
}

static void ten_thousand_pipelined_requests_are_all_answered(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    const char request[] = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = client_connect(harness.port);
    if (fork() == 0) {
        for (int i = 0; i < COUNT; i++)
            client_send_text(fd, request);
        _exit(0);
    }
    for (int i = 0; i < COUNT; i++)
        expect(fd, 200, "hello");
    close(fd);
}

static void the_request_is_seen_as_it_was_sent(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(
        fd, "POST /a%2Fb/../c?x=%20&y HTTP/1.1\r\nHost: here:80\r\nX-Test:  v  \r\nContent-Length: 2\r\n"
            "X-Forwarded-For: 9.9.9.9\r\n\r\nhi");
    expect(fd, 200,
           "method=POST path=/a%2Fb/../c query=x=%20&y addr=127.0.0.1 host=here:80 tls=0 body=2 x=v");
    client_send_text(fd, "GET http://other/p HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(fd, 200, "method=GET path=/p query=(none) addr=127.0.0.1 host=h tls=0 body=0 x=");
    client_send_text(fd, "GET /p? HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(fd, 200, "method=GET path=/p query= addr=127.0.0.1 host=h tls=0 body=0 x=");
    close(fd);
}

static void chunked_bodies_arrive_whole(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(fd,
                     "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    usleep(20000);
    client_send_text(fd, "6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
    expect(fd, 200, "hello world");
    close(fd);
    fd = client_connect(harness.port);
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    client_answer_t answer = client_answer(fd, true);
    assert_int_equal(answer.status, 400);
    assert_true(client_head_has(&answer, "access-control-allow-origin: *"));
    assert_non_null(strstr(answer.body, "\"message\":\"Bad Request\""));
    free(answer.body);
    close(fd);
}

/* Readers differ over junk behind a chunk's size. */
static void nothing_follows_a_chunked_body(void **state)
{
    (void)state;
    static const char *const BODIES[] = {"0\r\n\r\n", "0x10\r\n\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n"};
    for (size_t i = 0; i < sizeof(BODIES) / sizeof(BODIES[0]); i++) {
        int fd = client_connect(harness.port), before = harness.requests;
        client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        client_send_text(fd, BODIES[i]);
        client_send_text(fd, "GET /hello HTTP/1.1\r\nHost: smuggled\r\n\r\n");
        client_answer_t answer = client_answer(fd, true);
        assert_true(client_head_has(&answer, "connection: close"));
        free(answer.body);
        assert_true(client_is_closed(fd));
        assert_true(harness.requests <= before + 1);
        close(fd);
    }
}

static void heads_without_an_end_are_not_waited_for(void **state)
{
    (void)state;
    static char text[70000] = "GET /hello HTTP/1.1\r\nHost: x\r\nX: ";
    memset(text + strlen(text), 'a', sizeof(text) - 1 - strlen(text));
    int fd = client_connect(harness.port), body = client_connect(harness.port);
    client_send_text(body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n");
    client_send_text(body, text);
    client_send_text(fd, text);
    assert_true(client_is_closed(fd));
    client_send_text(body, "a"); /* a body of that size is no head */
    client_answer_t answer = client_answer(body, true);
    assert_int_equal(answer.status, 200);
    free(answer.body);
    close(fd);
    close(body);
}

static void expect_continue_is_answered(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(fd,
                     "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    char text[64] = "";
    client_read(fd, text, 25);
    assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send_text(fd, "ok");
    expect(fd, 200, "ok");
    close(fd);
}

static void too_large_a_body_gets_413_even_while_it_is_sent(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
    char *waste = calloc(1, 1000000);
    for (int i = 0; i < 3; i++)
        client_send(fd, waste, 1000000);
    client_answer_t answer = client_answer(fd, true);
    assert_int_equal(answer.status, 413);
    assert_true(client_head_has(&answer, "content-type: application/json; charset=utf-8"));
    assert_true(client_head_has(&answer, "connection: close"));
    assert_non_null(strstr(answer.body, "\"code\":\"413\""));
    free(answer.body);
    assert_true(client_is_closed(fd));
    close(fd);
    fd = client_connect(harness.port);
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n");
    client_send(fd, waste, 200000);
    client_send_text(fd, "\r\n0\r\n\r\n");
    expect(fd, 413, NULL);
    close(fd);
    fd = client_connect(harness.port); /* exactly the limit */
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    client_send(fd, waste, 100000);
    expect(fd, 200, NULL);
    close(fd);
    free(waste);
    assert_int_equal(harness.requests, 1);
    assert_true(harness_wait_connections(0));
}

static void long_urls_and_heads_are_refused(void **state)
{
    (void)state;
    char target[2100];
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    target[2000] = '\0';
    assert_int_equal(client_get(target), 200);
    target[2000] = 'a';
    target[2001] = '\0';
    assert_int_equal(client_get(target), 414);
    int fd = client_connect(harness.port);
    client_send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n");
    memset(target, 'b', sizeof(target));
    memcpy(target, "X-Long: ", 8);
    memcpy(target + 2000, "\r\n", 3);
    for (int i = 0; i < 33; i++)
        client_send_text(fd, target);
    client_send_text(fd, "\r\n");
    expect(fd, 431, NULL);
    close(fd);
}

static void garbage_gets_400_and_the_connection_ends(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(fd, "\x16\x03\x01 what is this\r\n\r\n");
    expect(fd, 400, NULL);
    assert_true(client_is_closed(fd));
    close(fd);
    fd = client_connect(harness.port);
    client_send_text(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); /* HTTP/2 is not spoken */
    client_answer_t answer = client_answer(fd, true);
    assert_int_not_equal(answer.status, 0);
    free(answer.body);
    close(fd);
    fd = client_connect(harness.port);
    client_send_text(
        fd, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
    expect(fd, 200, "hello");
    close(fd);
}

static int status_of(const char *bytes)
{
    int fd = client_connect(harness.port);
    client_send_text(fd, bytes);
    client_answer_t answer = client_answer(fd, true);
    if (answer.status == 400) {
        assert_true(client_head_has(&answer, "connection: close"));
        assert_true(client_is_closed(fd));
    }
    free(answer.body);
    close(fd);
    return answer.status;
}

static void requests_that_a_proxy_may_read_otherwise_are_refused(void **state)
{
    (void)state;
#define POST "POST /echo HTTP/1.1\r\nHost: x\r\n"
    static const char *const bad[] = {
        POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "transfer-encoding: chunked\r\nCONTENT-LENGTH: 3\r\n\r\n0\r\n\r\n",
        POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: x\n\n",
        "GET /hello HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: b\r\n folded\r\n\r\n",
        POST "Content-Length: +3\r\n\r\nabc",
        POST "Content-Length: 3, 3\r\n\r\nabc",
        POST "Content-Length : 3\r\n\r\nabc",
        POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST "Content-Length: 99999999999999999999\r\n\r\nabc",
        POST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (status_of(bad[i]) != 400)
            fail_msg("accepted: %s", bad[i]);
    static const char *const good[] = {
        "\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /hello HTTP/1.0\r\n\r\n",
        POST "Content-Length: 3\r\nX-Content-Length: 4\r\nX-Host: y\r\n\r\nabc",
        POST "Transfer-Encoding: CHUNKED\r\n\r\n3\r\n\nx\n\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(status_of(good[i]), 200);
}

static void slow_heads_and_slow_bodies_are_cut(void **state)
{
    (void)state;
    int head = client_connect(harness.port), body = client_connect(harness.port);
    client_send_text(head, "GET /hello HTT");
    client_send_text(body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    assert_true(client_is_closed(head));
    assert_true(client_is_closed(body));
    close(head);
    close(body);
    assert_int_equal(harness.requests, 0);
}

static void a_client_that_leaves_ends_its_request(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(fd, "GET /when-told HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(harness_wait(&harness.requests, 1));
    close(fd);
    assert_true(harness_wait(&harness.disposed_requests, 1));
    assert_true(harness_wait(&harness.gone_requests, 1));
    assert_true(harness_wait_connections(0));
    fd = client_connect(harness.port); /* a reset instead of a goodbye, with the next request already sent */
    client_send_text(fd, "GET /when-told HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(harness_wait(&harness.requests, 2));
    struct linger hard = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    assert_true(harness_wait_connections(0));
    assert_int_equal(harness.disposed_requests, harness.requests);
    assert_true(harness_wait(&harness.gone_requests, 2));
}

static void a_client_that_leaves_ends_its_stream(void **state)
{
    (void)state;
    int silent = client_connect(harness.port), full = client_connect(harness.port);
    client_send_text(silent, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    char text[16];
    assert_int_equal(client_read(silent, text, 15), 15); /* the head comes before any byte of the body */
    assert_memory_equal(text, "HTTP/1.1 200 OK", 15);
    client_send_text(full, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(harness_wait(&harness.full_writes, 1));
    close(silent);
    assert_true(harness_wait(&harness.gone_streams, 1));
    close(full);
    assert_true(harness_wait(&harness.gone_streams, 2));
    silent = client_connect(harness.port); /* the next request lies before the end of the stream */
    client_send_text(silent, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(harness_wait(&harness.requests, 3));
    client_send_text(silent, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(50000);
    close(silent);
    assert_true(harness_wait(&harness.gone_streams, 3));
    assert_true(harness_wait_connections(0));
    assert_int_equal(harness.disposed_requests, harness.requests);
}

static void check_stream(const char *target, bool is_chunked)
{
    int fd = client_connect(harness.port);
    char request[128];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    client_send_text(fd, request);
    usleep(100000); /* let it run full */
    client_answer_t answer = client_answer(fd, true);
    assert_int_equal(answer.status, 201);
    assert_true(answer.is_complete);
    assert_int_equal(client_head_has(&answer, "transfer-encoding: chunked"), is_chunked);
    assert_true(client_head_has(&answer, "connection: keep-alive"));
    assert_true(client_head_has(&answer, "x-status-seen: 201"));
    assert_int_equal(answer.body_len, 6u << 20);
    for (size_t i = 0; i < answer.body_len; i++)
        if (answer.body[i] != (char)('a' + i % 26))
            fail_msg("byte %zu is wrong", i);
    free(answer.body);
    client_send_text(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "hello");
    close(fd);
}

static void streams_hold_back_their_producer_and_arrive_whole(void **state)
{
    (void)state;
    check_stream("/stream", true);
    assert_true(harness.full_writes > 0);
    assert_int_equal(harness.full_writes, harness.drained_streams);
    check_stream("/sized", false);
    check_stream("/chain", false);
    assert_int_equal(harness.gone_streams, 0);
}

static void streams_work_for_old_clients_and_head(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(fd, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\nHEAD /sized HTTP/1.1\r\nHost: x\r\n\r\n"
                         "HEAD /chain HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    client_answer_t answer = client_answer(fd, false);
    assert_int_equal(answer.status, 201);
    answer = client_answer(fd, false);
    assert_true(client_head_has(&answer, "content-length: 6291456"));
    answer = client_answer(fd, false);
    assert_true(client_head_has(&answer, "content-length: 6291456"));
    expect(fd, 200, "hello");
    close(fd);
    fd = client_connect(harness.port);
    client_send_text(fd, "GET /stream HTTP/1.0\r\nHost: x\r\n\r\n");
    answer = client_answer(fd, false);
    assert_true(client_head_has(&answer, "connection: close"));
    assert_false(client_head_has(&answer, "transfer-encoding: chunked"));
    char *body = malloc(7u << 20);
    assert_int_equal(client_read(fd, body, 7u << 20), 6u << 20);
    free(body);
    close(fd);
}

static void a_broken_answer_is_recognisable(void **state)
{
    (void)state;
    static const char *const targets[] = {"/broken", "/short"};
    for (int i = 0; i < 2; i++) {
        int fd = client_connect(harness.port);
        char request[128];
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
        client_send_text(fd, request);
        client_answer_t answer = client_answer(fd, true);
        assert_int_equal(answer.status, 200);
        assert_false(answer.is_complete);
        free(answer.body);
        assert_true(client_is_closed(fd));
        close(fd);
    }
}

static void answers_carry_sound_heads(void **state)
{
    (void)state;
    int fd = client_connect(harness.port);
    client_send_text(fd, "GET /headers HTTP/1.1\r\nHost: x\r\n\r\n");
    client_answer_t answer = client_answer(fd, true);
    assert_string_equal(answer.body, "headers");
    assert_true(client_head_has(&answer, "X-Good: one"));
    assert_true(client_head_has(&answer, "x-good: two"));
    assert_true(client_head_has(&answer, "x-only: second"));
    assert_false(client_head_has(&answer, "x-only: first"));
    assert_true(client_head_has(&answer, "x-status-seen: 200"));
    assert_null(strcasestr(answer.head, "injected"));
    assert_null(strcasestr(answer.head, "bad name"));
    assert_null(strcasestr(answer.head, "\r\nserver:"));
    assert_true(client_head_has(&answer, "content-length: 7"));
    free(answer.body);
    client_send_text(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /unchanged HTTP/1.1\r\nHost: x\r\n\r\n");
    answer = client_answer(fd, false);
    assert_true(client_head_has(&answer, "content-length: 5"));
    answer = client_answer(fd, true);
    assert_int_equal(answer.status, 304);
    assert_null(strcasestr(answer.head, "content-length"));
    client_send_text(fd, "GET /twice HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.0\r\n\r\n");
    expect(fd, 200, "first");
    answer = client_answer(fd, true);
    assert_true(client_head_has(&answer, "connection: close"));
    free(answer.body);
    assert_true(client_is_closed(fd));
    close(fd);
}

static void the_unix_socket_serves_and_is_private_to_its_group(void **state)
{
    (void)state;
    struct stat info;
    assert_int_equal(stat(harness.unix_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0660);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strcpy(addr.sun_path, harness.unix_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    client_send_text(fd, "GET /facts HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(fd, 200, "method=GET path=/facts query=(none) addr=unix host=h tls=0 body=0 x=");
    close(fd);
}

static void a_taken_port_is_an_error_that_says_so(void **state)
{
    (void)state;
    loop_t *loop = loop_create();
    http_limits_t limits = harness_limits();
    http_server_t *server = http_server_create(loop, &limits);
    pool_t *errors = pool_create();
    http_listen_t listen = {.host = STR("127.0.0.1"), .port = harness.port};
    err_t *err = http_server_listen(server, errors, &listen, NULL);
    assert_non_null(err);
    assert_int_not_equal(str_find(err->message, STR("Address already in use"), 0), SIZE_MAX);
    listen = (http_listen_t){.host = STR("127.0.0.1"), .tls_cert = STR("/nonexistent"), .tls_key = STR("/x")};
    err = http_server_listen(server, errors, &listen, NULL);
    assert_non_null(err);
    assert_int_not_equal(str_find(err->message, STR("/nonexistent"), 0), SIZE_MAX);
    pool_destroy(errors);
    http_server_destroy(server);
    loop_destroy(loop);
}

int main(void)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        SCENE(a_connection_serves_many_requests_and_pipelines_keep_their_order),
        SCENE(ten_thousand_pipelined_requests_are_all_answered),
        SCENE(the_request_is_seen_as_it_was_sent),
        SCENE(chunked_bodies_arrive_whole),
        SCENE(nothing_follows_a_chunked_body),
        SCENE(heads_without_an_end_are_not_waited_for),
        SCENE(expect_continue_is_answered),
        SCENE(too_large_a_body_gets_413_even_while_it_is_sent),
        SCENE(long_urls_and_heads_are_refused),
        SCENE(garbage_gets_400_and_the_connection_ends),
        SCENE(requests_that_a_proxy_may_read_otherwise_are_refused),
        SCENE(slow_heads_and_slow_bodies_are_cut),
        SCENE(a_client_that_leaves_ends_its_request),
        SCENE(a_client_that_leaves_ends_its_stream),
        SCENE(streams_hold_back_their_producer_and_arrive_whole),
        SCENE(streams_work_for_old_clients_and_head),
        SCENE(a_broken_answer_is_recognisable),
        SCENE(answers_carry_sound_heads),
        SCENE(the_unix_socket_serves_and_is_private_to_its_group),
        SCENE(a_taken_port_is_an_error_that_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
