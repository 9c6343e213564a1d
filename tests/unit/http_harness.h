/* A server with sample handlers on a thread of its own, and a raw client: shared by the http tests. */
#ifndef TESTS_HTTP_HARNESS_H
#define TESTS_HTTP_HARNESS_H

#include "http/server.h"
#include "http/ws.h"

#include <stdatomic.h>

typedef struct {
    uint16_t port, tls_port, reserved_port;
    char unix_path[64];
    /* what the handlers saw */
    atomic_int requests, gone_requests, disposed_requests, gone_streams, full_writes, drained_streams;
    atomic_int ws_closed, ws_close_code, ws_messages, ws_drained;
    atomic_bool is_drained;
    atomic_bool is_told; /* what waits for it is answered now */
    atomic_long largest_queue;
} harness_t;

extern harness_t harness;

http_limits_t harness_limits(void);
/* TLS paths NULL: no TLS listener. */
void harness_start(const http_limits_t *limits, const char *tls_cert, const char *tls_key);
void harness_stop(void);

/* Runs `fn(server)` on the server's thread and waits for it. */
void harness_on_loop(void (*fn)(http_server_t *server));
size_t harness_connections(void);
/* Waits up to five seconds until `*value` is at least `least`. */
bool harness_wait(atomic_int *value, int least);
bool harness_wait_connections(size_t count);

/* Client side. Reads give up after five seconds. */
int client_connect(uint16_t port);
void client_send(int fd, const char *bytes, size_t len);
void client_send_text(int fd, const char *text);
/* Up to `len` bytes; fewer at the end of the stream. */
size_t client_read(int fd, char *bytes, size_t len);
/* True when the peer has closed and nothing more is to be read. */
bool client_is_closed(int fd);

typedef struct {
    int status;
    char head[8192];
    char *body; /* free */
    size_t body_len;
    bool is_complete; /* as its framing says */
} client_answer_t;

/* Reads one answer; `has_body` false for HEAD. */
client_answer_t client_answer(int fd, bool has_body);
bool client_head_has(const client_answer_t *answer, const char *line);

/* One whole exchange on a new connection; returns the status. */
int client_get(const char *target);

#endif
