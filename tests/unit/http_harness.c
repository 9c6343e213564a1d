#include "http_harness.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define STREAM_TOTAL (6u << 20)
#define STREAM_PIECE 10000

harness_t harness;

/* libh2o keeps recycled chunks per thread and does not free them when a thread ends; the gateway's loop
 * thread lives as long as the process. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}

static loop_t *loop;
static http_server_t *server;
static pthread_t thread;
static atomic_int laters; /* timers of handlers that answer later */

/* --- handlers --- */

typedef struct {
    http_handle_t *handle;
    loop_timer_t timer;
} later_t;

static void on_later(void *arg)
{
    later_t *later = arg;
    http_request_t *request = http_handle_get(later->handle);
    if (request != NULL)
        http_send(request, 200, STR("text/plain"), STR("later"));
    else
        atomic_fetch_add(&harness.gone_requests, 1);
    assert(http_handle_get(later->handle) == NULL);
    http_handle_release(later->handle);
    free(later);
    atomic_fetch_sub(&laters, 1);
}

/* Answers once it is told to, or the client has gone. */
static void on_look(void *arg)
{
    later_t *later = arg;
    if (http_handle_get(later->handle) != NULL && !atomic_load(&harness.is_told))
        loop_timer_start(loop, &later->timer, 20, on_look, later);
    else
        on_later(later);
}

static void answer_later(http_request_t *request, int delay_ms, void (*on_timer)(void *arg))
{
    later_t *later = calloc(1, sizeof(*later));
    atomic_fetch_add(&laters, 1);
    later->handle = http_handle_create(request);
    http_handle_release(http_handle_create(request)); /* a second one does no harm */
    loop_timer_start(loop, &later->timer, delay_ms, on_timer, later);
}

typedef struct {
    http_stream_t *stream;
    size_t sent;
} producer_t;

static void on_stream_gone(void *arg)
{
    atomic_fetch_add(&harness.gone_streams, 1);
    free(arg);
}

static void produce(void *arg)
{
    producer_t *producer = arg;
    char piece[STREAM_PIECE];
    while (producer->sent < STREAM_TOTAL) {
        size_t len =
            STREAM_TOTAL - producer->sent < sizeof(piece) ? STREAM_TOTAL - producer->sent : sizeof(piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = (char)('a' + (producer->sent + i) % 26);
        producer->sent += len;
        if (!http_stream_write(producer->stream, str_make(piece, len))) {
            atomic_fetch_add(&harness.full_writes, 1);
            return;
        }
    }
    http_stream_end(producer->stream);
    free(producer);
}

static void on_drain(void *arg)
{
    atomic_fetch_add(&harness.drained_streams, 1);
    produce(arg);
}

static void begin_stream(http_request_t *request, int64_t length)
{
    producer_t *producer = calloc(1, sizeof(*producer));
    producer->stream = http_stream_begin(request, 201, STR("text/plain"), length, on_stream_gone, producer);
    http_stream_on_drain(producer->stream, on_drain, producer);
    produce(producer);
}

static void clear_chain(void *arg)
{
    chain_clear(arg);
}

static void send_chain(http_request_t *request)
{
    chain_t *body = POOL_NEW(http_pool(request), chain_t);
    pool_on_dispose(http_pool(request), clear_chain, body);
    for (size_t i = 0; i < STREAM_TOTAL; i++)
        buf_append_char(chain_tail(body), (char)('a' + i % 26));
    http_send_chain(request, 201, STR("text/plain"), body);
}

static void begin_silent_stream(http_request_t *request)
{
    producer_t *producer = calloc(1, sizeof(*producer));
    producer->stream =
        http_stream_begin(request, 200, STR("text/event-stream"), -1, on_stream_gone, producer);
}

static void begin_broken_stream(http_request_t *request, bool is_short)
{
    http_stream_t *stream =
        http_stream_begin(request, 200, STR("text/plain"), is_short ? 100 : -1, NULL, NULL);
    http_stream_write(stream, STR("some bytes"));
    if (is_short)
        http_stream_end(stream);
    else
        http_stream_abort(stream);
}

static void on_ws_message(void *arg, ws_t *ws, bool is_text, str_t bytes)
{
    (void)arg;
    atomic_fetch_add(&harness.ws_messages, 1);
    if (str_eq(bytes, STR("close"))) {
        ws_close(ws, 4001, STR("as asked"));
        ws_send(ws, true, STR("dropped"));
        return;
    }
    if (str_eq(bytes, STR("flood"))) {
        char *big = calloc(1, 100000);
        ws_frame_t *frame = ws_frame_create(false, str_make(big, 100000));
        for (int i = 0; i < 200; i++) {
            ws_send_frame(ws, frame);
            if ((long)ws_queued_bytes(ws) > atomic_load(&harness.largest_queue))
                atomic_store(&harness.largest_queue, (long)ws_queued_bytes(ws));
        }
        ws_frame_unref(frame);
        free(big);
        return;
    }
    ws_send(ws, is_text, bytes);
}

static void on_ws_closed(void *arg, uint16_t code)
{
    (void)arg;
    atomic_store(&harness.ws_close_code, code);
    atomic_fetch_add(&harness.ws_closed, 1);
}

static void on_ws_drain(void *arg, ws_t *ws)
{
    (void)arg;
    atomic_fetch_add(&harness.ws_drained, 1);
    ws_send(ws, true, STR("goodbye"));
    ws_close(ws, 1001, STR("shutting down"));
}

static void on_disposed(void *arg)
{
    (void)arg;
    atomic_fetch_add(&harness.disposed_requests, 1);
}

static void on_respond(void *arg, http_request_t *request, int status)
{
    (void)arg;
    http_set_header(request, STR("X-Status-Seen"), pool_printf(http_pool(request), "%d", status));
}

static void answer_with_headers(http_request_t *request)
{
    http_add_header(request, STR("X-Good"), STR("one"));
    http_add_header(request, STR("x-good"), STR("two"));
    http_set_header(request, STR("X-Only"), STR("first"));
    http_set_header(request, STR("x-only"), STR("second"));
    http_add_header(request, STR("X-Split"), STR("a\r\nX-Injected: yes"));
    http_add_header(request, STR("Bad Name"), STR("x"));
    http_add_header(request, STR("Content-Length"), STR("3"));
    http_add_header(request, STR("Connection"), STR("upgrade"));
    http_send(request, 200, STR_NULL, STR("headers"));
}

static void answer_with_facts(http_request_t *request)
{
    buf_t out;
    buf_init(&out, http_pool(request), 256);
    buf_printf(&out, "method=%.*s path=%.*s query=%.*s%s addr=%.*s host=%.*s tls=%d body=%zu x=%.*s",
               STR_ARG(http_method(request)), STR_ARG(http_path(request)), STR_ARG(http_query(request)),
               str_is_null(http_query(request)) ? "(none)" : "", STR_ARG(http_client_addr(request)),
               STR_ARG(http_authority(request)), http_is_tls(request), http_body(request).len,
               STR_ARG(http_header(request, "x-test")));
    http_send(request, 200, STR("text/plain"), buf_str(&out));
}

static str_t text_of(http_request_t *request, size_t len)
{
    char *text = pool_alloc(http_pool(request), len);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 26);
    return str_make(text, len);
}

static void on_request(void *arg, http_request_t *request)
{
    (void)arg;
    static const ws_limits_t ws_limits = {
        .message_max = 100000, .queue_max = 1000000, .idle_timeout_ms = 2500};
    static const ws_handlers_t ws_handlers = {on_ws_message, on_ws_closed, on_ws_drain};
    str_t path = http_path(request);
    atomic_fetch_add(&harness.requests, 1);
    pool_on_dispose(http_pool(request), on_disposed, NULL);
    http_on_respond(request, on_respond, NULL);
    if (str_eq(path, STR("/hello")))
        http_send(request, 200, STR("text/plain"), STR("hello"));
    else if (str_eq(path, STR("/echo")))
        http_send(request, 200, STR("application/octet-stream"), http_body(request));
    else if (str_eq(path, STR("/empty")))
        http_send(request, 204, STR_NULL, STR(""));
    else if (str_eq(path, STR("/unchanged")))
        http_send(request, 304, STR_NULL, STR(""));
    else if (str_eq(path, STR("/text")))
        http_send(request, 200, STR("application/json; charset=utf-8"), text_of(request, 20000));
    else if (str_eq(path, STR("/bytes")))
        http_send(request, 200, STR("image/png"), text_of(request, 20000));
    else if (str_eq(path, STR("/twice"))) {
        http_send(request, 200, STR_NULL, STR("first"));
        http_send(request, 500, STR_NULL, STR("second"));
    } else if (str_eq(path, STR("/later")))
        answer_later(request, 50, on_later);
    else if (str_eq(path, STR("/when-told")))
        answer_later(request, 20, on_look);
    else if (str_eq(path, STR("/stream")))
        begin_stream(request, -1);
    else if (str_eq(path, STR("/sized")))
        begin_stream(request, STREAM_TOTAL);
    else if (str_eq(path, STR("/chain")))
        send_chain(request);
    else if (str_eq(path, STR("/silent")))
        begin_silent_stream(request);
    else if (str_eq(path, STR("/broken")))
        begin_broken_stream(request, false);
    else if (str_eq(path, STR("/short")))
        begin_broken_stream(request, true);
    else if (str_eq(path, STR("/headers")))
        answer_with_headers(request);
    else if (str_eq(path, STR("/ws")))
        ws_upgrade(request, &ws_limits, &ws_handlers, NULL);
    else
        answer_with_facts(request);
}

/* --- the server's thread --- */

http_limits_t harness_limits(void)
{
    return (http_limits_t){.body_max = 100000,
                           .connections_max = 100,
                           .request_timeout_ms = 1000,
                           .idle_timeout_ms = 60000,
                           .url_max = 2000,
                           .trusted_proxies = STR("")};
}

static void *run(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void must_listen(const http_listen_t *listen, uint16_t *port)
{
    pool_t *errors = pool_create();
    err_t *err = http_server_listen(server, errors, listen, port);
    if (err != NULL) {
        fprintf(stderr, "%.*s\n", STR_ARG(err->message));
        abort();
    }
    pool_destroy(errors);
}

void harness_start(const http_limits_t *limits, const char *tls_cert, const char *tls_key)
{
    memset(&harness, 0, sizeof(harness));
    loop = loop_create();
    server = http_server_create(loop, limits);
    must_listen(&(http_listen_t){.host = STR("127.0.0.1"), .handler = on_request}, &harness.port);
    must_listen(&(http_listen_t){.host = STR("127.0.0.1"), .is_reserved = true, .handler = on_request},
                &harness.reserved_port);
    snprintf(harness.unix_path, sizeof(harness.unix_path), "/tmp/basalt-http-test-%d.sock", (int)getpid());
    must_listen(&(http_listen_t){.unix_path = str_from_c(harness.unix_path), .handler = on_request}, NULL);
    if (tls_cert != NULL)
        must_listen(&(http_listen_t){.host = STR("127.0.0.1"),
                                     .tls_cert = str_from_c(tls_cert),
                                     .tls_key = str_from_c(tls_key),
                                     .handler = on_request},
                    &harness.tls_port);
    pthread_create(&thread, NULL, run, loop);
}

void harness_stop(void)
{
    while (atomic_load(&laters) > 0)
        usleep(1000);
    loop_stop(loop);
    pthread_join(thread, NULL);
    http_server_destroy(server);
    loop_destroy(loop);
}

typedef struct {
    void (*fn)(http_server_t *server);
    atomic_bool is_done;
} call_t;

static void on_call(void *arg)
{
    call_t *call = arg;
    call->fn(server);
    atomic_store(&call->is_done, true);
}

void harness_on_loop(void (*fn)(http_server_t *server))
{
    call_t call = {.fn = fn};
    loop_post(loop, on_call, &call);
    while (!atomic_load(&call.is_done))
        usleep(500);
}

static atomic_int counted_connections;

static void count_connections(http_server_t *s)
{
    atomic_store(&counted_connections, (int)http_server_connections(s));
}

size_t harness_connections(void)
{
    harness_on_loop(count_connections);
    return (size_t)atomic_load(&counted_connections);
}

bool harness_wait(atomic_int *value, int least)
{
    for (int i = 0; i < 60000 && atomic_load(value) < least; i++)
        usleep(1000);
    return atomic_load(value) >= least;
}

bool harness_wait_connections(size_t count)
{
    for (int i = 0; i < 6000 && harness_connections() != count; i++)
        usleep(10000);
    return harness_connections() == count;
}

/* --- client --- */

int client_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void client_send(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        len -= (size_t)sent;
    }
}

void client_send_text(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

size_t client_read(int fd, char *bytes, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = recv(fd, bytes + done, len - done, 0);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

bool client_is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

static bool read_head(int fd, client_answer_t *answer)
{
    size_t len = 0;
    while (len < sizeof(answer->head) - 1 && client_read(fd, answer->head + len, 1) == 1) {
        answer->head[++len] = '\0';
        if (len >= 4 && memcmp(answer->head + len - 4, "\r\n\r\n", 4) == 0)
            return sscanf(answer->head, "HTTP/1.1 %d", &answer->status) == 1;
    }
    return false;
}

bool client_head_has(const client_answer_t *answer, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = answer->head; (at = strstr(at, "\r\n")) != NULL; at += 2)
        if (strncasecmp(at + 2, line, len) == 0 && at[2 + len] == '\r')
            return true;
    return false;
}

static void read_chunks(int fd, client_answer_t *answer)
{
    for (;;) {
        char line[32];
        size_t len = 0;
        while (len < sizeof(line) - 1 && client_read(fd, line + len, 1) == 1 && line[len] != '\n')
            len++;
        line[len] = '\0';
        char *end;
        size_t size = strtoul(line, &end, 16);
        if (end == line)
            return;
        answer->body = realloc(answer->body, answer->body_len + size + 1);
        size_t got = client_read(fd, answer->body + answer->body_len, size);
        answer->body_len += got;
        char tail[2];
        if (got != size || client_read(fd, tail, 2) != 2)
            return;
        if (size == 0) {
            answer->is_complete = true;
            return;
        }
    }
}

client_answer_t client_answer(int fd, bool has_body)
{
    client_answer_t answer = {0};
    if (!read_head(fd, &answer))
        return answer;
    const char *length = strcasestr(answer.head, "\r\ncontent-length: ");
    if (!has_body || answer.status == 204 || answer.status == 304 || answer.status == 101) {
        answer.is_complete = true;
    } else if (client_head_has(&answer, "transfer-encoding: chunked")) {
        read_chunks(fd, &answer);
    } else if (length != NULL) {
        size_t len = strtoul(length + 18, NULL, 10);
        answer.body = malloc(len + 1);
        answer.body_len = client_read(fd, answer.body, len);
        answer.is_complete = answer.body_len == len;
    }
    if (answer.body != NULL)
        answer.body[answer.body_len] = '\0';
    return answer;
}

int client_get(const char *target)
{
    int fd = client_connect(harness.port);
    char text[4096];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    client_send_text(fd, text);
    client_answer_t answer = client_answer(fd, true);
    free(answer.body);
    close(fd);
    return answer.status;
}
