#include "admin/admin.h"

#include "api/inspect.h"
#include "base/metrics.h"

typedef struct {
    const char *path;
    void (*answer)(gateway_t *gateway, http_request_t *request);
} admin_page_t;

static void send_text(http_request_t *request, int status, str_t text)
{
    http_send(request, status, STR("text/plain; charset=utf-8"), text);
}

static bool refuse_unreachable(gateway_t *gateway, http_request_t *request)
{
    bool is_lost = http_server_has_lost_socket(gateway->server);
    if (is_lost)
        send_text(request, 500, STR("the API's unix socket was removed\n"));
    return is_lost;
}

static void answer_live(gateway_t *gateway, http_request_t *request)
{
    if (!refuse_unreachable(gateway, request))
        send_text(request, 200, STR(""));
}

static void answer_ready(gateway_t *gateway, http_request_t *request)
{
    const char *why = gateway->is_draining ? "shutting down" : api_not_ready(gateway);
    if (refuse_unreachable(gateway, request))
        return;
    if (why == NULL)
        send_text(request, 200, STR(""));
    else
        send_text(request, 503, pool_concat(http_pool(request), 2, str_from_c(why), STR("\n")));
}

/* Under PostgREST's names, for what watches it already. */
static void measure_pool(const db_pool_t *pool)
{
    db_pool_figures_t now = db_pool_figures(pool);
    size_t available = now.size_max > now.busy ? now.size_max - now.busy : 0;
    metric_set(metric_gauge("pgrst_db_pool_max", "Connections that the pool may have", ""),
               (int64_t)now.size_max);
    metric_set(metric_gauge("pgrst_db_pool_available", "Connections without work, open or not", ""),
               (int64_t)available);
    metric_set(metric_gauge("pgrst_db_pool_waiting", "Requests that wait for a connection", ""),
               (int64_t)now.waiting);
    metric_set(metric_counter("pgrst_db_pool_timeouts_total", "Requests that got no connection in time", ""),
               now.acquire_timeouts);
}

static void answer_metrics(gateway_t *gateway, http_request_t *request)
{
    buf_t out;
    buf_init(&out, http_pool(request), 8192);
    metric_set(metric_gauge("basalt_connections", "Client connections", ""),
               (int64_t)http_server_connections(gateway->server));
    metric_set(metric_gauge("basalt_tasks_waiting", "Sequential handlers waiting for a worker", ""),
               (int64_t)worker_waiting(gateway->workers));
    measure_pool(gateway->request_pool);
    metrics_write(&out);
    http_send(request, 200, STR("text/plain; charset=utf-8"), buf_str(&out));
}

static void answer_config(gateway_t *gateway, http_request_t *request)
{
    buf_t out;
    buf_init(&out, http_pool(request), 8192);
    config_dump(gateway->config, &out, false);
    send_text(request, 200, buf_str(&out));
}

static void answer_inspect(gateway_t *gateway, http_request_t *request, str_t name)
{
    buf_t out;
    buf_init(&out, http_pool(request), 8192);
    if (name.len == 0)
        api_inspect_names(gateway, &out);
    else if (!api_inspect_write(gateway, name, &out)) {
        send_text(request, 404, STR("nothing of that name\n"));
        return;
    }
    http_send(request, 200, STR("application/json"), buf_str(&out));
}

static void answer_schema_cache(gateway_t *gateway, http_request_t *request)
{
    answer_inspect(gateway, request, STR("schema_cache"));
}

static const admin_page_t PAGES[] = {
    {"/live", answer_live},
    {"/ready", answer_ready},
    {"/metrics", answer_metrics},
    {"/config", answer_config},
    {"/schema_cache", answer_schema_cache},
};

void admin_dispatch(void *arg, http_request_t *request)
{
    gateway_t *gateway = arg;
    str_t path = http_path(request), method = http_method(request);
    if (!str_eq(method, STR("GET")) && !str_eq(method, STR("HEAD"))) {
        send_text(request, 405, STR("read only\n"));
        return;
    }
    for (size_t i = 0; i < sizeof(PAGES) / sizeof(PAGES[0]); i++) {
        if (str_eq(path, str_from_c(PAGES[i].path))) {
            PAGES[i].answer(gateway, request);
            return;
        }
    }
    if (str_eq(path, STR("/inspect")) || str_starts_with(path, STR("/inspect/")))
        answer_inspect(gateway, request, str_slice(path, sizeof("/inspect/") - 1, path.len));
    else
        send_text(request, 404, STR("not found\n"));
}
