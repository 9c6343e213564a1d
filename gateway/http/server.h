/* HTTP/1.1 server: the only room that sees libh2o's HTTP. Listeners, limits, TLS, drain.
 * Behaviour and guard settings: docs/architecture.md, "The HTTP room". */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/err.h"
#include "http/request.h"
#include "loop/loop.h"

typedef struct http_server http_server_t;

typedef struct {
    size_t body_max;        /* bytes, whole server; larger: 413 before the handler runs */
    size_t bodies_max;      /* bytes of all bodies being received or worked on; beyond: 503. 0: no limit */
    size_t connections_max; /* all listeners together; accept pauses at the limit */
    size_t connections_per_addr; /* trusted proxies exempt; 0: no limit */
    str_t uncounted_addrs;       /* list like trusted_proxies that is exempt too (loopback) */
    int request_timeout_ms;      /* header and body together; below 128 bytes/s it ends after 10 s */
    int idle_timeout_ms;         /* keep-alive */
    size_t head_max;             /* bytes of request line and headers; longer: 431. 0: 64 KiB */
    size_t url_max;              /* bytes of path and query; longer: 414 */
    size_t compress_min;   /* whole text answers from so many bytes up to 256 KiB are gzipped for clients that
                            * take it; 0: never */
    str_t trusted_proxies; /* comma separated addresses or CIDR, "unix"; their X-Forwarded-* are believed */
    bool is_http2;         /* not offered: true is only warned about; see docs/security.md */
    bool is_proxy_strict;  /* answer requests that had a body with Connection: close */
} http_limits_t;

/* Called on the loop thread for every complete request. It must answer exactly once: now or later. */
typedef void (*http_handler_fn)(void *arg, http_request_t *request);

/* One server per loop. Ignores SIGPIPE in the process and raises its limit of descriptors as far as
 * connections_max needs it; where the system does not allow that, connections_max is lowered to what leaves
 * 128 for others. */
http_server_t *http_server_create(loop_t *loop, const http_limits_t *limits);

/* Outside loop_run: breaks all connections, turns the loop until they are gone (their callbacks run), frees.
 */
void http_server_destroy(http_server_t *server);

/* Applies reloadable limits (body, timeouts, proxies) to new requests. */
void http_server_set_limits(http_server_t *server, const http_limits_t *limits);

/* Words an error that is found before a handler runs (413, 431, 503 ...), in `pool`: the body, whose content
 * type goes to `*content_type`. The null string: PostgREST's four fields. `path` is raw and may be empty. */
typedef str_t (*http_refusal_fn)(void *arg, pool_t *pool, str_t path, int status, const char *reason,
                                 str_t *content_type);

typedef struct {
    str_t host;              /* address or name; "*" and "0.0.0.0" any; null with unix_path */
    uint16_t port;           /* 0: the system chooses */
    str_t unix_path;         /* listens on a unix socket instead, mode 0660 */
    uint16_t unix_mode;      /* 0: 0660 */
    str_t tls_cert, tls_key; /* PEM file paths; empty: plain */
    bool is_shared;          /* SO_REUSEPORT: other processes may listen on the same port */
    bool is_reserved;        /* not held back by connections_max nor counted in it (admin) */
    http_handler_fn handler; /* each listener may have its own (admin) */
    http_refusal_fn refusal; /* may be NULL */
    void *arg;
} http_listen_t;

/* Errors: status 0 family bug/overload with the system's reason ("address already in use" ...). */
err_t *http_server_listen(http_server_t *server, pool_t *errors, const http_listen_t *listen,
                          uint16_t *bound_port) MUST_CHECK;

/* Loads certificate files anew for new connections; the old ones stay in force on error. */
err_t *http_server_reload_tls(http_server_t *server, pool_t *errors) MUST_CHECK;

/* Closes the listeners and idle connections, answers what is under way with Connection: close; calls
 * `on_drained` when the last one is gone or after `deadline_ms`. Websockets are told through their on_drain.
 */
void http_server_drain(http_server_t *server, int deadline_ms, void (*on_drained)(void *arg), void *arg);

/* The file of a unix socket that requests come through was removed: nobody can connect any more. */
bool http_server_has_lost_socket(const http_server_t *server);

size_t http_server_connections(const http_server_t *server);

#endif
