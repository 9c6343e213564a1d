/* Cross-origin headers: any origin by default, named origins with credentials when configured. */
#include "rest/run.h"

#define EXPOSED                                                                                              \
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, "              \
    "Transfer-Encoding, Range-Unit"
#define METHODS "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"
#define MAX_AGE "86400"

static bool is_allowed(const rest_settings_t *settings, str_t origin)
{
    for (uint32_t i = 0; i < settings->cors_origin_count; i++)
        if (str_eq(settings->cors_origins[i], origin))
            return true;
    return false;
}

/* False: this origin gets no CORS headers. */
static bool add_origin(const rest_settings_t *settings, http_request_t *request, str_t origin)
{
    if (settings->cors_origin_count == 0) {
        http_set_header(request, STR("access-control-allow-origin"), STR("*"));
        return true;
    }
    if (!is_allowed(settings, origin))
        return false;
    http_set_header(request, STR("access-control-allow-origin"), origin);
    http_set_header(request, STR("access-control-allow-credentials"), STR("true"));
    return true;
}

void rest_cors_headers(const rest_settings_t *settings, http_request_t *request)
{
    str_t origin = http_header(request, "origin");
    if (!str_is_null(origin) && add_origin(settings, request, origin))
        http_set_header(request, STR("access-control-expose-headers"), STR(EXPOSED));
}

bool rest_cors_preflight(const rest_settings_t *settings, api_context_t *ctx)
{
    http_request_t *request = ctx->request;
    str_t origin = http_header(request, "origin");
    if (!str_eq(http_method(request), STR("OPTIONS")) || str_is_null(origin) ||
        str_is_null(http_header(request, "access-control-request-method")) ||
        !add_origin(settings, request, origin))
        return false;
    buf_t headers;
    buf_init(&headers, ctx->pool, 128);
    buf_append_lit(&headers, "Authorization");
    str_t asked = http_header(request, "access-control-request-headers");
    while (!str_is_null(asked)) {
        str_t name = str_trim(str_split(&asked, ','));
        if (name.len == 0)
            continue;
        buf_append_lit(&headers, ", ");
        buf_append_str(&headers, name);
    }
    buf_append_lit(&headers, ", Accept, Accept-Language, Content-Language");
    http_set_header(request, STR("access-control-allow-methods"), STR(METHODS));
    http_set_header(request, STR("access-control-allow-headers"), buf_str(&headers));
    http_set_header(request, STR("access-control-max-age"), STR(MAX_AGE));
    http_send(request, 200, STR_NULL, STR(""));
    return true;
}
