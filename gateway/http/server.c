#include "http/server.h"

#include "base/chain.h"
#include "base/observe.h"
#include "http/internal.h"

#include <signal.h>
#include <stdlib.h>

#define SWEEP_MS 1000
#define DRAIN_SWEEP_MS 50
#define FLUSHES_PER_TURN 500 /* a broadcast to thousands of sockets must leave room for requests */
#define DESTROY_TURNS 1000
#define DESTROY_TURN_MS 10

typedef struct {
    h2o_handler_t super;
} dispatcher_t;

static int on_request(h2o_handler_t *self, h2o_req_t *native)
{
    (void)self;
    http_conn_t *conn = http_conn_of(native);
    http_request_t *request = http_request_create(conn, native);
    if (http_guard_refuses(conn->server, request))
        return 0;
    conn->listener->handler(conn->listener->arg, request);
    /* The request may be gone by now, but the connection closes only through the loop. */
    if (conn->request == request && request->state == HTTP_STATE_OPEN)
        http_conn_watch_client(conn);
    return 0;
}

/* --- gathered writes --- */

void http_server_schedule_flush(http_server_t *server, http_flush_t *flush)
{
    if (h2o_linklist_is_linked(&flush->link))
        return;
    h2o_linklist_insert(&server->flushes, &flush->link);
    loop_want_turn(server->loop);
}

static void on_turn_end(void *arg)
{
    http_server_t *server = arg;
    for (size_t i = 0; i < FLUSHES_PER_TURN && !h2o_linklist_is_empty(&server->flushes); i++) {
        http_flush_t *flush = H2O_STRUCT_FROM_MEMBER(http_flush_t, link, server->flushes.next);
        h2o_linklist_unlink(&flush->link);
        flush->fn(flush->arg);
    }
    if (!h2o_linklist_is_empty(&server->flushes))
        loop_want_turn(server->loop);
}

/* --- life --- */

static void on_sweep(void *arg)
{
    http_server_t *server = arg;
    http_conn_sweep(server);
    chain_release_spares();
    if (server->is_draining)
        http_conn_close_idle(server);
    loop_timer_start(server->loop, &server->sweep, server->is_draining ? DRAIN_SWEEP_MS : SWEEP_MS, on_sweep,
                     server);
}

static void keep_limits(http_server_t *server, const http_limits_t *limits)
{
    client_addr_set_destroy(server->proxies);
    client_addr_set_destroy(server->uncounted);
    server->proxies = client_addr_set_create(limits->trusted_proxies);
    server->uncounted = client_addr_set_create(limits->uncounted_addrs);
    server->limits = *limits;
    server->limits.trusted_proxies = server->limits.uncounted_addrs = STR_NULL;
}

http_server_t *http_server_create(loop_t *loop, const http_limits_t *limits)
{
    signal(SIGPIPE, SIG_IGN); /* libh2o writes to sockets whose peer may be gone */
    http_server_t *server = h2o_mem_alloc(sizeof(*server));
    memset(server, 0, sizeof(*server));
    server->loop = loop;
    server->addr_counts = map_create(NULL, 64);
    h2o_linklist_init_anchor(&server->conns);
    h2o_linklist_init_anchor(&server->flushes);
    keep_limits(server, limits);
    http_guard_config(server);
    h2o_hostconf_t *host =
        h2o_config_register_host(&server->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_handler_t *handler = h2o_create_handler(&host->fallback_path, sizeof(dispatcher_t));
    handler->on_req = on_request;
    http_guard_filter(&host->fallback_path);
    h2o_context_init(&server->context, loop_native(loop), &server->config);
    loop_on_turn_end(loop, on_turn_end, server);
    loop_timer_start(loop, &server->sweep, SWEEP_MS, on_sweep, server);
    return server;
}

void http_server_set_limits(http_server_t *server, const http_limits_t *limits)
{
    keep_limits(server, limits);
    http_guard_apply_limits(server);
}

static void destroy_listeners(http_server_t *server)
{
    while (server->listeners != NULL) {
        http_listener_t *listener = server->listeners;
        server->listeners = listener->next;
        http_listener_destroy(listener);
    }
}

void http_server_destroy(http_server_t *server)
{
    server->is_draining = true;
    server->on_drained = NULL;
    loop_timer_stop(&server->sweep);
    loop_timer_stop(&server->drain_deadline);
    for (http_listener_t *l = server->listeners; l != NULL; l = l->next)
        http_listener_close(l);
    http_conn_shutdown_all(server);
    for (int i = 0; i < DESTROY_TURNS && server->conn_count != 0; i++)
        loop_turn(server->loop, DESTROY_TURN_MS);
    if (server->conn_count != 0)
        observe(LOG_ERROR, "http_connections_left", F_INT("count", (int64_t)server->conn_count));
    destroy_listeners(server);
    h2o_multithread_queue_t *queue = server->context.queue;
    h2o_context_dispose(&server->context);
    free(queue); /* libh2o up to 2.2.6 closes it but does not free it */
    h2o_config_dispose(&server->config);
    map_destroy(server->addr_counts);
    client_addr_set_destroy(server->proxies);
    client_addr_set_destroy(server->uncounted);
    loop_off_turn_end(server->loop, on_turn_end, server);
    free(server);
}

size_t http_server_connections(const http_server_t *server)
{
    return server->conn_count;
}

/* --- draining --- */

static void drained(http_server_t *server)
{
    void (*on_drained)(void *arg) = server->on_drained;
    server->on_drained = NULL;
    loop_timer_stop(&server->drain_deadline);
    if (on_drained != NULL)
        on_drained(server->on_drained_arg);
}

bool http_server_is_full(const http_server_t *server)
{
    return server->conn_count - server->reserved_count >= server->limits.connections_max;
}

size_t http_server_bodies_over(const http_server_t *server, size_t received)
{
    size_t sum = server->body_bytes + received, max = server->limits.bodies_max;
    return max != 0 && sum > max ? sum - max : 0;
}

void http_server_conn_closed(http_server_t *server)
{
    server->conn_count--;
    if (server->is_draining) {
        if (server->conn_count == 0)
            drained(server);
        return;
    }
    if (!server->is_paused || http_server_is_full(server))
        return;
    server->is_paused = false;
    for (http_listener_t *l = server->listeners; l != NULL; l = l->next)
        http_listener_pause(l, false);
}

static void on_last_call(void *arg)
{
    drained(arg);
}

static void on_drain_deadline(void *arg)
{
    http_server_t *server = arg;
    observe(LOG_WARN, "http_drain_deadline", F_INT("connections", (int64_t)server->conn_count));
    loop_timer_start(server->loop, &server->drain_deadline, SWEEP_MS, on_last_call, server);
    http_conn_shutdown_all(server);
}

void http_server_drain(http_server_t *server, int deadline_ms, void (*on_drained)(void *arg), void *arg)
{
    server->is_draining = true;
    server->on_drained = on_drained;
    server->on_drained_arg = arg;
    for (http_listener_t *l = server->listeners; l != NULL; l = l->next) {
        http_listener_accept_all(l); /* the system breaks those that wait for it when it closes */
        http_listener_close(l);
    }
    server->context.shutdown_requested = 1; /* the library's function would also start HTTP/2 timers */
    h2o_linklist_t *node = server->conns.next;
    while (node != &server->conns) {
        http_conn_t *conn = H2O_STRUCT_FROM_MEMBER(http_conn_t, link, node);
        node = node->next;
        if (conn->ws != NULL)
            ws_drain(conn->ws);
    }
    loop_timer_start(server->loop, &server->drain_deadline, deadline_ms, on_drain_deadline, server);
    if (server->conn_count == 0)
        loop_timer_start(server->loop, &server->drain_deadline, 0, on_last_call, server);
    else
        on_sweep(server);
}
