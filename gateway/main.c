/* basalt-gateway: reads configuration, builds the process context, registers the rooms, waits for signals. */
#include "admin/admin.h"
#include "api/events.h"
#include "api/inspect.h"
#include "api/respond.h"
#include "api/route.h"
#include "auth/auth.h"
#include "base/fetch.h"
#include "base/log.h"
#include "executor_proxy/executor_proxy.h"
#include "functions/functions.h"
#include "jobs/jobs.h"
#include "options.h"
#include "realtime/realtime.h"
#include "reload.h"
#include "rest/rest.h"
#include "scheduler/scheduler.h"
#include "schema/cache.h"
#include "site/site.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BASALT_VERSION "0.1.0"
#define MAIL_WORKERS 4
#define MAILS_WAITING_MAX 200

typedef struct {
    gateway_t gateway;
    const char *config_file;
    pool_t *pool; /* life of the process */
    loop_watch_t *signals;
    int signal_fd;
    reload_t *reload;
    bool is_stopping;
} process_t;

static int fail(const err_t *err, const char *what)
{
    observe(LOG_ERROR, "start_failed", F_CSTR("what", what), F_STR("message", err->message),
            F_STR("details", err->details));
    return 1;
}

/* --- configuration
 * ------------------------------------------------------------------------------------------- */

/* --- signals
 * ------------------------------------------------------------------------------------------------- */

static void on_drained(void *arg)
{
    process_t *process = arg;
    loop_stop(process->gateway.loop);
}

static void stop(process_t *process)
{
    gateway_t *gateway = &process->gateway;
    if (process->is_stopping) { /* asked twice: at once */
        loop_stop(gateway->loop);
        return;
    }
    process->is_stopping = gateway->is_draining = true;
    observe(LOG_INFO, "draining", F_INT("connections", (int64_t)http_server_connections(gateway->server)));
    api_event_emit(gateway, API_EVENT_DRAIN, STR_NULL);
    http_server_drain(gateway->server, (int)config_int(gateway->config, "BASALT_DRAIN_TIMEOUT"), on_drained,
                      process);
}

static void on_signal(void *arg)
{
    process_t *process = arg;
    struct signalfd_siginfo info;
    while (read(process->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
            reload_now(process->reload);
            break;
        case SIGUSR1: /* PostgREST's signal for a schema reload */
            schema_cache_reload(process->gateway.schema);
            break;
        default:
            stop(process);
        }
    }
}

/* Blocks the signals for all threads made later; they arrive at the loop through a descriptor. */
static void watch_signals(process_t *process)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    process->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* --- building
 * ------------------------------------------------------------------------------------------------ */

static err_t *create_services(gateway_t *gateway, pool_t *pool)
{
    const config_t *config = gateway->config;
    http_limits_t limits = options_http_limits(config);
    db_pool_options_t request = options_db_pool(config, "request", "PGRST_DB_URI", "PGRST_DB_POOL");
    db_pool_options_t internal =
        options_db_pool(config, "internal", "BASALT_INTERNAL_DB_URI", "BASALT_INTERNAL_POOL");
    token_options_t tokens = options_token(pool, config);
    size_t sessions = (size_t)config_int(config, "BASALT_SESSION_POOL");
    err_t *err = token_verifier_create(pool, &tokens, &gateway->tokens);
    if (err != NULL)
        return err;
    gateway->routes = api_routes_create();
    gateway->events = api_events_create();
    gateway->inspect = api_inspect_create();
    gateway->workers = worker_pool_create("task", (size_t)config_int(config, "BASALT_WORKERS"), 0);
    gateway->hash_workers =
        worker_pool_create("hash", (size_t)config_int(config, "BASALT_HASH_WORKERS"), 200);
    gateway->mail_workers = worker_pool_create("mail", MAIL_WORKERS, MAILS_WAITING_MAX);
    gateway->net_workers = worker_pool_create("net", (size_t)config_int(config, "BASALT_NET_WORKERS"), 0);
    gateway->server = http_server_create(gateway->loop, &limits);
    gateway->request_pool = db_pool_create(gateway->loop, &request);
    gateway->request_sessions = db_sessions_create(request.conninfo, sessions, request.acquire_timeout_ms);
    if (!str_is_null(internal.conninfo)) {
        gateway->internal_pool = db_pool_create(gateway->loop, &internal);
        gateway->internal_sessions =
            db_sessions_create(internal.conninfo, sessions, internal.acquire_timeout_ms);
    }
    return NULL;
}

/* --- schema cache
 * -------------------------------------------------------------------------------------------- */

static void on_schema_loaded(void *arg, const schema_snapshot_t *snapshot)
{
    process_t *process = arg;
    (void)snapshot;
    db_pool_flush_statements(process->gateway.request_pool);
    api_event_emit(&process->gateway, API_EVENT_SCHEMA_CHANGED, STR_NULL);
}

static void on_reload_notified(void *arg)
{
    reload_now(((process_t *)arg)->reload);
}

static bool is_schema_loaded(void *arg)
{
    return schema_cache_is_current(((gateway_t *)arg)->schema);
}

static void inspect_schema(void *arg, buf_t *out)
{
    schema_cache_inspect(((gateway_t *)arg)->schema, out);
}

static void create_schema_cache(process_t *process)
{
    static const schema_cache_handlers_t handlers = {on_schema_loaded, on_reload_notified};
    gateway_t *gateway = &process->gateway;
    schema_cache_options_t options = options_schema(process->pool, gateway->config);
    gateway->schema = schema_cache_create(gateway->loop, gateway->request_pool, &options, &handlers, process);
    api_ready_add(gateway, "the schema cache is not loaded", is_schema_loaded, gateway);
    api_inspect_add(gateway, "schema", inspect_schema, gateway);
}

/* --- rooms
 * --------------------------------------------------------------------------------------------------- */

static void inspect_pools(void *arg, buf_t *out)
{
    gateway_t *gateway = arg;
    buf_append_char(out, '[');
    db_pool_inspect(gateway->request_pool, out);
    if (gateway->internal_pool != NULL) {
        buf_append_char(out, ',');
        db_pool_inspect(gateway->internal_pool, out);
    }
    buf_append_char(out, ']');
}

static void answer_health(void *arg, api_context_t *ctx)
{
    gateway_t *gateway = arg;
    const char *why = gateway->is_draining ? "shutting down" : api_not_ready(gateway);
    buf_t out;
    emit_t emit;
    buf_init(&out, ctx->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "status", why == NULL ? STR("ok") : STR("unavailable"));
    emit_kv_string(&emit, "version", STR(BASALT_VERSION));
    if (why != NULL)
        emit_kv_string(&emit, "reason", str_from_c(why));
    emit_object_end(&emit);
    api_respond_json(ctx, why == NULL ? 200 : 503, buf_str(&out));
}

static void register_rooms(gateway_t *gateway, pool_t *pool)
{
    api_route_add(gateway,
                  &(api_route_t){"/health", API_STYLE_FUNCTION, answer_health, gateway, NULL, NULL, false});
    api_inspect_add(gateway, "pools", inspect_pools, gateway);
    rest_register(gateway, pool);
    auth_register(gateway, pool);
    realtime_register(gateway, pool);
    functions_register(gateway, pool);
    jobs_register(gateway, pool);
    executor_proxy_register(gateway, pool);
    site_register(gateway, pool);
    scheduler_register(gateway, pool);
}

static err_t *listen_at(gateway_t *gateway, pool_t *pool, str_t address, http_handler_fn handler,
                        bool may_use_tls)
{
    http_listen_t listen = {.handler = handler, .arg = gateway, .is_reserved = handler == admin_dispatch};
    uint16_t port = 0;
    if (address.len > 0 && address.base[0] == '/') {
        listen.unix_path = address;
    } else {
        size_t colon = address.len;
        while (colon > 0 && address.base[colon - 1] != ':')
            colon--;
        int64_t number = -1;
        if (colon == 0 || !str_to_int64(str_slice(address, colon, address.len), &number) || number < 0 ||
            number > 65535)
            return err_make(pool, 0, ERR_FAMILY_REQUEST, "", "not an address (host:port or /path): %.*s",
                            STR_ARG(address));
        listen.host = str_slice(address, 0, colon - 1);
        listen.port = (uint16_t)number;
    }
    if (may_use_tls) {
        listen.tls_cert = config_str(gateway->config, "BASALT_TLS_CERT");
        listen.tls_key = config_str(gateway->config, "BASALT_TLS_KEY");
    }
    err_t *err = http_server_listen(gateway->server, pool, &listen, &port);
    if (err != NULL)
        return err_make(pool, 0, ERR_FAMILY_OVERLOAD, "", "cannot listen on %.*s: %.*s", STR_ARG(address),
                        STR_ARG(err->message));
    observe(LOG_INFO, "listening", F_STR("address", address), F_INT("port", port));
    return NULL;
}

static err_t *listen_all(gateway_t *gateway, pool_t *pool)
{
    const config_t *config = gateway->config;
    str_t rest = options_address(config, pool, "BASALT_LISTEN", "PGRST_SERVER_HOST", "PGRST_SERVER_PORT");
    str_t admin = options_address(config, pool, "BASALT_ADMIN_LISTEN", "PGRST_ADMIN_SERVER_HOST",
                                  "PGRST_ADMIN_SERVER_PORT");
    err_t *err = NULL;
    while (err == NULL && !str_is_null(rest)) {
        str_t address = str_trim(str_split(&rest, ','));
        if (address.len > 0)
            err = listen_at(gateway, pool, address, api_dispatch, true);
    }
    if (err == NULL && config_str(config, "PGRST_SERVER_UNIX_SOCKET").len > 0)
        err = listen_at(gateway, pool, config_str(config, "PGRST_SERVER_UNIX_SOCKET"), api_dispatch, false);
    if (err == NULL && admin.len > 0)
        err = listen_at(gateway, pool, admin, admin_dispatch, false);
    return err;
}

/* No more requests, then no more tasks, then the rooms with what they listen to, then what they stood on. */
static void dispose(gateway_t *gateway, pool_t *rooms)
{
    http_server_destroy(gateway->server);
    worker_pool_destroy(gateway->workers);
    worker_pool_destroy(gateway->hash_workers);
    worker_pool_destroy(gateway->mail_workers);
    worker_pool_destroy(gateway->net_workers);
    gateway->workers = gateway->hash_workers = gateway->net_workers = NULL; /* no more submits */
    loop_turn(gateway->loop, 0); /* what the workers finished last is told while the rooms still stand */
    pool_destroy(rooms);
    schema_cache_destroy(gateway->schema);
    db_sessions_destroy(gateway->internal_sessions);
    db_sessions_destroy(gateway->request_sessions);
    if (gateway->internal_pool != NULL)
        db_pool_destroy(gateway->internal_pool);
    db_pool_destroy(gateway->request_pool);
    token_verifier_destroy(gateway->tokens);
    api_inspect_destroy(gateway->inspect);
    api_events_destroy(gateway->events);
    api_routes_destroy(gateway->routes);
    config_destroy(gateway->config);
    loop_destroy(gateway->loop);
}

static int serve(process_t *process)
{
    gateway_t *gateway = &process->gateway;
    pool_t *rooms = pool_create(); /* state of the rooms: goes before the services that they use */
    watch_signals(process);
    fetch_global_init();
    gateway->loop = loop_create();
    err_t *err = create_services(gateway, process->pool);
    if (err != NULL)
        return fail(err, "configuration");
    process->reload = reload_create(gateway, process->config_file, rooms);
    reload_start(process->reload);
    create_schema_cache(process);
    register_rooms(gateway, rooms);
    err = listen_all(gateway, process->pool);
    if (err != NULL)
        return fail(err, "listen");
    process->signals = loop_watch_create(gateway->loop, process->signal_fd, on_signal, NULL, process);
    loop_watch_want_read(process->signals, true);
    observe(LOG_INFO, "started", F_CSTR("version", BASALT_VERSION), F_INT("pid", getpid()));
    loop_run(gateway->loop);
    loop_watch_destroy(process->signals);
    dispose(gateway, rooms);
    fetch_global_cleanup();
    observe(LOG_INFO, "stopped", F_INT("pid", getpid()));
    return 0;
}

/* --- command line
 * -------------------------------------------------------------------------------------------- */

static int dump_config(const config_t *config)
{
    buf_t out;
    buf_init(&out, NULL, 4096);
    config_dump(config, &out, false);
    fwrite(out.base, 1, out.len, stdout);
    buf_dispose(&out);
    return 0;
}

static int usage(void)
{
    printf("basalt-gateway " BASALT_VERSION "\n"
           "usage: basalt-gateway [--dump-config | --version | --help] [FILE]\n\n"
           "FILE holds NAME=value lines; the environment wins over it. Keys:\n");
    for (const config_key_t *key = GATEWAY_CONFIG_KEYS; key->names != NULL; key++)
        printf("  %s\n      %s%s%s%s\n", key->names, key->help, key->fallback != NULL ? " [" : "",
               key->fallback != NULL ? key->fallback : "", key->fallback != NULL ? "]" : "");
    return 0;
}

int main(int argc, char **argv)
{
    process_t process = {0};
    bool wants_dump = false;
    for (int i = 1; i < argc; i++) {
        str_t arg = str_from_c(argv[i]);
        if (str_eq(arg, STR("--help")) || str_eq(arg, STR("-h")))
            return usage();
        if (str_eq(arg, STR("--version")) || str_eq(arg, STR("-v")))
            return printf("basalt-gateway " BASALT_VERSION "\n") < 0;
        if (str_eq(arg, STR("--dump-config")))
            wants_dump = true;
        else
            process.config_file = argv[i];
    }
    if (process.config_file == NULL)
        process.config_file = getenv("BASALT_ENV");
    /* Large bodies go back to the system when they are freed. */
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    process.pool = pool_create();
    int status = 0;
    err_t *err = config_load(process.pool, GATEWAY_CONFIG_KEYS, process.config_file, &process.gateway.config);
    if (err == NULL)
        err = reload_apply_log_level(process.pool, process.gateway.config);
    if (err != NULL)
        status = fail(err, "configuration");
    else
        status = wants_dump ? dump_config(process.gateway.config) : serve(&process);
    pool_destroy(process.pool);
    return status;
}
