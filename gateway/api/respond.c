#include "api/respond.h"

#include "base/observe.h"

/* GoTrue's newer error form begins with this API version (its header X-Supabase-Api-Version). */
static const str_t AUTH_API_VERSION = {"2024-01-01", 10};

static bool is_new_auth_version(str_t version)
{
    return version.len == AUTH_API_VERSION.len && version.base[4] == '-' && version.base[7] == '-' &&
           memcmp(version.base, AUTH_API_VERSION.base, version.len) >= 0;
}

static void emit_rest(emit_t *emit, const err_t *err)
{
    emit_object_begin(emit);
    emit_kv_string(emit, "code", err->code);
    emit_key(emit, STR("details"));
    if (!str_is_null(err->details_json))
        emit_raw(emit, err->details_json);
    else
        emit_string(emit, err->details);
    emit_kv_string(emit, "hint", err->hint);
    emit_kv_string(emit, "message", err->message);
    emit_object_end(emit);
}

static void emit_rest_minimal(emit_t *emit, const err_t *err)
{
    emit_object_begin(emit);
    emit_kv_string(emit, "code", err->code);
    emit_kv_string(emit, "message", err->message);
    emit_object_end(emit);
}

static bool is_rest(api_style_t style)
{
    return style == API_STYLE_REST || style == API_STYLE_REST_MINIMAL;
}

static void emit_auth(emit_t *emit, str_t api_version, const err_t *err)
{
    str_t code = err->code.len > 0    ? err->code
                 : err->status == 500 ? STR("unexpected_failure")
                                      : STR("unknown");
    emit_object_begin(emit);
    if (is_new_auth_version(api_version)) {
        emit_kv_string(emit, "code", code);
        emit_kv_string(emit, "message", err->message);
    } else {
        emit_kv_int(emit, "code", err->status);
        emit_kv_string(emit, "error_code", code);
        emit_kv_string(emit, "msg", err->message);
    }
    /* Extra members such as weak_password come as the members of an object. */
    if (err->details_json.len > 2)
        emit_raw_members(emit, str_slice(err->details_json, 1, err->details_json.len - 1));
    emit_object_end(emit);
}

static void emit_function(emit_t *emit, const err_t *err)
{
    emit_object_begin(emit);
    emit_kv_string(emit, "error", err->message);
    if (!str_is_null(err->details))
        emit_kv_string(emit, "details", err->details);
    if (err->details_json.len > 2)
        emit_raw_members(emit, str_slice(err->details_json, 1, err->details_json.len - 1));
    emit_object_end(emit);
}

str_t api_error_body(pool_t *pool, api_style_t style, str_t api_version, const err_t *err)
{
    if (style == API_STYLE_PLAIN)
        return pool_concat(pool, 2, err->message, STR("\n"));
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 256);
    emit_init(&emit, &out);
    if (style == API_STYLE_REST)
        emit_rest(&emit, err);
    else if (style == API_STYLE_REST_MINIMAL)
        emit_rest_minimal(&emit, err);
    else if (style == API_STYLE_AUTH)
        emit_auth(&emit, api_version, err);
    else
        emit_function(&emit, err);
    return buf_str(&out);
}

str_t api_error_content_type(api_style_t style)
{
    switch (style) {
    case API_STYLE_REST:
    case API_STYLE_REST_MINIMAL:
        return STR("application/json; charset=utf-8");
    case API_STYLE_PLAIN:
        return STR("text/plain; charset=utf-8");
    default:
        return STR("application/json");
    }
}

/* "Name: value\r\n" lines of err->headers. */
static void add_header_lines(http_request_t *request, str_t lines)
{
    while (lines.len > 0) {
        str_t line = str_trim(str_split(&lines, '\n'));
        size_t colon = str_find_char(line, ':', 0);
        if (colon != SIZE_MAX)
            http_set_header(request, str_slice(line, 0, colon),
                            str_trim(str_slice(line, colon + 1, line.len)));
    }
}

static void observe_error(const api_context_t *ctx, const err_t *err)
{
    log_level_t level = err->family == ERR_FAMILY_BUG ? LOG_ERROR : err->status >= 500 ? LOG_WARN : LOG_DEBUG;
    observe(level, "request_failed", F_STR("request_id", ctx->request_id), F_INT("status", err->status),
            F_STR("code", err->code), F_STR("message", err->message));
}

void api_respond_error(api_context_t *ctx, const err_t *err)
{
    str_t version = http_header(ctx->request, "x-supabase-api-version");
    observe_error(ctx, err);
    add_header_lines(ctx->request, err->headers);
    http_set_reason(ctx->request, err->reason);
    if (ctx->style == API_STYLE_AUTH) {
        if (err->code.len > 0)
            http_set_header(ctx->request, STR("x-sb-error-code"), err->code);
        if (is_new_auth_version(version))
            http_set_header(ctx->request, STR("x-supabase-api-version"), AUTH_API_VERSION);
    }
    if (is_rest(ctx->style) && err->code.len > 0)
        http_set_header(ctx->request, STR("proxy-status"),
                        pool_concat(ctx->pool, 2, STR("PostgREST; error="), err->code));
    if (err->status == 503 && !str_eq(err->code, STR("PGRST002")))
        http_set_header(ctx->request, STR("retry-after"), STR("1"));
    http_send(ctx->request, err->status, api_error_content_type(ctx->style),
              api_error_body(ctx->pool, ctx->style, version, err));
}

void api_respond_json(api_context_t *ctx, int status, str_t json)
{
    http_send(ctx->request, status,
              is_rest(ctx->style) ? STR("application/json; charset=utf-8") : STR("application/json"), json);
}
