#include "executor/status_api.h"

#include "base/clock.h"
#include "base/emit.h"
#include "base/log.h"
#include "executor/api_work.h"

enum { ACTIVE_MS = 20000 };

static bool is_loopback_origin(str_t origin)
{
    static const char *const HOSTS[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t at = str_find(origin, STR("://"), 0);
    if (at == SIZE_MAX)
        return false;
    str_t rest = str_slice(origin, at + 3, origin.len);
    for (size_t i = 0; i < sizeof(HOSTS) / sizeof(HOSTS[0]); i++) {
        str_t host = str_from_c(HOSTS[i]);
        if (str_starts_with(rest, host) && (rest.len == host.len || rest.base[host.len] == ':'))
            return true;
    }
    return false;
}

bool status_api_allows_origin(str_t origin, str_t allowed)
{
    if (is_loopback_origin(origin))
        return true;
    while (!str_is_null(allowed)) {
        str_t one = str_trim(str_split(&allowed, ','));
        if (one.len > 0 && str_eq_nocase(one, origin))
            return true;
    }
    return false;
}

static void write_polling(executor_t *executor, pool_t *pool, emit_t *emit)
{
    int64_t now = clock_unix_ms(), last = executor->last_poll_ms;
    emit_key(emit, STR("polling"));
    emit_object_begin(emit);
    emit_kv_bool(emit, "active", last != 0 && now - last < ACTIVE_MS);
    emit_kv_int(emit, "poll_count", executor->poll_count);
    emit_kv_int(emit, "jobs_processed", executor->jobs_processed);
    emit_kv_string(emit, "last_poll_time", last != 0 ? clock_iso8601(pool, last) : STR_NULL);
    emit_key(emit, STR("last_poll_ago_seconds"));
    if (last != 0)
        emit_double(emit, (double)(now - last) / 1000);
    else
        emit_null(emit);
    emit_kv_string(emit, "last_poll_error",
                   executor->last_error[0] != '\0' ? str_from_c(executor->last_error) : STR_NULL);
    emit_object_end(emit);
}

static str_t build_status(executor_t *executor, pool_t *pool)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 1024);
    emit_init(&emit, &out);
    pthread_mutex_lock(&executor->mutex);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "status", executor->is_stopping ? STR("stopping") : STR("ok"));
    emit_kv_string(&emit, "version", STR(EXECUTOR_VERSION));
    emit_kv_string(&emit, "executor_id", executor->id);
    write_polling(executor, pool, &emit);
    emit_kv_int(&emit, "jobs_running", executor->job_count);
    emit_kv_int(&emit, "uptime_seconds", (clock_mono_us() - executor->started_us) / 1000000);
    emit_kv_string(&emit, "startup_time", executor->started_at);
    emit_kv_raw(&emit, "api_server",
                pool_printf(pool, "{\"running\":true,\"port\":%d}",
                            (int)config_int(executor->config, "API_SERVER_PORT")));
    emit_kv_raw(&emit, "media_server", STR("{\"running\":false}"));
    emit_kv_bool(&emit, "operations_paused", executor->is_paused);
    emit_object_end(&emit);
    pthread_mutex_unlock(&executor->mutex);
    return buf_str(&out);
}

/* False when the origin may not call (answered). */
static bool check_origin(const executor_t *executor, http_request_t *request)
{
    str_t origin = http_header(request, "origin");
    if (str_is_null(origin))
        return true;
    if (!status_api_allows_origin(origin, config_str(executor->config, "BASALT_EXECUTOR_ORIGINS"))) {
        api_send(request, 403, api_error_json(http_pool(request), STR("Origin is not allowed")));
        return false;
    }
    http_set_header(request, STR("Access-Control-Allow-Origin"), origin);
    http_set_header(request, STR("Vary"), STR("Origin"));
    http_set_header(request, STR("Access-Control-Allow-Methods"), STR("GET, POST, PUT, DELETE, OPTIONS"));
    http_set_header(request, STR("Access-Control-Allow-Headers"), STR("Content-Type, Authorization"));
    return true;
}

static void handle(void *arg, http_request_t *request)
{
    status_api_t *api = arg;
    executor_t *executor = api->executor;
    str_t path = http_path(request), method = http_method(request);
    pool_t *pool = http_pool(request);
    if (!check_origin(executor, request))
        return;
    if (str_eq(method, STR("OPTIONS")))
        http_send(request, 200, STR("application/json"), STR(""));
    else if (str_eq(method, STR("GET")) && str_eq(path, STR("/api/health")))
        http_send(request, 200, STR("application/json"),
                  STR("{\"status\":\"ok\",\"version\":\"" EXECUTOR_VERSION "\"}"));
    else if (str_eq(method, STR("GET")) && str_eq(path, STR("/api/status")))
        http_send(request, 200, STR("application/json"), build_status(executor, pool));
    else if (str_eq(method, STR("POST")) && str_eq(path, STR("/api/idm-authenticate")))
        idm_api_handle(api->idm, request);
    else if (!str_eq(method, STR("POST")) || !instant_api_handle(api->instant, request))
        api_send(request, 404, api_error_json(pool, pool_concat(pool, 2, STR("Unknown endpoint: "), path)));
}

err_t *status_api_start(status_api_t *api, http_server_t *server, pool_t *errors)
{
    const executor_t *executor = api->executor;
    uint16_t port = 0;
    http_listen_t listen = {.host = config_str(executor->config, "BASALT_EXECUTOR_LISTEN"),
                            .port = (uint16_t)config_int(executor->config, "API_SERVER_PORT"),
                            .handler = handle,
                            .arg = api};
    err_t *err = http_server_listen(server, errors, &listen, &port);
    if (err == NULL)
        observe(LOG_INFO, "listening", F_STR("address", listen.host), F_INT("port", port));
    return err;
}
