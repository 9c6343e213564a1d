#include "base/observe.h"
#include "http/internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#define HANDSHAKE_TIMEOUT_MS 10000
#define STALL_TIMEOUT_MS 60000 /* a peer that acknowledges nothing for so long is dropped by the kernel */
#define KEEPALIVE_IDLE_SEC 60
#define KEEPALIVE_INTERVAL_SEC 15
#define KEEPALIVE_PROBES 4
#define UNSENT_MAX 262144 /* of a stream: the system would keep megabytes for a slow reader */
#define HEAD_DEFAULT_MAX 65536
#define DESCRIPTORS_RESERVED 128 /* for the database, listeners, files */
#define BACKSTOP_MS 5000         /* libh2o's own timeout comes after ours: it is based on the wall clock */

void http_guard_config(http_server_t *server)
{
    h2o_globalconf_t *config = &server->config;
    h2o_config_init(config);
    config->server_name = h2o_iovec_init(H2O_STRLIT(""));
    config->http1.upgrade_to_http2 = 0; /* neither h2c nor prior knowledge; ALPN is in tls.c */
    config->handshake_timeout = HANDSHAKE_TIMEOUT_MS;
    h2o_socket_buffer_mmap_settings.threshold =
        SIZE_MAX; /* bodies stay in memory, never in files under /tmp */
    http_guard_apply_limits(server);
}

/* Running out of descriptors would hit the database connections first. */
static void fit_descriptors(http_limits_t *limits)
{
    struct rlimit own;
    size_t need = limits->connections_max + DESCRIPTORS_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &own) != 0 || own.rlim_cur >= need)
        return;
    own.rlim_cur = own.rlim_max < need ? own.rlim_max : need;
    setrlimit(RLIMIT_NOFILE, &own);
    if (getrlimit(RLIMIT_NOFILE, &own) != 0 || own.rlim_cur >= need)
        return;
    limits->connections_max =
        own.rlim_cur > 2 * DESCRIPTORS_RESERVED ? own.rlim_cur - DESCRIPTORS_RESERVED : DESCRIPTORS_RESERVED;
    observe(LOG_WARN, "http_connections_lowered", F_INT("connections_max", (int64_t)limits->connections_max),
            F_INT("descriptors", (int64_t)own.rlim_cur));
}

void http_guard_apply_limits(http_server_t *server)
{
    fit_descriptors(&server->limits);
    const http_limits_t *limits = &server->limits;
    int longest = limits->request_timeout_ms > limits->idle_timeout_ms ? limits->request_timeout_ms
                                                                       : limits->idle_timeout_ms;
    server->config.max_request_entity_size = limits->body_max;
    server->config.http1.req_timeout = (uint64_t)longest + BACKSTOP_MS;
    if (server->context.loop != NULL)
        server->context.http1.req_timeout.timeout = server->config.http1.req_timeout;
    if (limits->is_http2)
        observe(LOG_WARN, "http2_not_offered", F_CSTR("reason", "this build speaks HTTP/1.1 only"));
}

void http_guard_socket(int fd, bool is_unix)
{
    if (is_unix)
        return;
    const int on = 1, stall = STALL_TIMEOUT_MS, idle = KEEPALIVE_IDLE_SEC, interval = KEEPALIVE_INTERVAL_SEC,
              probes = KEEPALIVE_PROBES;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall, sizeof(stall));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void http_guard_stream(int fd)
{
    const int unsent = UNSENT_MAX;
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent)); /* fails on unix sockets */
}

/* --- refusing before a handler runs --- */

/* How often the headers stand in the head that decide where a request ends and whom it is for. */
typedef struct {
    size_t bytes, hosts, lengths, encodings;
    bool is_malformed;
} head_facts_t;

static bool is_named(str_t line, str_t lower_name)
{
    return line.len > lower_name.len && line.base[lower_name.len] == ':' &&
           str_eq_nocase(str_slice(line, 0, lower_name.len), lower_name);
}

/* libh2o consumes these headers and keeps only one of each, but the bytes of the head still lie at the front
 * of the socket's buffer while the request is answered. */
static head_facts_t read_head(str_t bytes)
{
    head_facts_t facts = {0};
    size_t at = 0;
    bool is_first = true;
    for (;;) {
        size_t end = str_find_char(bytes, '\n', at);
        if (end == SIZE_MAX)
            break;
        bool has_cr = end > at && bytes.base[end - 1] == '\r';
        str_t line = str_slice(bytes, at, has_cr ? end - 1 : end);
        at = end + 1;
        facts.is_malformed = facts.is_malformed || !has_cr;
        if (line.len == 0 && !is_first)
            break;
        is_first = is_first && line.len == 0; /* an empty line before the request is allowed */
        if (line.len != 0 && (line.base[0] == ' ' || line.base[0] == '\t'))
            facts.is_malformed = true; /* a folded header */
        facts.hosts += is_named(line, STR("host"));
        facts.lengths += is_named(line, STR("content-length"));
        facts.encodings += is_named(line, STR("transfer-encoding"));
    }
    facts.bytes = at;
    return facts;
}

/* Requests that a proxy before us could have understood in another way: RFC 9112 sections 2.2, 3.2, 5.2, 6.3.
 */
static bool is_ambiguous(const head_facts_t *facts, int version)
{
    if (facts->is_malformed || facts->hosts > 1 || facts->lengths + facts->encodings > 1)
        return true;
    return version >= 0x101 ? facts->hosts == 0 : facts->encodings != 0;
}

size_t http_guard_head_max(const http_server_t *server)
{
    return server->limits.head_max != 0 ? server->limits.head_max : HEAD_DEFAULT_MAX;
}

static str_t refusal_body(const http_conn_t *conn, pool_t *pool, str_t path, int status, str_t *content_type)
{
    *content_type = STR("application/json; charset=utf-8");
    str_t body = conn->listener->refusal != NULL
                     ? conn->listener->refusal(conn->listener->arg, pool, path, status, http_reason(status),
                                               content_type)
                     : STR_NULL;
    return !str_is_null(body)
               ? body
               : pool_printf(pool, "{\"code\":\"%d\",\"message\":\"%s\",\"details\":null,\"hint\":null}",
                             status, http_reason(status));
}

bool http_guard_refuses(http_server_t *server, http_request_t *request)
{
    const h2o_buffer_t *input = request->conn->sock->input;
    head_facts_t facts = read_head(str_make(input->bytes, input->size));
    int status = 0;
    if (is_ambiguous(&facts, request->native->version))
        status = 400;
    else if (server->limits.url_max != 0 && request->native->input.path.len > server->limits.url_max)
        status = 414;
    else if (facts.bytes > http_guard_head_max(server))
        status = 431;
    else if (request->body_bytes != 0 && http_server_bodies_over(server, 0) != 0)
        status = 503;
    /* The library skips whatever stands behind the digits of a chunk's size, so that `0x10` is a last chunk
     * to it and sixteen bytes to others: where such a body ends nothing else may begin. */
    if (facts.encodings != 0)
        request->native->http1_is_persistent = 0;
    if (status == 0)
        return false;
    observe(LOG_INFO, "http_request_refused", F_INT("status", status),
            F_STR("client", http_client_addr(request)));
    request->native->http1_is_persistent = 0; /* whatever follows may be a part of it */
    str_t content_type, path = str_make(request->native->input.path.base, request->native->input.path.len);
    str_t body = refusal_body(request->conn, request->pool, path, status, &content_type);
    http_add_header(request, STR("access-control-allow-origin"), STR("*"));
    if (status == 503)
        http_add_header(request, STR("retry-after"), STR("1"));
    http_send(request, status, content_type, body);
    return true;
}

/* --- libh2o's own error answers --- */

typedef struct {
    h2o_ostream_t super;
    h2o_iovec_t body;
} error_body_t;

static void send_error_body(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count,
                            h2o_send_state_t state)
{
    (void)bufs;
    error_body_t *error = (error_body_t *)self;
    h2o_ostream_send_next(self, req, &error->body, count != 0 ? 1 : 0, state);
}

/* In the request's memory. */
static h2o_iovec_t keep(h2o_req_t *req, str_t text)
{
    return h2o_strdup(&req->pool, text.base, text.len);
}

static void set_error(h2o_req_t *req, const http_conn_t *conn, error_body_t *error)
{
    str_t content_type, path = str_make(req->input.path.base, req->input.path.len);
    pool_t *pool = pool_create();
    error->body = keep(req, refusal_body(conn, pool, path, req->res.status, &content_type));
    h2o_iovec_t type = keep(req, content_type);
    pool_destroy(pool);
    req->res.reason = http_reason(req->res.status);
    req->res.content_length = error->body.len;
    req->res.headers.size = 0;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type.base, type.len);
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("access-control-allow-origin"), 0, NULL,
                          H2O_STRLIT("*"));
}

/* Errors that libh2o finds while it reads a request (413, broken chunks ...) never see a handler. */
static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    (void)self;
    http_conn_t *conn = http_conn_of(req);
    bool is_ours = conn->request != NULL && conn->request->native == req;
    if (!is_ours) {
        error_body_t *error = (void *)h2o_add_ostream(req, sizeof(*error), slot);
        slot = &error->super.next;
        error->super.do_send = send_error_body;
        set_error(req, conn, error);
        observe(LOG_INFO, "http_request_refused", F_INT("status", req->res.status),
                F_STR("client", http_conn_addr(conn)));
        http_conn_linger(conn);
    }
    h2o_setup_next_ostream(req, slot);
}

void http_guard_filter(h2o_pathconf_t *path)
{
    h2o_filter_t *filter = h2o_create_filter(path, sizeof(*filter));
    filter->on_setup_ostream = on_setup_ostream;
}
