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

static void answer_live(gateway_t *gateway, http_request_t *request)
{
    (void)gateway;
    send_text(request, 200, STR(""));
}

static void answer_ready(gateway_t *gateway, http_request_t *request)
{
    const char *why = gateway->is_draining ? "shutting down" : api_not_ready(gateway);
    if (why == NULL)
        send_text(request, 200, STR(""));
    else
        send_text(request, 503, pool_concat(http_pool(request), 2, str_from_c(why), STR("\n")));
}

static void answer_metrics(gateway_t *gateway, http_request_t *request)
{
    buf_t out;
    buf_init(&out, http_pool(request), 8192);
    metric_set(metric_gauge("basalt_connections", "Client connections", ""),
               (int64_t)http_server_connections(gateway->server));
    metric_set(metric_gauge("basalt_tasks_waiting", "Sequential handlers waiting for a worker", ""),
               (int64_t)worker_waiting(gateway->workers));
    metrics_write(&out);
    http_send(request, 200, STR("text/plain; version=0.0.4"), buf_str(&out));
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
    answer_inspect(gateway, request, STR("schema"));
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
