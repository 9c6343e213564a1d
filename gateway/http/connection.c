#include "base/clock.h"
#include "base/observe.h"
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 2000
#define LINGER_MAX_BYTES (64u << 20)
#define SLOW_GRACE_US 10000000 /* after so long a request must have come at the rate below */
#define SLOW_BYTES_PER_SEC 128
#define DRAIN_GRACE_US 100000 /* a client that spoke so lately may be about to speak again */

str_t http_conn_addr(const http_conn_t *conn)
{
    return str_from_c(conn->addr_text);
}

http_conn_t *http_conn_of(h2o_req_t *native)
{
    return native->conn->callbacks->get_socket(native->conn)->on_close.data;
}

/* --- counting --- */

static void count_addr(http_conn_t *conn)
{
    http_server_t *server = conn->server;
    str_t addr = http_conn_addr(conn);
    if (str_eq(addr, STR("unix")) || client_addr_is_in(server->proxies, addr) ||
        client_addr_is_in(server->uncounted, addr))
        return;
    http_addr_count_t *entry = map_get(server->addr_counts, addr);
    if (entry == NULL) {
        entry = h2o_mem_alloc(sizeof(*entry));
        *entry = (http_addr_count_t){.len = addr.len};
        memcpy(entry->text, addr.base, addr.len);
        map_put(server->addr_counts, str_make(entry->text, entry->len), entry);
    }
    entry->count++;
    conn->addr = entry;
}

static void uncount_addr(http_conn_t *conn)
{
    http_addr_count_t *entry = conn->addr;
    if (entry == NULL || --entry->count != 0)
        return;
    map_remove(conn->server->addr_counts, str_make(entry->text, entry->len));
    free(entry);
}

static void conn_free(http_conn_t *conn)
{
    http_server_t *server = conn->server;
    server->reserved_count -= conn->listener->is_reserved;
    uncount_addr(conn);
    h2o_linklist_unlink(&conn->link);
    free(conn);
    http_server_conn_closed(server);
}

/* --- lingering --- */

static void linger_end(void *arg)
{
    http_conn_t *conn = arg;
    loop_timer_stop(&conn->linger_timer);
    loop_watch_destroy(conn->linger_watch);
    close(conn->linger_fd);
    conn_free(conn);
}

static void on_linger_readable(void *arg)
{
    http_conn_t *conn = arg;
    char waste[16384];
    ssize_t len = recv(conn->linger_fd, waste, sizeof(waste), MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    conn->linger_bytes += len > 0 ? (size_t)len : 0;
    if (len <= 0 || conn->linger_bytes > LINGER_MAX_BYTES)
        linger_end(conn);
}

static void linger_begin(http_conn_t *conn)
{
    conn->linger_watch =
        loop_watch_create(conn->server->loop, conn->linger_fd, on_linger_readable, NULL, conn);
    if (conn->linger_watch == NULL) {
        linger_end(conn);
        return;
    }
    shutdown(conn->linger_fd, SHUT_WR);
    loop_watch_want_read(conn->linger_watch, true);
    loop_timer_start(conn->server->loop, &conn->linger_timer, LINGER_MS, linger_end, conn);
}

void http_conn_linger(http_conn_t *conn)
{
    if (conn->linger_fd < 0 && conn->sock != NULL)
        conn->linger_fd = fcntl(h2o_socket_get_fd(conn->sock), F_DUPFD_CLOEXEC, 3);
}

/* --- life --- */

static void on_socket_closed(void *arg)
{
    http_conn_t *conn = arg;
    conn->sock = NULL;
    if (conn->ws != NULL)
        ws_on_conn_gone(conn->ws);
    if (conn->linger_fd >= 0)
        linger_begin(conn);
    else
        conn_free(conn);
}

http_conn_t *http_conn_open(http_listener_t *listener, h2o_socket_t *sock)
{
    http_server_t *server = listener->server;
    http_conn_t *conn = h2o_mem_alloc(sizeof(*conn));
    *conn = (http_conn_t){.server = server, .listener = listener, .sock = sock, .linger_fd = -1};
    conn->idle_since_us = clock_mono_us();
    struct sockaddr_storage peer;
    socklen_t len = h2o_socket_getpeername(sock, (struct sockaddr *)&peer);
    char text[CLIENT_ADDR_TEXT_MAX];
    str_t addr = client_addr_text((const struct sockaddr *)&peer, len, text);
    memcpy(conn->addr_text, addr.base, addr.len);
    h2o_linklist_insert(&server->conns, &conn->link);
    server->conn_count++;
    server->reserved_count += listener->is_reserved;
    count_addr(conn);
    sock->on_close.cb = on_socket_closed;
    sock->on_close.data = conn;
    return conn;
}

/* --- a client that leaves before its answer --- */

/* Also when bytes are still to be read: the next request, or the goodbye of TLS. */
static bool has_hung_up(const http_conn_t *conn)
{
    struct pollfd state = {.fd = h2o_socket_get_fd(conn->sock), .events = POLLRDHUP};
    return poll(&state, 1, 0) == 1;
}

static void on_client_readable(h2o_socket_t *sock, const char *err)
{
    (void)err;
    http_conn_t *conn = sock->on_close.data;
    int fd = h2o_socket_get_fd(sock);
    char byte;
    ssize_t len = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bool has_left = len <= 0 || has_hung_up(conn);
    http_conn_unwatch_client(conn);
    conn->is_watch_blind = !has_left;
    if (has_left && conn->request != NULL)
        http_request_abandon(conn->request);
}

void http_conn_watch_client(http_conn_t *conn)
{
    if (conn->is_watched || conn->sock == NULL)
        return;
    conn->is_watched = true;
    h2o_socket_dont_read(conn->sock, 1);
    h2o_socket_read_start(conn->sock, on_client_readable);
}

void http_conn_unwatch_client(http_conn_t *conn)
{
    conn->is_watch_blind = false;
    if (!conn->is_watched)
        return;
    conn->is_watched = false;
    h2o_socket_read_stop(conn->sock);
    h2o_socket_dont_read(conn->sock, 0);
}

/* --- sweeping --- */

/* Between requests libh2o reads, and its read callback closes the connection when it is given an error. */
static void close_reading(http_conn_t *conn)
{
    if (conn->sock->_cb.read != NULL)
        conn->sock->_cb.read(conn->sock, h2o_socket_error_closed);
}

static bool is_between_requests(const http_conn_t *conn)
{
    return conn->sock != NULL && conn->request == NULL && conn->ws == NULL && !conn->is_watched &&
           !h2o_socket_is_writing(conn->sock);
}

static bool is_overdue(http_conn_t *conn, int64_t now)
{
    const http_limits_t *limits = &conn->server->limits;
    size_t size = conn->sock->input->size;
    if (size == 0) {
        conn->reading_since_us = 0;
        return now - conn->idle_since_us > (int64_t)limits->idle_timeout_ms * 1000;
    }
    if (conn->reading_since_us == 0) {
        conn->reading_since_us = now;
        conn->reading_size = size;
        return false;
    }
    int64_t elapsed = now - conn->reading_since_us;
    if (elapsed > (int64_t)limits->request_timeout_ms * 1000)
        return true;
    size_t gained = size > conn->reading_size ? size - conn->reading_size : 0;
    return elapsed > SLOW_GRACE_US && (int64_t)gained < elapsed / 1000000 * SLOW_BYTES_PER_SEC;
}

/* libh2o reads on to 417 kB before it judges a head; several hundred of them would be a good part of all
 * memory. */
static bool has_endless_head(const http_conn_t *conn)
{
    const h2o_buffer_t *input = conn->sock->input;
    size_t max = http_guard_head_max(conn->server);
    return input->size > max && memmem(input->bytes, max, "\r\n\r\n", 4) == NULL;
}

/* What has come of requests that are not complete lies in the sockets' buffers. Its sum is looked at once per
 * sweep; the newest connections give way. */
static void shed_bodies(http_server_t *server, size_t received)
{
    size_t over = http_server_bodies_over(server, received);
    h2o_linklist_t *node = server->conns.prev;
    while (over != 0 && node != &server->conns) {
        http_conn_t *conn = H2O_STRUCT_FROM_MEMBER(http_conn_t, link, node);
        node = node->prev;
        if (!is_between_requests(conn) || conn->sock->input->size == 0)
            continue;
        size_t size = conn->sock->input->size;
        observe(LOG_WARN, "http_bodies_over_limit", F_STR("client", http_conn_addr(conn)),
                F_INT("bytes", (int64_t)size));
        over -= size < over ? size : over;
        close_reading(conn);
    }
}

void http_conn_sweep(http_server_t *server)
{
    int64_t now = clock_mono_us();
    size_t received = 0;
    h2o_linklist_t *node = server->conns.next;
    while (node != &server->conns) {
        http_conn_t *conn = H2O_STRUCT_FROM_MEMBER(http_conn_t, link, node);
        node = node->next;
        if (conn->is_watch_blind && conn->request != NULL && has_hung_up(conn)) {
            conn->is_watch_blind = false;
            http_request_abandon(conn->request);
        } else if (is_between_requests(conn) && is_overdue(conn, now)) {
            observe(LOG_DEBUG, "http_connection_timeout", F_STR("client", http_conn_addr(conn)));
            close_reading(conn);
        } else if (is_between_requests(conn) && has_endless_head(conn)) {
            observe(LOG_INFO, "http_head_over_limit", F_STR("client", http_conn_addr(conn)));
            close_reading(conn);
        } else if (is_between_requests(conn)) {
            received += conn->sock->input->size;
        }
    }
    shed_bodies(server, received);
}

static bool has_unread_bytes(const http_conn_t *conn)
{
    char byte;
    return recv(h2o_socket_get_fd(conn->sock), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Who was just let in or just answered is about to ask: that request gets its answer, and with it the word
 * that the connection closes. */
static bool is_leaving_soon(const http_conn_t *conn)
{
    return clock_mono_us() - conn->idle_since_us < DRAIN_GRACE_US || has_unread_bytes(conn);
}

void http_conn_close_idle(http_server_t *server)
{
    h2o_linklist_t *node = server->conns.next;
    while (node != &server->conns) {
        http_conn_t *conn = H2O_STRUCT_FROM_MEMBER(http_conn_t, link, node);
        node = node->next;
        if (is_between_requests(conn) && conn->sock->input->size == 0 && !is_leaving_soon(conn))
            close_reading(conn);
    }
}

void http_conn_shutdown_all(http_server_t *server)
{
    h2o_linklist_t *node = server->conns.next;
    while (node != &server->conns) {
        http_conn_t *conn = H2O_STRUCT_FROM_MEMBER(http_conn_t, link, node);
        node = node->next;
        if (conn->sock != NULL)
            shutdown(h2o_socket_get_fd(conn->sock), SHUT_RDWR);
        else
            linger_end(conn);
    }
}
