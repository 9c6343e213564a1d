/* basalt-gateway: reads configuration, builds the process context, registers the rooms, waits for signals. */
#include "admin/admin.h"
#include "api/events.h"
#include "api/inspect.h"
#include "api/respond.h"
#include "api/route.h"
#include "auth/auth.h"
#include "base/crypt.h"
#include "base/fetch.h"
#include "base/log.h"
#include "db/offload.h"
#include "dump_schema.h"
#include "executor_proxy/executor_proxy.h"
#include "functions/functions.h"
#include "jobs/jobs.h"
#include "listen.h"
#include "options.h"
#include "options_check.h"
#include "pace.h"
#include "postgrest.h"
#include "realtime/realtime.h"
#include "reload.h"
#include "rest/rest.h"
#include "scheduler/scheduler.h"
#include "schema/cache.h"
#include "schema/dump.h"
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
#define LAST_CALLS_MS 200 /* for connections that are being opened at the end */

typedef struct {
    gateway_t gateway;
    const char *config_file;
    pool_t *pool; /* life of the process */
    loop_watch_t *signals;
    int signal_fd;
    reload_t *reload;
    bool is_stopping;
    bool is_postgrest;  /* started under that name */
    bool is_api_waited; /* its listeners are opened when the schema cache is loaded */
    int status;         /* of the exit */
} process_t;

static int fail(const err_t *err, const char *what)
{
    observe(LOG_ERROR, "start_failed", F_CSTR("what", what), F_STR("message", err->message),
            F_STR("details", str_is_null(err->details) ? STR("") : err->details));
    return 1;
}

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

/* What cannot go on ends the process; its supervisor decides what then. */
static void give_up(process_t *process, const char *why, str_t reason)
{
    observe(LOG_ERROR, "giving_up", F_CSTR("why", why), F_STR("reason", str_trim(reason)));
    process->status = 1;
    loop_stop(process->gateway.loop);
}

/* PostgREST's signal: new connections, settings of the database, schema. */
static void renew(process_t *process)
{
    db_pool_renew(process->gateway.request_pool);
    if (config_bool(process->gateway.config, "PGRST_DB_CONFIG"))
        reload_now(process->reload);
    schema_cache_reload(process->gateway.schema);
}

static void on_signal(void *arg)
{
    process_t *process = arg;
    struct signalfd_siginfo info;
    while (read(process->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
        case SIGUSR2: /* PostgREST's */
            reload_now(process->reload);
            break;
        case SIGUSR1:
            renew(process);
            break;
        default:
            observe(LOG_INFO, "signal", F_CSTR("name", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"));
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
    sigaddset(&set, SIGUSR2);
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
    token_options_t tokens = options_token(config);
    size_t sessions = (size_t)config_int(config, "BASALT_SESSION_POOL");
    err_t *err = token_verifier_create(pool, &tokens, &gateway->tokens);
    if (err != NULL)
        return err;
    gateway->routes = api_routes_create();
    gateway->events = api_events_create();
    gateway->inspect = api_inspect_create();
    gateway->workers = worker_pool_create("task", (size_t)config_int(config, "BASALT_WORKERS"),
                                          (size_t)config_int(config, "BASALT_WORKER_QUEUE"));
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

/* --- the database comes and goes
 * ---------------------------------------------------------------------------------------- */

static bool is_refused_password(str_t reason)
{
    return str_find(reason, STR("password authentication failed"), 0) != SIZE_MAX ||
           str_find(reason, STR("no password supplied"), 0) != SIZE_MAX;
}

/* PostgREST ends when its password is refused at the start, and at any loss without automatic recovery. */
static void on_database(void *arg, bool is_up)
{
    process_t *process = arg;
    db_pool_t *pool = process->gateway.request_pool;
    bool is_first = db_pool_server_version(pool) == 0;
    if (is_up)
        return;
    if (!config_bool(process->gateway.config, "PGRST_DB_POOL_AUTOMATIC_RECOVERY"))
        give_up(process, "automatic recovery is off", db_pool_connect_error(pool));
    else if (process->is_postgrest && is_first && is_refused_password(db_pool_connect_error(pool)))
        give_up(process, "the database refuses the password", db_pool_connect_error(pool));
}

static void on_channel_lost(void *arg)
{
    process_t *process = arg;
    if (!config_bool(process->gateway.config, "PGRST_DB_POOL_AUTOMATIC_RECOVERY"))
        give_up(process, "automatic recovery is off", STR("the LISTEN connection was lost"));
}

/* --- schema cache
 * -------------------------------------------------------------------------------------------- */

static void open_api(process_t *process)
{
    if (!process->is_api_waited)
        return;
    process->is_api_waited = false;
    err_t *err = listen_api(&process->gateway, process->pool);
    if (err != NULL)
        give_up(process, "cannot listen", err->message);
}

static void on_schema_loaded(void *arg, const schema_snapshot_t *snapshot)
{
    process_t *process = arg;
    (void)snapshot;
    db_pool_flush_statements(process->gateway.request_pool);
    api_event_emit(&process->gateway, API_EVENT_SCHEMA_CHANGED, STR_NULL);
    open_api(process);
}

/* An error that clients can read is better than a closed port, except where another process has it open. */
static void on_schema_failed(void *arg)
{
    process_t *process = arg;
    if (!config_bool(process->gateway.config, "PGRST_SERVER_REUSEPORT"))
        open_api(process);
}

static void on_reload_notified(void *arg)
{
    reload_now(((process_t *)arg)->reload);
}

static bool is_schema_loaded(void *arg)
{
    return schema_cache_is_current(((gateway_t *)arg)->schema);
}

static bool is_database_there(void *arg)
{
    return db_pool_is_up(((gateway_t *)arg)->request_pool);
}

/* The one connection that is always open: without requests nothing else would tell that the database went. */
static bool has_channel(void *arg)
{
    return !schema_cache_has_lost_channel(((gateway_t *)arg)->schema);
}

static bool is_api_open(void *arg)
{
    return !((process_t *)arg)->is_api_waited;
}

static void inspect_schema(void *arg, buf_t *out)
{
    schema_cache_inspect(((gateway_t *)arg)->schema, out);
}

static void dump_snapshot(void *arg, buf_t *out)
{
    const schema_snapshot_t *snapshot = schema_cache_get(((gateway_t *)arg)->schema);
    if (snapshot != NULL)
        schema_dump(snapshot, out);
    else
        buf_append_lit(out, "null");
}

static void create_schema_cache(process_t *process)
{
    static const schema_cache_handlers_t handlers = {on_schema_loaded, on_reload_notified, on_schema_failed,
                                                     on_channel_lost};
    gateway_t *gateway = &process->gateway;
    schema_cache_options_t options = options_schema(process->pool, gateway->config);
    gateway->schema = schema_cache_create(gateway->loop, gateway->request_pool, &options, &handlers, process);
    api_ready_add(gateway, "the schema cache is not loaded", is_schema_loaded, gateway);
    api_ready_add(gateway, "the database is away", is_database_there, gateway);
    api_ready_add(gateway, "the database's notifications are not heard", has_channel, gateway);
    api_ready_add(gateway, "the API's listeners are not open", is_api_open, process);
    api_inspect_add(gateway, "schema", inspect_schema, gateway);
    api_inspect_add(gateway, "schema_cache", dump_snapshot, gateway);
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
    /* at the root a table may have that name */
    if (!str_eq(config_str(gateway->config, "BASALT_REST_PREFIX"), STR("/")))
        api_route_add(gateway, &(api_route_t){"/health", API_STYLE_FUNCTION, answer_health, gateway, NULL,
                                              NULL, false});
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
    process->is_api_waited = config_bool(gateway->config, "BASALT_LISTEN_WHEN_LOADED") ||
                             config_bool(gateway->config, "PGRST_SERVER_REUSEPORT");
    db_pool_on_state(gateway->request_pool, on_database, process);
    process->reload = reload_create(gateway, process->config_file, rooms);
    reload_start(process->reload);
    create_schema_cache(process);
    register_rooms(gateway, rooms);
    err = listen_admin(gateway, process->pool);
    if (err == NULL && !process->is_api_waited)
        err = listen_api(gateway, process->pool);
    process->signals = loop_watch_create(gateway->loop, process->signal_fd, on_signal, NULL, process);
    loop_watch_want_read(process->signals, true);
    if (err == NULL) {
        observe(LOG_INFO, "started", F_CSTR("version", BASALT_VERSION), F_INT("pid", getpid()));
        pace_t *pace = config_bool(gateway->config, "BASALT_BATCH")
                           ? pace_create(gateway->loop, gateway->request_pool)
                           : NULL;
        loop_run(gateway->loop);
        pace_destroy(pace);
    } else {
        process->status = fail(err, "listen");
    }
    loop_watch_destroy(process->signals);
    dispose(gateway, rooms);
    fetch_global_cleanup();
    observe(LOG_INFO, "stopped", F_INT("pid", getpid()));
    return process->status;
}

/* --- command line
 * -------------------------------------------------------------------------------------------- */

static int dump_config(config_t *config, bool is_postgrest)
{
    buf_t out;
    buf_init(&out, NULL, 4096);
    if (is_postgrest)
        postgrest_dump(config, &out);
    else
        config_dump(config, &out, false);
    fwrite(out.base, 1, out.len, stdout);
    buf_dispose(&out);
    return 0;
}

static int usage(void)
{
    printf("basalt-gateway " BASALT_VERSION "\n"
           "usage: basalt-gateway [--dump-config | --dump-schema | --ready | --example | --version | --help] "
           "[FILE]\n\n"
           "FILE holds NAME=value lines, or name = \"value\" as PostgREST's does; the environment wins over "
           "it.\n"
           "--dump-config prints what is in force, --dump-schema the schema cache as JSON, --ready asks the "
           "admin\n"
           "listener of a running gateway, --example prints a file to begin with. Keys:\n");
    for (const config_key_t *key = GATEWAY_CONFIG_KEYS; key->names != NULL; key++)
        printf("  %s\n      %s%s%s%s\n", key->names, key->help, key->fallback != NULL ? " [" : "",
               key->fallback != NULL ? key->fallback : "", key->fallback != NULL ? "]" : "");
    return 0;
}

typedef enum {
    COMMAND_SERVE,
    COMMAND_DUMP,
    COMMAND_DUMP_SCHEMA,
    COMMAND_READY,
    COMMAND_HELP,
    COMMAND_VERSION,
    COMMAND_EXAMPLE
} command_t;

static command_t read_arguments(process_t *process, int argc, char **argv)
{
    static const struct {
        const char *names[2];
        command_t command;
    } OPTIONS[] = {{{"--help", "-h"}, COMMAND_HELP},
                   {{"--version", "-v"}, COMMAND_VERSION},
                   {{"--example", "-e"}, COMMAND_EXAMPLE},
                   {{"--dump-config", ""}, COMMAND_DUMP},
                   {{"--dump-schema", ""}, COMMAND_DUMP_SCHEMA},
                   {{"--ready", ""}, COMMAND_READY}};
    command_t command = COMMAND_SERVE;
    for (int i = 1; i < argc; i++) {
        bool is_option = false;
        for (size_t k = 0; k < sizeof(OPTIONS) / sizeof(OPTIONS[0]); k++)
            if (strcmp(argv[i], OPTIONS[k].names[0]) == 0 || strcmp(argv[i], OPTIONS[k].names[1]) == 0) {
                command = OPTIONS[k].command;
                is_option = true;
            }
        if (!is_option)
            process->config_file = argv[i];
    }
    if (process->config_file == NULL)
        process->config_file = getenv("BASALT_ENV");
    return command;
}

static err_t *load_config(process_t *process)
{
    const config_key_t *keys =
        process->is_postgrest ? postgrest_keys(process->pool, GATEWAY_CONFIG_KEYS) : GATEWAY_CONFIG_KEYS;
    config_t **config = &process->gateway.config;
    err_t *err = config_load(process->pool, keys, process->config_file, config);
    if (err == NULL)
        err = options_read_files(process->pool, *config);
    if (err == NULL)
        err = options_check(process->pool, *config);
    if (err == NULL)
        reload_apply_log_level(*config);
    return err;
}

static int run(process_t *process, command_t command)
{
    err_t *err = load_config(process);
    int status;
    if (err == NULL && (command == COMMAND_DUMP || command == COMMAND_DUMP_SCHEMA))
        reload_read_blocking(process->gateway.config);
    if (err != NULL)
        status = fail(err, "configuration");
    else if (command == COMMAND_DUMP)
        status = dump_config(process->gateway.config, process->is_postgrest);
    else if (command == COMMAND_DUMP_SCHEMA)
        status = dump_schema(process->gateway.config);
    else if (command == COMMAND_READY)
        status = postgrest_ready(process->gateway.config);
    else
        return serve(process);
    config_destroy(process->gateway.config);
    return status;
}

int main(int argc, char **argv)
{
    process_t process = {.is_postgrest = postgrest_is_name(argv[0])};
    command_t command = read_arguments(&process, argc, argv);
    if (command == COMMAND_HELP)
        return usage();
    if (command == COMMAND_VERSION)
        return printf("basalt-gateway " BASALT_VERSION "\n") < 0;
    if (command == COMMAND_EXAMPLE)
        return fputs(POSTGREST_EXAMPLE, stdout) < 0;
    /* Large bodies go back to the system when they are freed. */
    crypt_init();
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    process.pool = pool_create();
    int status = run(&process, command);
    pool_destroy(process.pool);
    if (!offload_await(LAST_CALLS_MS))
        _exit(status);
    return status;
}
