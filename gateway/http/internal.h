/* What the files of this folder share; nobody else includes it (it shows libh2o). */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "base/map.h"
#include "http/client_addr.h"
#include "http/request.h"
#include "http/server.h"
#include "http/ws.h"
#include "loop/loop.h"
#include "loop/loop_native.h"

#include <h2o.h>
#include <h2o/http1.h>

typedef struct http_conn http_conn_t;
typedef struct http_listener http_listener_t;

/* Something whose output is gathered and written at the end of the turn: a stream or a websocket. */
typedef struct {
    h2o_linklist_t link; /* linked: waits in server->flushes */
    void (*fn)(void *arg);
    void *arg;
} http_flush_t;

/* Connections of one address; lives while there are any. */
typedef struct {
    size_t count;
    size_t len;
    char text[CLIENT_ADDR_TEXT_MAX];
} http_addr_count_t;

struct http_server {
    loop_t *loop;
    http_limits_t limits; /* trusted_proxies is not kept here */
    client_addr_set_t *proxies, *uncounted;
    h2o_globalconf_t config;
    h2o_context_t context;
    http_listener_t *listeners;
    h2o_linklist_t conns;              /* http_conn_t */
    size_t conn_count, reserved_count; /* all; those of reserved listeners */
    map_t *addr_counts;                /* http_addr_count_t */
    size_t body_bytes;                 /* of the requests being answered */
    h2o_linklist_t flushes;
    loop_timer_t sweep;
    bool is_paused; /* at connections_max: listeners do not accept */
    bool is_draining;
    loop_timer_t drain_deadline;
    void (*on_drained)(void *arg);
    void *on_drained_arg;
};

/* --- connections (connection.c) --- */

struct http_conn {
    http_server_t *server;
    http_listener_t *listener;
    h2o_linklist_t link;
    h2o_socket_t *sock;      /* NULL once closed (while lingering) */
    http_addr_count_t *addr; /* NULL: not counted (unix, trusted) */
    char addr_text[CLIENT_ADDR_TEXT_MAX];
    http_request_t *request;  /* being answered, or NULL */
    ws_t *ws;                 /* after the upgrade, or NULL */
    bool is_watched;          /* we look whether the client leaves */
    bool is_watch_blind;      /* the next request hides the end of the stream: the sweep looks */
    int64_t idle_since_us;    /* accepted, or last answer complete */
    int64_t reading_since_us; /* first sweep that saw a part of a request, 0: none */
    size_t reading_size;      /* bytes that sweep saw */
    int linger_fd;            /* -1, or what is drained after an early error answer */
    size_t linger_bytes;
    loop_watch_t *linger_watch;
    loop_timer_t linger_timer;
};

http_conn_t *http_conn_open(http_listener_t *listener, h2o_socket_t *sock);
http_conn_t *http_conn_of(h2o_req_t *native);
str_t http_conn_addr(const http_conn_t *conn);

/* Between the handler's return and the answer libh2o does not look at the socket; these do. */
void http_conn_watch_client(http_conn_t *conn);
void http_conn_unwatch_client(http_conn_t *conn);

/* The answer goes out before the request was read to its end: keep the descriptor and read on for a moment,
 * or the client gets a reset instead of the answer. */
void http_conn_linger(http_conn_t *conn);

/* Closes connections that are idle or slow for too long, or whose head has no end, and the newest of those
 * that send bodies while all bodies together are too large. */
void http_conn_sweep(http_server_t *server);
void http_conn_close_idle(http_server_t *server);
/* Shuts every socket down; all of them end within the next turns. */
void http_conn_shutdown_all(http_server_t *server);

/* --- server and listeners (server.c, listener.c, tls.c) --- */

struct http_listener {
    http_listener_t *next;
    http_server_t *server;
    h2o_socket_t *sock;
    h2o_accept_ctx_t accept;
    bool is_reserved;
    http_handler_fn handler;
    http_refusal_fn refusal;
    void *arg;
    loop_timer_t retry; /* after accept ran out of descriptors */
    char *unix_path;
    char *tls_cert, *tls_key;
};

void http_listener_destroy(http_listener_t *listener);
void http_listener_accept_all(http_listener_t *listener); /* those that wait in the system's queue */
void http_listener_close(http_listener_t *listener);      /* its connections live on */
void http_listener_pause(http_listener_t *listener, bool pause);
void http_server_conn_closed(http_server_t *server);
bool http_server_is_full(const http_server_t *server);
/* By how much the bodies being worked on, and `received` bytes more, exceed what all bodies may take. */
size_t http_server_bodies_over(const http_server_t *server, size_t received);
void http_server_schedule_flush(http_server_t *server, http_flush_t *flush);

/* Errors name the file and OpenSSL's reason. */
err_t *http_tls_create(pool_t *errors, const char *cert, const char *key, SSL_CTX **out) MUST_CHECK;

/* --- the guard (guard.c): every setting and check that fences libh2o --- */

void http_guard_config(http_server_t *server);       /* before the context is made */
void http_guard_apply_limits(http_server_t *server); /* and whenever they change */
void http_guard_socket(int fd, bool is_unix);
/* The system keeps little of what is written; websockets have a queue of their own and need its room for
 * bursts. */
void http_guard_stream(int fd);
/* Registers the filter that gives libh2o's own error answers a JSON body. */
void http_guard_filter(h2o_pathconf_t *path);
/* Bytes that a request line and its headers may have together. */
size_t http_guard_head_max(const http_server_t *server);
/* Answers a request that must not reach a handler (400, 414, 431, 503) and returns true. */
bool http_guard_refuses(http_server_t *server, http_request_t *request);

/* --- requests (request.c, respond.c, stream.c) --- */

typedef enum {
    HTTP_STATE_OPEN,      /* the handler owes an answer */
    HTTP_STATE_STREAMING, /* the stream owns it */
    HTTP_STATE_ANSWERED   /* libh2o is writing; hands off */
} http_state_t;

struct http_request {
    h2o_req_t *native;
    pool_t *pool;
    http_conn_t *conn;
    http_state_t state;
    bool is_head;
    size_t body_bytes; /* as counted in the server */
    str_t path, query, client_addr;
    const char *reason; /* NULL: the usual words */
    int64_t answer_len; /* of a whole answer's body before compression; -1: streamed */
    bool is_from_trusted;
    http_handle_t *handles;
    http_stream_t *stream;
    void (*on_respond)(void *arg, http_request_t *request, int status);
    void *on_respond_arg;
};

http_request_t *http_request_create(http_conn_t *conn, h2o_req_t *native);
/* The client has left before the answer was complete: ends the request and its connection. */
void http_request_abandon(http_request_t *request);
/* Status line, Connection policy and the on_respond call that every kind of answer begins with. */
void http_begin_answer(http_request_t *request, int status);
const char *http_reason(int status);
/* Handles see no request from now on. */
void http_request_detach_handles(http_request_t *request);
void http_stream_abandon(http_stream_t *stream);
/* The pool goes: frees what the stream owns, tells its owner if it has not ended. */
void http_stream_dispose(http_stream_t *stream);

/* --- websockets (ws.c, ws_codec.c, ws_upgrade.c) --- */

void ws_drain(ws_t *ws);
/* The socket was closed under it (before the upgrade was complete). */
void ws_on_conn_gone(ws_t *ws);

#endif
