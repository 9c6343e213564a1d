/* basalt-executor: claims jobs from the gateway and carries them out on devices. Talks to the gateway only.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "executor/claim.h"
#include "executor/executor.h"
#include "executor/job.h"
#include "executor/run.h"
#include "executor/settings.h"
#include "executor/status_api.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { STOP_MS = 12000 }; /* tools/down waits for 15 s */

typedef struct {
    executor_t executor;
    loop_t *loop;
    http_server_t *server;
    status_api_t api;
    loop_watch_t *signals;
    int signal_fd;
} process_t;

static int fail(const char *what, const err_t *err)
{
    observe(LOG_ERROR, "start_failed", F_CSTR("what", what), F_STR("message", err->message));
    return 1;
}

static void print_help(void)
{
    printf("usage: basalt-executor\n\nClaims jobs from the gateway and carries them out. Configured by the "
           "environment "
           "(or the file named by BASALT_ENV):\n\n");
    for (const config_key_t *key = EXECUTOR_CONFIG_KEYS; key->names != NULL; key++)
        printf("  %s%s%s\n      %s\n", key->names, key->fallback != NULL ? " = " : "",
               key->fallback != NULL ? key->fallback : "", key->help);
}

/* Files that hold no secret of anybody else, and no core dump with passwords in it. */
static err_t *prepare_process(pool_t *pool, const config_t *config)
{
    log_level_t level;
    str_t file = config_str(config, "LOG_FILE");
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!log_level_parse(config_str(config, "LOG_LEVEL"), &level))
        return err_make(pool, 0, ERR_FAMILY_REQUEST, "config",
                        "LOG_LEVEL must be error, warn, info or debug");
    log_set_level(level);
    if (file.len > 0) {
        int fd = open(pool_cstr(pool, file), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0)
            return err_make(pool, 0, ERR_FAMILY_REQUEST, "config", "LOG_FILE cannot be opened: %s",
                            strerror(errno));
        log_set_fd(fd);
    }
    return NULL;
}

static int within(int64_t value, int low, int high)
{
    return value < low ? low : (value > high ? high : (int)value);
}

static err_t *fill(executor_t *executor, const config_t *config, pool_t *pool)
{
    static const redfish_guard_options_t GUARD = {.concurrent_max = 4,
                                                  .delay_ms = 500,
                                                  .failures_max = 3,
                                                  .refused_ms = 30 * 60 * 1000,
                                                  .unwell_ms = 60 * 1000};
    char host[256] = "unknown";
    gethostname(host, sizeof(host) - 1);
    str_t id = config_str(config, "BASALT_EXECUTOR_ID");
    pthread_condattr_t monotonic;
    executor->config = config;
    executor->pool = pool;
    executor->hostname = pool_str(pool, str_from_c(host));
    executor->id = id.len > 0 ? id : executor->hostname;
    executor->boot_id = rand_uuid(pool);
    executor->started_us = clock_mono_us();
    executor->started_at = clock_iso8601(pool, clock_unix_ms());
    executor->jobs_max = within(config_int(config, "MAX_CONCURRENT_JOBS"), 1, 100);
    executor->poll_ms = within(config_int(config, "POLL_INTERVAL_SECONDS"), 1, 3600) * 1000;
    executor->lease_seconds = within(config_int(config, "BASALT_LEASE_SECONDS"), 5, 3600);
    executor->device_addresses =
        config_bool(config, "BASALT_ALLOW_LOCAL_TARGETS") ? TARGET_ANY : TARGET_REMOTE;
    executor->guard = redfish_guard_create(&GUARD);
    executor->settings = settings_cache_create();
    pthread_mutex_init(&executor->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&executor->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return gateway_address_parse(pool, config_str(config, "SUPABASE_URL"),
                                 config_str(config, "SERVICE_ROLE_KEY"), config_str(config, "BASALT_CA_FILE"),
                                 &executor->gateway);
}

static void on_signal(void *arg)
{
    process_t *process = arg;
    struct signalfd_siginfo info;
    while (read(process->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        loop_stop(process->loop);
}

static void watch_signals(process_t *process)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    process->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    process->signals = loop_watch_create(process->loop, process->signal_fd, on_signal, NULL, process);
    loop_watch_want_read(process->signals, true);
}

static err_t *start_api(process_t *process, pool_t *pool)
{
    static const http_limits_t LIMITS = {.body_max = 1 << 20,
                                         .connections_max = 200,
                                         .connections_per_addr = 0,
                                         .request_timeout_ms = 10000,
                                         .idle_timeout_ms = 30000,
                                         .url_max = 4096,
                                         .trusted_proxies = STR("127.0.0.0/8,::1")};
    if (!config_bool(process->executor.config, "API_SERVER_ENABLED"))
        return NULL;
    process->server = http_server_create(process->loop, &LIMITS);
    process->api = (status_api_t){&process->executor, idm_api_create(&process->executor, process->loop),
                                  instant_api_create(&process->executor, process->loop)};
    return status_api_start(&process->api, process->server, pool);
}

/* New work stops at once; jobs get a while to come to a point from which another executor can go on. */
static void stop(executor_t *executor)
{
    observe(LOG_INFO, "stopping", F_INT("jobs", executor->job_count));
    pthread_mutex_lock(&executor->mutex);
    executor->is_stopping = executor->is_stream_over = true;
    for (job_t *job = executor->jobs; job != NULL; job = job->next)
        job->is_halted = true;
    pthread_cond_broadcast(&executor->wake);
    pthread_mutex_unlock(&executor->mutex);
    if (!run_wait_idle(executor, STOP_MS))
        observe(LOG_WARN, "jobs_left", F_INT("jobs", executor->job_count));
}

static int run(process_t *process)
{
    executor_t *executor = &process->executor;
    pthread_t claim, stream, lease;
    bool has_stream = config_bool(executor->config, "BASALT_EXECUTOR_STREAM");
    pthread_create(&lease, NULL, lease_thread, executor);
    pthread_create(&claim, NULL, claim_thread, executor);
    if (has_stream)
        pthread_create(&stream, NULL, stream_thread, executor);
    observe(LOG_INFO, "started", F_STR("executor_id", executor->id),
            F_STR("gateway", executor->gateway.base_url), F_INT("jobs_max", executor->jobs_max));
    loop_run(process->loop);
    stop(executor);
    pthread_join(claim, NULL);
    if (has_stream)
        pthread_join(stream, NULL);
    if (executor->jobs == NULL)
        pthread_join(lease, NULL);
    return executor->jobs == NULL ? 0 : 2;
}

int main(int argc, char **argv)
{
    static process_t process;
    if (argc > 1) {
        print_help();
        return strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    pool_t *pool = pool_create();
    config_t *config = NULL;
    err_t *err = config_load(pool, EXECUTOR_CONFIG_KEYS, getenv("BASALT_ENV"), &config);
    if (err == NULL)
        err = prepare_process(pool, config);
    if (err != NULL)
        return fail("configuration", err);
    fetch_global_init();
    process.loop = loop_create();
    watch_signals(&process);
    err = fill(&process.executor, config, pool);
    if (err == NULL)
        err = start_api(&process, pool);
    if (err != NULL)
        return fail("configuration", err);
    int status = run(&process);
    if (status != 0)
        _exit(status); /* a thread still waits for a device: its lease runs out, the job goes on elsewhere */
    idm_api_destroy(process.api.idm);
    instant_api_destroy(process.api.instant);
    if (process.server != NULL)
        http_server_destroy(process.server);
    /* The loop stays: libh2o 2.2.5 cannot give all of it back. */
    loop_watch_destroy(process.signals);
    redfish_guard_destroy(process.executor.guard);
    settings_cache_destroy(process.executor.settings);
    fetch_global_cleanup();
    config_destroy(config);
    pool_destroy(pool);
    return 0;
}
