/* Load: N connections, each sends its next request as soon as the last one's answer is complete.
 *
 *   load PORT CONNECTIONS SECONDS <requests
 *
 * Input: for each request its length in decimal, a newline, its bytes; they take turns.
 *
 * Output: answers, microseconds of the run, p50 and p99 in microseconds, answers with a status of 400 and
 * more.
 *
 * After the time no more are sent, but what is under way is waited for: left out, the slowest answers would
 * be. The latencies are those of the requests made: nothing is added for requests that a stall kept from
 * being sent. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, READ_SIZE = 256 * 1024, EVENTS_MAX = 256 };

typedef enum { IN_HEAD, IN_BODY, IN_CHUNK_SIZE, IN_CHUNK, IN_TRAILER } part_t;

typedef struct {
    int fd;
    size_t next; /* request */
    int64_t began_us;
    part_t part;
    char head[HEAD_MAX + 1];
    size_t head_len;
    uint64_t left; /* of the body, or of the chunk with its line end */
    size_t line_len;
} client_t;

typedef struct {
    char *base;
    size_t len;
} request_t;

static request_t *requests;
static size_t request_count, failed, under_way;
static int64_t end_us;
static uint32_t *latencies;
static size_t latency_count, latency_capacity;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void *grow(void *array, size_t count, size_t size)
{
    array = realloc(array, count * size);
    if (array == NULL)
        die("realloc");
    return array;
}

static void read_requests(void)
{
    size_t len;
    while (scanf("%zu%*1[\n]", &len) == 1) {
        requests = grow(requests, request_count + 1, sizeof(*requests));
        request_t *request = &requests[request_count++];
        *request = (request_t){.base = grow(NULL, len, 1), .len = len};
        if (fread(request->base, 1, len, stdin) != len)
            die("requests");
    }
    if (request_count == 0)
        die("no requests");
}

static void send_next(client_t *client)
{
    const request_t *request = &requests[client->next++ % request_count];
    under_way++;
    client->began_us = now_us();
    client->part = IN_HEAD;
    client->head_len = 0;
    for (size_t sent = 0; sent < request->len;) {
        ssize_t n = send(client->fd, request->base + sent, request->len - sent, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        sent += (size_t)n;
    }
}

static void on_answer(client_t *client)
{
    if (latency_count == latency_capacity) {
        latency_capacity = latency_capacity * 2 + 65536;
        latencies = grow(latencies, latency_capacity, sizeof(*latencies));
    }
    latencies[latency_count++] = (uint32_t)(now_us() - client->began_us);
    failed += atoi(client->head + 9) >= 400; /* "HTTP/1.1 200" */
    under_way--;
    if (now_us() < end_us)
        send_next(client);
}

static const char *field(const client_t *client, const char *name)
{
    const char *at = strcasestr(client->head, name);
    return at != NULL ? at + strlen(name) : NULL;
}

/* True when the whole answer is there. */
static int on_head(client_t *client)
{
    const char *length = field(client, "\r\ncontent-length:");
    client->left = length != NULL ? strtoull(length, NULL, 10) : 0;
    client->line_len = 0;
    client->part = field(client, "\r\ntransfer-encoding: chunked") != NULL ? IN_CHUNK_SIZE : IN_BODY;
    return client->part == IN_BODY && client->left == 0;
}

static int take_head(client_t *client, char c)
{
    if (client->head_len == HEAD_MAX)
        die("head too large");
    client->head[client->head_len++] = c;
    client->head[client->head_len] = '\0';
    return c == '\n' && client->head_len >= 4 &&
           memcmp(client->head + client->head_len - 4, "\r\n\r\n", 4) == 0 && on_head(client);
}

static void take_size(client_t *client, char c)
{
    if (c == '\n') {
        client->part = client->left == 0 ? IN_TRAILER : IN_CHUNK;
        client->left += 2; /* the line end behind it */
        client->line_len = 0;
    } else if (c != '\r') {
        client->left = client->left * 16 + (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
}

/* One byte or a run of the body. Returns what was used; *is_done when the answer ends with it. */
static size_t take(client_t *client, const char *base, size_t len, int *is_done)
{
    size_t run = len < client->left ? len : (size_t)client->left;
    switch (client->part) {
    case IN_HEAD:
        *is_done = take_head(client, *base);
        return 1;
    case IN_CHUNK_SIZE:
        take_size(client, *base);
        return 1;
    case IN_TRAILER:
        *is_done = *base == '\n';
        return 1;
    default:
        client->left -= run;
        if (client->left == 0 && client->part == IN_CHUNK)
            client->part = IN_CHUNK_SIZE;
        else
            *is_done = client->left == 0;
        return run;
    }
}

static void on_readable(client_t *client)
{
    static char buffer[READ_SIZE];
    ssize_t n = recv(client->fd, buffer, sizeof(buffer), 0);
    if (n <= 0)
        die("recv");
    for (size_t at = 0; at < (size_t)n;) {
        int is_done = 0;
        at += take(client, buffer + at, (size_t)n - at, &is_done);
        if (is_done)
            on_answer(client);
    }
}

static void connect_client(client_t *client, int port, int epoll)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        die("epoll_ctl");
}

static int by_value(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static uint32_t percentile(double part)
{
    return latency_count == 0 ? 0 : latencies[(size_t)((double)(latency_count - 1) * part)];
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: load PORT CONNECTIONS SECONDS <requests\n"), 2;
    size_t count = (size_t)atoi(argv[2]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    client_t *clients = calloc(count, sizeof(*clients));
    if (clients == NULL || epoll < 0)
        die("load");
    read_requests();
    for (size_t i = 0; i < count; i++)
        connect_client(&clients[i], atoi(argv[1]), epoll);
    int64_t began = now_us();
    end_us = began + (int64_t)(atof(argv[3]) * 1e6);
    for (size_t i = 0; i < count; i++) {
        clients[i].next = i * request_count / count;
        send_next(&clients[i]);
    }
    while (under_way > 0) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(epoll, events, EVENTS_MAX, 100);
        for (int i = 0; i < ready; i++)
            on_readable(events[i].data.ptr);
    }
    int64_t took = now_us() - began;
    qsort(latencies, latency_count, sizeof(*latencies), by_value);
    printf("%zu %lld %u %u %zu\n", latency_count, (long long)took, percentile(.5), percentile(.99), failed);
    return 0;
}
