#include "http/ws_codec.h"
#include "http_harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define UPGRADE                                                                                              \
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                           \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

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

/* A client's frame: first byte, payload, masked with a fixed key. Returns its length. */
static size_t build(char *out, unsigned first, const void *payload, size_t len)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t head[WS_SERVER_HEAD_MAX];
    size_t head_len = ws_build_head(head, WS_OP_TEXT, len);
    head[0] = (uint8_t)first;
    head[1] |= 0x80;
    memcpy(out, head, head_len);
    memcpy(out + head_len, mask, 4);
    memcpy(out + head_len + 4, payload, len);
    ws_unmask(out + head_len + 4, len, mask);
    return head_len + 4 + len;
}

static void send_frame(int fd, unsigned first, const void *payload, size_t len)
{
    char *frame = malloc(len + 16);
    client_send(fd, frame, build(frame, first, payload, len));
    free(frame);
}

static void send_text(int fd, const char *text)
{
    send_frame(fd, 0x81, text, strlen(text));
}

/* Reads one server frame into `payload` (zero-ended); returns its first byte, 0 at the end of the stream. */
static unsigned read_frame(int fd, char *payload, size_t capacity, size_t *len)
{
    uint8_t head[10];
    if (client_read(fd, (char *)head, 2) != 2)
        return 0;
    assert_int_equal(head[1] & 0x80, 0); /* a server never masks */
    *len = head[1];
    size_t more = head[1] == 127 ? 8 : head[1] == 126 ? 2 : 0;
    if (more != 0) {
        *len = 0;
        client_read(fd, (char *)head + 2, more);
        for (size_t i = 0; i < more; i++)
            *len = *len << 8 | head[2 + i];
    }
    assert_true(*len < capacity);
    assert_int_equal(client_read(fd, payload, *len), *len);
    payload[*len] = '\0';
    return head[0];
}

static void expect_frame(int fd, unsigned first, const char *text)
{
    static char payload[200000];
    size_t len;
    assert_int_equal(read_frame(fd, payload, sizeof(payload), &len), first);
    assert_string_equal(payload, text);
}

static void expect_close(int fd, unsigned code)
{
    static char payload[200000];
    size_t len;
    unsigned first;
    while ((first = read_frame(fd, payload, sizeof(payload), &len)) != 0 && first != 0x88)
        ;
    assert_int_equal(first, 0x88);
    assert_in_range(len, 2, 125);
    assert_int_equal((uint8_t)payload[0] << 8 | (uint8_t)payload[1], code);
}

static int open_ws(void)
{
    int fd = client_connect(harness.port);
    client_send_text(fd, UPGRADE);
    client_answer_t answer = client_answer(fd, false);
    assert_int_equal(answer.status, 101);
    assert_true(
        client_head_has(&answer, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")); /* RFC 6455 1.3 */
    assert_true(client_head_has(&answer, "upgrade: websocket"));
    assert_true(client_head_has(&answer, "connection: upgrade"));
    return fd;
}

static void messages_come_back_in_order(void **state)
{
    (void)state;
    int fd = open_ws();
    send_text(fd, "one");
    send_text(fd, "");
    send_frame(fd, 0x82, "\xff\xfe", 2);
    expect_frame(fd, 0x81, "one");
    expect_frame(fd, 0x81, "");
    expect_frame(fd, 0x82, "\xff\xfe");
    static char big[70001];
    memset(big, 'x', 70000);
    send_text(fd, big);
    expect_frame(fd, 0x81, big);
    send_frame(fd, 0x88, "\x03\xe8", 2);
    expect_close(fd, 1000);
    assert_true(client_is_closed(fd));
    close(fd);
    assert_true(harness_wait(&harness.ws_closed, 1));
    assert_int_equal(harness.ws_close_code, 1000);
    assert_true(harness_wait_connections(0));
    assert_int_equal(harness.disposed_requests, harness.requests);
}

static void frames_that_come_with_the_request_are_not_lost(void **state)
{
    (void)state;
    char bytes[512];
    size_t len = sizeof(UPGRADE) - 1;
    memcpy(bytes, UPGRADE, len);
    len += build(bytes + len, 0x81, "early", 5);
    len += build(bytes + len, 0x81, "bird", 4);
    int fd = client_connect(harness.port);
    client_send(fd, bytes, len - 2);
    client_answer_t answer = client_answer(fd, false);
    assert_int_equal(answer.status, 101);
    expect_frame(fd, 0x81, "early");
    client_send(fd, bytes + len - 2, 2);
    expect_frame(fd, 0x81, "bird");
    close(fd);
    assert_true(harness_wait(&harness.ws_closed, 1));
    assert_int_equal(harness.ws_close_code, 1006);
}

static void fragments_are_joined_and_pings_may_come_between(void **state)
{
    (void)state;
    int fd = open_ws();
    send_frame(fd, 0x01, "a\xe2\x82", 3); /* the euro sign is cut in two */
    send_frame(fd, 0x89, "ping", 4);
    expect_frame(fd, 0x8a, "ping");
    send_frame(fd, 0x00, "\xac", 1);
    send_frame(fd, 0x8a, "unasked", 7);
    send_frame(fd, 0x80, "z", 1);
    expect_frame(fd, 0x81,
                 "a\xe2\x82\xac"
                 "z");
    char byte_wise[64];
    size_t len = build(byte_wise, 0x81, "slow", 4);
    for (size_t i = 0; i < len; i++) {
        client_send(fd, byte_wise + i, 1);
        usleep(500);
    }
    expect_frame(fd, 0x81, "slow");
    assert_int_equal(harness.ws_messages, 2);
    close(fd);
}

typedef struct {
    const char *bytes;
    size_t len;
    unsigned code;
} bad_t;

#define BAD(text, code)                                                                                      \
    {                                                                                                        \
        text, sizeof(text) - 1, code                                                                         \
    }

static void broken_frames_close_with_the_code_of_the_rfc(void **state)
{
    (void)state;
    static const bad_t bad[] = {
        BAD("\x81\x03"
            "abc",
            1002),                                     /* no mask */
        BAD("\xc1\x80\0\0\0\0", 1002),                 /* reserved bit */
        BAD("\x83\x80\0\0\0\0", 1002),                 /* unknown opcode */
        BAD("\x8b\x80\0\0\0\0", 1002),                 /* unknown control opcode */
        BAD("\x80\x80\0\0\0\0", 1002),                 /* continuation of nothing */
        BAD("\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 1002), /* new message inside a message */
        BAD("\x09\x80\0\0\0\0", 1002),                 /* fragmented ping */
        BAD("\x89\xfe\0\x80\0\0\0\0", 1002),           /* long ping */
        BAD("\x81\xfe\0\x05\0\0\0\0", 1002),           /* length not in its shortest form */
        BAD("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 1002),
        BAD("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002), /* negative length */
        BAD("\x81\xff\0\0\0\0\x40\0\0\0\0\0\0\0", 1009), /* 1 GiB */
        BAD("\x81\x82\0\0\0\0\xc0\x80", 1007),           /* overlong */
        BAD("\x81\x83\0\0\0\0\xed\xa0\x80", 1007),       /* surrogate */
        BAD("\x88\x81\0\0\0\0x", 1002),                  /* half a code */
        BAD("\x88\x82\0\0\0\0\x03\xed", 1002),           /* 1005 must not be sent */
        BAD("\x88\x83\0\0\0\0\x03\xe8\xff", 1007),
        BAD("\x88\x82\0\0\0\0\x0f\xa0", 4000), /* an honest one */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = open_ws();
        client_send(fd, bad[i].bytes, bad[i].len);
        expect_close(fd, bad[i].code);
        assert_true(client_is_closed(fd));
        close(fd);
        assert_true(harness_wait(&harness.ws_closed, (int)i + 1));
        assert_int_equal(harness.ws_close_code, bad[i].code);
    }
    assert_int_equal(harness.ws_messages, 0);
}

static void an_empty_close_is_echoed_empty(void **state)
{
    (void)state;
    int fd = open_ws();
    send_frame(fd, 0x88, "", 0);
    expect_frame(fd, 0x88, "");
    assert_true(client_is_closed(fd));
    close(fd);
    assert_true(harness_wait(&harness.ws_closed, 1));
    assert_int_equal(harness.ws_close_code, 1005);
}

static void the_message_cap_holds_to_the_byte_also_over_fragments(void **state)
{
    (void)state;
    static char bytes[100002];
    memset(bytes, 'y', 100001);
    int fd = open_ws();
    send_frame(fd, 0x01, bytes, 60000);
    send_frame(fd, 0x80, bytes, 40000);
    static char payload[200000];
    size_t len;
    assert_int_equal(read_frame(fd, payload, sizeof(payload), &len), 0x81);
    assert_int_equal(len, 100000);
    send_frame(fd, 0x01, bytes, 60000);
    send_frame(fd, 0x00, bytes, 40000);
    send_frame(fd, 0x80, bytes, 1);
    expect_close(fd, 1009);
    close(fd);
    fd = open_ws();
    send_frame(fd, 0x82, bytes, 100001); /* sent to its end although it is refused at its head */
    expect_close(fd, 1009);
    close(fd);
    assert_true(harness_wait_connections(0));
}

static void *send_pings(void *arg)
{
    int fd = *(int *)arg;
    static char pings[131 * 1000];
    static char filler[125];
    size_t len = 0;
    for (int i = 0; i < 1000; i++)
        len += build(pings + len, 0x89, filler, sizeof(filler));
    for (int i = 0; i < 100; i++)
        client_send(fd, pings, len);
    send_text(fd, "still there");
    return NULL;
}

static void a_flood_of_pings_without_reading_costs_no_memory(void **state)
{
    (void)state;
    int fd = open_ws();
    pthread_t sender;
    pthread_create(&sender, NULL, send_pings, &fd);
    usleep(300000); /* nothing is read: it comes to a standstill */
    static char payload[1000];
    unsigned first;
    size_t len, pongs = 0;
    while ((first = read_frame(fd, payload, sizeof(payload), &len)) == 0x8a)
        pongs++;
    assert_int_equal(first, 0x81);
    assert_string_equal(payload, "still there");
    pthread_join(sender, NULL);
    assert_true(pongs > 0);
    close(fd);
}

static void a_socket_that_does_not_read_is_closed_at_its_bound(void **state)
{
    (void)state;
    int fd = open_ws();
    send_text(fd, "flood"); /* 20 MB of frames for us */
    assert_true(harness_wait(&harness.ws_closed, 1));
    assert_int_equal(harness.ws_close_code, 1013);
    assert_in_range(atomic_load(&harness.largest_queue), 900000, 1000000);
    assert_true(harness_wait_connections(0));
    close(fd);
}

static void the_server_closes_with_its_code_and_sends_nothing_after(void **state)
{
    (void)state;
    int fd = open_ws();
    send_text(fd, "close");
    static char payload[200];
    size_t len;
    assert_int_equal(read_frame(fd, payload, sizeof(payload), &len), 0x88);
    assert_memory_equal(payload,
                        "\x0f\xa1"
                        "as asked",
                        10);
    send_text(fd, "ignored");
    send_frame(fd, 0x88, payload, 2);
    assert_true(client_is_closed(fd));
    close(fd);
    assert_true(harness_wait(&harness.ws_closed, 1));
    assert_int_equal(harness.ws_close_code, 4001);
    assert_int_equal(harness.ws_messages, 1);
}

static void a_peer_that_never_answers_the_close_is_dropped(void **state)
{
    (void)state;
    int fd = open_ws();
    send_text(fd, "close");
    assert_true(harness_wait(&harness.ws_closed, 1)); /* after three seconds */
    assert_true(harness_wait_connections(0));
    close(fd);
}

static void silence_ends_the_socket_but_frames_keep_it(void **state)
{
    (void)state;
    int fd = open_ws();
    for (int i = 0; i < 5; i++) {
        usleep(600000);
        send_frame(fd, 0x8a, "", 0);
    }
    assert_int_equal(harness.ws_closed, 0);
    expect_close(fd, 1000);
    send_frame(fd, 0x88, "\x03\xe8", 2);
    assert_true(client_is_closed(fd));
    close(fd);
}

static int try_upgrade(const char *head)
{
    int fd = client_connect(harness.port);
    client_send_text(fd, head);
    client_answer_t answer = client_answer(fd, true);
    if (answer.status == 426)
        assert_true(client_head_has(&answer, "sec-websocket-version: 13"));
    free(answer.body);
    close(fd);
    return answer.status;
}

static void bad_upgrades_are_answered(void **state)
{
    (void)state;
#define GET "GET /ws HTTP/1.1\r\nHost: x\r\n"
#define UP "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    assert_int_equal(try_upgrade(GET "\r\n"), 426);
    assert_int_equal(try_upgrade(GET UP KEY "Sec-WebSocket-Version: 8\r\n\r\n"), 426);
    assert_int_equal(try_upgrade(GET UP KEY "\r\n"), 426);
    assert_int_equal(try_upgrade(GET UP "Sec-WebSocket-Version: 13\r\n\r\n"), 400);
    assert_int_equal(
        try_upgrade(GET UP "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"), 400);
    assert_int_equal(
        try_upgrade(GET UP
                    "Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
        400);
    assert_int_equal(
        try_upgrade("POST /ws HTTP/1.1\r\nHost: x\r\n" UP KEY "Sec-WebSocket-Version: 13\r\n\r\n"), 400);
    assert_int_equal(
        try_upgrade("GET /ws HTTP/1.0\r\nHost: x\r\n" UP KEY "Sec-WebSocket-Version: 13\r\n\r\n"), 400);
    assert_int_equal(try_upgrade(GET UP KEY "Sec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nhi"), 400);
    assert_int_equal(try_upgrade(GET UP KEY "Sec-WebSocket-Version: 13\r\n\r\n"), 101);
    assert_true(harness_wait_connections(0));
    assert_int_equal(harness.disposed_requests, harness.requests);
}

static void mutated_frames_never_hurt(void **state)
{
    (void)state;
    uint32_t seed = 20260101;
    for (int round = 0; round < 200; round++) {
        int fd = open_ws();
        char bytes[600];
        size_t len = 0;
        for (int i = 0; i < 4; i++)
            len += build(bytes + len, i % 2 != 0 ? 0x01 : 0x80, "some payload of a message", 20 + (size_t)i);
        for (int i = 0; i < 6; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[(seed >> 8) % len] = (char)(seed >> 24);
        }
        client_send(fd, bytes, len);
        close(fd);
    }
    assert_true(harness_wait_connections(0));
    assert_int_equal(harness.ws_closed, 200);
}

static void on_drained(void *arg)
{
    (void)arg;
    atomic_store(&harness.is_drained, true);
}

static void drain(http_server_t *server)
{
    http_server_drain(server, 5000, on_drained, NULL);
}

static void draining_says_goodbye(void **state)
{
    (void)state;
    int fd = open_ws();
    harness_on_loop(drain);
    expect_frame(fd, 0x81, "goodbye");
    expect_close(fd, 1001);
    send_frame(fd, 0x88, "\x03\xe9", 2);
    assert_true(client_is_closed(fd));
    close(fd);
    for (int i = 0; i < 60000 && !atomic_load(&harness.is_drained); i++)
        usleep(1000);
    assert_true(harness.is_drained);
    assert_int_equal(harness.ws_drained, 1);
}

static void stopping_with_open_sockets_tells_each(void **state)
{
    (void)state;
    http_limits_t limits = harness_limits();
    harness_start(&limits, NULL, NULL);
    int a = open_ws(), b = client_connect(harness.port);
    client_send_text(b, UPGRADE);
    harness_stop();
    close(a);
    close(b);
    assert_true(harness.ws_closed >= 1);
    assert_int_equal(harness.disposed_requests, harness.requests);
}

int main(void)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        SCENE(messages_come_back_in_order),
        SCENE(frames_that_come_with_the_request_are_not_lost),
        SCENE(fragments_are_joined_and_pings_may_come_between),
        SCENE(broken_frames_close_with_the_code_of_the_rfc),
        SCENE(an_empty_close_is_echoed_empty),
        SCENE(the_message_cap_holds_to_the_byte_also_over_fragments),
        SCENE(a_flood_of_pings_without_reading_costs_no_memory),
        SCENE(a_socket_that_does_not_read_is_closed_at_its_bound),
        SCENE(the_server_closes_with_its_code_and_sends_nothing_after),
        SCENE(a_peer_that_never_answers_the_close_is_dropped),
        SCENE(silence_ends_the_socket_but_frames_keep_it),
        SCENE(bad_upgrades_are_answered),
        SCENE(mutated_frames_never_hurt),
        SCENE(draining_says_goodbye),
        cmocka_unit_test(stopping_with_open_sockets_tells_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
