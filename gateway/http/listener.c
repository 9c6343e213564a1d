#include "base/observe.h"
#include "http/internal.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 32
#define BACKLOG 1024
#define RETRY_MS 100

static char *copy(str_t s)
{
    char *text = strndup(s.base, s.len);
    if (text == NULL)
        abort();
    return text;
}

static err_t *system_error(pool_t *errors, const char *what, const char *where)
{
    return err_make(errors, 0, ERR_FAMILY_BUG, "listen", "Cannot %s %s: %s", what, where, strerror(errno));
}

/* --- accepting --- */

static bool is_over_addr_limit(const http_conn_t *conn)
{
    size_t limit = conn->server->limits.connections_per_addr;
    return limit != 0 && conn->addr != NULL && conn->addr->count > limit;
}

static void pause_all(http_server_t *server)
{
    observe(LOG_WARN, "http_connections_at_limit", F_INT("connections", (int64_t)server->conn_count));
    server->is_paused = true;
    for (http_listener_t *l = server->listeners; l != NULL; l = l->next)
        if (!l->is_reserved)
            http_listener_pause(l, true);
}

static void on_retry(void *arg)
{
    http_listener_t *listener = arg;
    if (!listener->server->is_paused || listener->is_reserved)
        http_listener_pause(listener, false);
}

/* Out of descriptors or memory: the waiting connection would wake the loop again at once. */
static void back_off(http_listener_t *listener)
{
    observe(LOG_ERROR, "http_accept_failed", F_CSTR("reason", strerror(errno)));
    http_listener_pause(listener, true);
    loop_timer_start(listener->server->loop, &listener->retry, RETRY_MS, on_retry, listener);
}

static void accept_some(http_listener_t *listener, int count)
{
    http_server_t *server = listener->server;
    h2o_socket_t *sock = listener->sock;
    for (int i = 0; i < count; i++) {
        if (!listener->is_reserved && http_server_is_full(server)) {
            pause_all(server);
            return;
        }
        h2o_socket_t *accepted = h2o_evloop_socket_accept(sock);
        if (accepted == NULL) {
            if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                back_off(listener);
            return;
        }
        http_conn_t *conn = http_conn_open(listener, accepted);
        if (is_over_addr_limit(conn)) {
            observe(LOG_INFO, "http_address_over_limit", F_STR("client", http_conn_addr(conn)));
            h2o_socket_close(accepted);
            continue;
        }
        http_guard_socket(h2o_socket_get_fd(accepted), listener->unix_path != NULL);
        h2o_accept(&listener->accept, accepted);
    }
}

static void on_acceptable(h2o_socket_t *sock, const char *err)
{
    (void)err;
    accept_some(sock->data, ACCEPTS_PER_TURN);
}

void http_listener_accept_all(http_listener_t *listener)
{
    if (listener->sock != NULL)
        accept_some(listener, BACKLOG);
}

void http_listener_pause(http_listener_t *listener, bool pause)
{
    if (listener->sock == NULL)
        return;
    if (!pause)
        h2o_socket_read_start(listener->sock, on_acceptable);
    else if (h2o_socket_is_reading(listener->sock))
        h2o_socket_read_stop(listener->sock);
}

/* --- binding --- */

static err_t *bind_tcp(pool_t *errors, const http_listen_t *listen_on, int *out)
{
    bool is_any =
        str_is_null(listen_on->host) || listen_on->host.len == 0 || str_eq(listen_on->host, STR("*"));
    bool is_bracketed = listen_on->host.len > 2 && listen_on->host.base[0] == '['; /* [::1] as in a URL */
    str_t name = is_bracketed ? str_slice(listen_on->host, 1, listen_on->host.len - 1) : listen_on->host;
    char *host = pool_cstr(errors, is_any ? STR("0.0.0.0") : name);
    char port[8];
    snprintf(port, sizeof(port), "%u", listen_on->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    int failure = getaddrinfo(host, port, &hints, &found);
    if (failure != 0)
        return err_make(errors, 0, ERR_FAMILY_BUG, "listen", "Cannot resolve %s: %s", host,
                        gai_strerror(failure));
    const int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_bound =
        fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!listen_on->is_shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    freeaddrinfo(found);
    *out = fd;
    if (is_bound)
        return NULL;
    err_t *err = system_error(errors, "listen on", pool_printf(errors, "%s:%s", host, port).base);
    if (fd >= 0)
        close(fd);
    return err;
}

/* A socket file that nobody listens on any more is left over from a crash. */
static void remove_stale(const struct sockaddr_un *addr)
{
    struct stat info;
    if (lstat(addr->sun_path, &info) != 0 || !S_ISSOCK(info.st_mode))
        return;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return;
    if (connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) != 0 && errno == ECONNREFUSED)
        unlink(addr->sun_path);
    close(probe);
}

static err_t *bind_unix(pool_t *errors, const http_listen_t *listen_on, int *out)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *path = pool_cstr(errors, listen_on->unix_path);
    if (listen_on->unix_path.len >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        return system_error(errors, "listen on", path);
    }
    memcpy(addr.sun_path, path, listen_on->unix_path.len);
    remove_stale(&addr);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mode = listen_on->unix_mode != 0 ? listen_on->unix_mode : 0660;
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
                    chmod(addr.sun_path, mode) == 0 && listen(fd, BACKLOG) == 0;
    *out = fd;
    if (is_bound)
        return NULL;
    err_t *err = system_error(errors, "listen on", path);
    if (fd >= 0)
        close(fd);
    return err;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    int32_t port = h2o_socket_getport((struct sockaddr *)&addr);
    return port > 0 ? (uint16_t)port : 0;
}

err_t *http_server_listen(http_server_t *server, pool_t *errors, const http_listen_t *listen_on,
                          uint16_t *bound_port)
{
    SSL_CTX *tls = NULL;
    bool has_tls = listen_on->tls_cert.len != 0, is_unix = listen_on->unix_path.len != 0;
    if (has_tls) {
        err_t *err = http_tls_create(errors, pool_cstr(errors, listen_on->tls_cert),
                                     pool_cstr(errors, listen_on->tls_key), &tls);
        if (err != NULL)
            return err;
    }
    int fd;
    err_t *err = is_unix ? bind_unix(errors, listen_on, &fd) : bind_tcp(errors, listen_on, &fd);
    if (err != NULL) {
        SSL_CTX_free(tls);
        return err;
    }
    if (bound_port != NULL)
        *bound_port = is_unix ? 0 : port_of(fd);
    http_listener_t *listener = h2o_mem_alloc(sizeof(*listener));
    *listener = (http_listener_t){.next = server->listeners,
                                  .server = server,
                                  .is_reserved = listen_on->is_reserved,
                                  .handler = listen_on->handler,
                                  .refusal = listen_on->refusal,
                                  .arg = listen_on->arg,
                                  .unix_path = is_unix ? copy(listen_on->unix_path) : NULL,
                                  .tls_cert = has_tls ? copy(listen_on->tls_cert) : NULL,
                                  .tls_key = has_tls ? copy(listen_on->tls_key) : NULL};
    listener->accept =
        (h2o_accept_ctx_t){.ctx = &server->context, .hosts = server->config.hosts, .ssl_ctx = tls};
    listener->sock = h2o_evloop_socket_create(loop_native(server->loop), fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->sock->data = listener;
    server->listeners = listener;
    http_listener_pause(listener, server->is_paused && !listener->is_reserved);
    return NULL;
}

bool http_server_has_lost_socket(const http_server_t *server)
{
    struct stat info;
    for (const http_listener_t *l = server->listeners; l != NULL; l = l->next)
        if (l->sock != NULL && !l->is_reserved && l->unix_path != NULL &&
            (lstat(l->unix_path, &info) != 0 || !S_ISSOCK(info.st_mode)))
            return true;
    return false;
}

void http_listener_close(http_listener_t *listener)
{
    if (listener->sock == NULL)
        return;
    loop_timer_stop(&listener->retry);
    h2o_socket_close(listener->sock);
    listener->sock = NULL;
    if (listener->unix_path != NULL)
        unlink(listener->unix_path);
}

void http_listener_destroy(http_listener_t *listener)
{
    http_listener_close(listener);
    SSL_CTX_free(listener->accept.ssl_ctx);
    free(listener->unix_path);
    free(listener->tls_cert);
    free(listener->tls_key);
    free(listener);
}
