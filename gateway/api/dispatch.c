#include "api/access_log.h"
#include "api/respond.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUTES_MAX 32
#define REQUEST_ID_MAX 128
#define CORS_MAX_AGE "3600"

static const char COMMON_CORS_HEADERS[] =
    "authorization, x-client-info, apikey, content-type, accept, accept-profile, content-profile, prefer, "
    "range, "
    "range-unit, x-supabase-api-version, x-client-ip, x-jwt-aud, x-use-cookie, x-request-id, x-retry-count, "
    "traceparent, tracestate, baggage";

typedef struct {
    api_route_t route;
    size_t prefix_len;
    metric_t *duration;
} route_entry_t;

struct api_routes {
    route_entry_t entries[ROUTES_MAX];
    size_t count;
    uint64_t request_number; /* begins anywhere */
};

struct api_routes *api_routes_create(void)
{
    struct api_routes *routes = calloc(1, sizeof(*routes));
    if (routes == NULL)
        abort();
    routes->request_number = rand_uint64();
    return routes;
}

void api_routes_destroy(struct api_routes *routes)
{
    free(routes);
}

void api_route_add(gateway_t *gateway, const api_route_t *route)
{
    struct api_routes *routes = gateway->routes;
    if (routes->count == ROUTES_MAX)
        abort(); /* a wiring mistake, met at start */
    char labels[128];
    snprintf(labels, sizeof(labels), "route=\"%s\"", route->prefix);
    route_entry_t *entry = &routes->entries[routes->count++];
    entry->route = *route;
    entry->prefix_len = strlen(route->prefix);
    entry->duration = metric_histogram_us("basalt_request_duration_seconds", "Requests by route", labels);
}

static bool matches(const route_entry_t *entry, str_t path)
{
    str_t prefix = str_make(entry->route.prefix, entry->prefix_len);
    return str_starts_with(path, prefix) && (path.len == prefix.len || path.base[prefix.len] == '/');
}

static const route_entry_t *find_route(const struct api_routes *routes, str_t path)
{
    const route_entry_t *best = NULL;
    for (size_t i = 0; i < routes->count; i++) {
        const route_entry_t *entry = &routes->entries[i];
        if (matches(entry, path) && (best == NULL || entry->prefix_len > best->prefix_len))
            best = entry;
    }
    return best;
}

static bool is_sane_id(str_t id)
{
    if (id.len == 0 || id.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.base[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
              c == '_' || c == '.'))
            return false;
    }
    return true;
}

/* The token of "Bearer x" (the scheme in any case); the null string for other schemes. */
static str_t bearer_token(str_t authorization)
{
    str_t token = authorization;
    if (!str_eq_nocase(str_split(&token, ' '), STR("bearer")))
        return STR_NULL;
    return str_is_null(token) ? STR("") : str_trim(token); /* a bare scheme is an empty token, not none */
}

/* Unique, and no secret: a counter, stirred so that neighbours look unlike (the finalizer of MurmurHash3,
 * which maps no two numbers to one). */
static str_t make_request_id(struct api_routes *routes, pool_t *pool)
{
    static const char HEX[] = "0123456789abcdef";
    uint64_t id = ++routes->request_number;
    id = (id ^ id >> 33) * UINT64_C(0xff51afd7ed558ccd);
    id = (id ^ id >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    id ^= id >> 33;
    char *text = pool_alloc(pool, 16);
    for (size_t i = 0; i < 16; i++)
        text[i] = HEX[id >> (60 - 4 * i) & 15];
    return str_make(text, 16);
}

static api_context_t *context_create(gateway_t *gateway, http_request_t *request)
{
    pool_t *pool = http_pool(request);
    api_context_t *ctx = POOL_NEW(pool, api_context_t);
    str_t id = http_header(request, "x-request-id");
    ctx->gateway = gateway;
    ctx->request = request;
    ctx->pool = pool;
    ctx->started_us = clock_mono_us();
    ctx->request_id = is_sane_id(id) ? id : make_request_id(gateway->routes, pool);
    ctx->apikey = http_header(request, "apikey");
    ctx->bearer = bearer_token(http_header(request, "authorization"));
    ctx->has_authorization = !str_is_null(ctx->bearer);
    if (!ctx->has_authorization && ctx->apikey.len > 0)
        ctx->bearer = ctx->apikey;
    return ctx;
}

typedef struct {
    const api_context_t *ctx;
    const route_entry_t *entry;
} respond_hook_t;

/* Runs for every answer, libh2o's own excepted: CORS, ids, log and metrics in one place. */
static void on_respond(void *arg, http_request_t *request, int status)
{
    const respond_hook_t *hook = arg;
    const api_context_t *ctx = hook->ctx;
    int64_t elapsed_us = clock_mono_us() - ctx->started_us;
    http_set_header(request, STR("x-request-id"), ctx->request_id);
    if (hook->entry == NULL || !hook->entry->route.has_own_cors) {
        http_set_header(request, STR("access-control-allow-origin"), STR("*"));
        const char *expose = hook->entry != NULL ? hook->entry->route.cors_expose : NULL;
        if (expose != NULL)
            http_set_header(request, STR("access-control-expose-headers"), str_from_c(expose));
    }
    if (hook->entry != NULL)
        metric_observe_us(hook->entry->duration, elapsed_us);
    access_log_write(ctx, status);
    if (log_level() >= LOG_DEBUG)
        observe(LOG_DEBUG, "request", F_STR("request_id", ctx->request_id),
                F_STR("method", http_method(request)), F_STR("path", http_path(request)),
                F_INT("status", status), F_INT("us", elapsed_us));
}

static bool is_preflight(const http_request_t *request)
{
    return str_eq(http_method(request), STR("OPTIONS"));
}

static void answer_preflight(api_context_t *ctx, const api_route_t *route)
{
    str_t asked = http_header(ctx->request, "access-control-request-headers");
    str_t headers = str_from_c(COMMON_CORS_HEADERS);
    if (route->cors_headers != NULL)
        headers = pool_concat(ctx->pool, 3, headers, STR(", "), str_from_c(route->cors_headers));
    if (asked.len > 0 && asked.len < 1024)
        headers = pool_concat(ctx->pool, 3, headers, STR(", "), asked);
    http_set_header(ctx->request, STR("access-control-allow-headers"), headers);
    http_set_header(ctx->request, STR("access-control-allow-methods"),
                    STR("GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"));
    http_set_header(ctx->request, STR("access-control-max-age"), STR(CORS_MAX_AGE));
    http_send(ctx->request, 200, STR_NULL, STR(""));
}

static err_t *require_apikey(const api_context_t *ctx)
{
    if (!config_bool(ctx->gateway->config, "BASALT_REQUIRE_APIKEY") || ctx->apikey.len > 0)
        return NULL;
    return err_make(ctx->pool, 401, ERR_FAMILY_AUTH, "", "No API key found in request");
}

void api_dispatch(void *arg, http_request_t *request)
{
    gateway_t *gateway = arg;
    api_context_t *ctx = context_create(gateway, request);
    str_t path = http_path(request);
    const route_entry_t *entry = find_route(gateway->routes, path);
    respond_hook_t *hook = POOL_NEW(ctx->pool, respond_hook_t);
    *hook = (respond_hook_t){ctx, entry};
    http_on_respond(request, on_respond, hook);
    if (entry == NULL) {
        ctx->style = API_STYLE_FUNCTION;
        api_respond_error(ctx,
                          err_make(ctx->pool, 404, ERR_FAMILY_REQUEST, "", "no route matches this path"));
        return;
    }
    ctx->style = entry->route.style;
    ctx->path = str_slice(path, entry->prefix_len, path.len);
    if (is_preflight(request) && !entry->route.has_own_cors) {
        answer_preflight(ctx, &entry->route);
        return;
    }
    err_t *err = entry->route.style != API_STYLE_PLAIN ? require_apikey(ctx) : NULL;
    if (err != NULL)
        api_respond_error(ctx, err);
    else
        entry->route.handler(entry->route.arg, ctx);
}

str_t api_refusal(void *arg, pool_t *pool, str_t path, int status, const char *reason, str_t *content_type)
{
    const gateway_t *gateway = arg;
    str_t rest = path;
    const route_entry_t *entry = find_route(gateway->routes, str_split(&rest, '?'));
    if (entry == NULL || entry->route.style == API_STYLE_REST || entry->route.style == API_STYLE_REST_MINIMAL)
        return STR_NULL; /* PostgREST knows no such errors; the listener's own words have its shape */
    bool is_large = status == 413;
    err_t *err =
        err_make(pool, (uint16_t)status, ERR_FAMILY_REQUEST, is_large ? "request_entity_too_large" : "", "%s",
                 is_large ? "Request body is too large" : reason);
    *content_type = api_error_content_type(entry->route.style);
    return api_error_body(pool, entry->route.style, STR_NULL, err);
}
