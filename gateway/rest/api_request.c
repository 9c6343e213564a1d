/* rest_parse: what does this HTTP request ask for? Syntax only. */
#include "rest/errors.h"
#include "rest/grammar.h"
#include "rest/media.h"
#include "rest/parse.h"

typedef enum { RESOURCE_RELATION, RESOURCE_ROUTINE, RESOURCE_SCHEMA } resource_t;

#define SEGMENTS_MAX 3

/* Path segments, decoded; more than SEGMENTS_MAX are not told apart. */
static uint32_t split_path(pool_t *pool, str_t path, str_t *segments)
{
    uint32_t count = 0;
    if (path.len > 0 && path.base[0] == '/')
        path = str_slice(path, 1, path.len);
    if (path.len == 0)
        return 0;
    while (!str_is_null(path) && count < SEGMENTS_MAX)
        segments[count++] = rest_url_decode(pool, str_split(&path, '/'), false);
    return count;
}

static err_t *find_resource(const rest_settings_t *settings, pool_t *pool, str_t path, resource_t *resource,
                            str_t *name)
{
    str_t segments[SEGMENTS_MAX];
    uint32_t count = split_path(pool, path, segments);
    for (uint32_t i = 0; i < count; i++)
        if (!str_is_utf8(segments[i]) || str_find_char(segments[i], '\0', 0) != SIZE_MAX)
            return rest_error(pool, REST_ERR_PATH, STR_NULL);
    *name = STR_NULL;
    if (count == 0) {
        if (settings->openapi_mode == REST_OPENAPI_DISABLED)
            return rest_error(pool, REST_ERR_ROOT_DISABLED, STR_NULL);
        *resource = settings->root_spec.len > 0 ? RESOURCE_ROUTINE : RESOURCE_SCHEMA;
        *name = settings->root_spec;
        return NULL;
    }
    if (count == 1) {
        *resource = RESOURCE_RELATION;
        *name = segments[0];
        return NULL;
    }
    if (count == 2 && str_eq(segments[0], STR("rpc"))) {
        *resource = RESOURCE_ROUTINE;
        *name = segments[1];
        return NULL;
    }
    return rest_error(pool, REST_ERR_PATH, STR_NULL);
}

static str_t join_names(pool_t *pool, const str_t *names, uint32_t count)
{
    buf_t out;
    buf_init(&out, pool, 32);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_lit(&out, ", ");
        buf_append_str(&out, names[i]);
    }
    return buf_str(&out);
}

static err_t *find_schema(const rest_settings_t *settings, pool_t *pool, const rest_input_t *in,
                          rest_request_t *out)
{
    bool is_write = str_eq(out->method, STR("POST")) || str_eq(out->method, STR("PATCH")) ||
                    str_eq(out->method, STR("PUT")) || str_eq(out->method, STR("DELETE"));
    str_t wanted = is_write ? in->content_profile : in->accept_profile;
    if (str_is_null(wanted)) {
        out->schema = settings->schemas[0];
        out->is_schema_negotiated = settings->schema_count > 1;
        return NULL;
    }
    for (uint32_t i = 0; i < settings->schema_count; i++) {
        if (str_eq(settings->schemas[i], wanted)) {
            out->schema = settings->schemas[i];
            out->is_schema_negotiated = true;
            return NULL;
        }
    }
    str_t all = join_names(pool, settings->schemas, settings->schema_count);
    return err_hint(pool, rest_error(pool, REST_ERR_SCHEMA, wanted),
                    "Only the following schemas are exposed: %.*s", STR_ARG(all));
}

static const struct {
    resource_t resource;
    const char *method;
    rest_action_t action;
} ACTIONS[] = {
    {RESOURCE_ROUTINE, "HEAD", REST_ACTION_CALL_READ},
    {RESOURCE_ROUTINE, "GET", REST_ACTION_CALL_READ},
    {RESOURCE_ROUTINE, "POST", REST_ACTION_CALL},
    {RESOURCE_ROUTINE, "OPTIONS", REST_ACTION_ROUTINE_INFO},
    {RESOURCE_RELATION, "HEAD", REST_ACTION_READ},
    {RESOURCE_RELATION, "GET", REST_ACTION_READ},
    {RESOURCE_RELATION, "POST", REST_ACTION_CREATE},
    {RESOURCE_RELATION, "PUT", REST_ACTION_UPSERT},
    {RESOURCE_RELATION, "PATCH", REST_ACTION_UPDATE},
    {RESOURCE_RELATION, "DELETE", REST_ACTION_DELETE},
    {RESOURCE_RELATION, "OPTIONS", REST_ACTION_RELATION_INFO},
    {RESOURCE_SCHEMA, "HEAD", REST_ACTION_SCHEMA_READ},
    {RESOURCE_SCHEMA, "GET", REST_ACTION_SCHEMA_READ},
    {RESOURCE_SCHEMA, "OPTIONS", REST_ACTION_SCHEMA_INFO},
};

static err_t *find_action(pool_t *pool, resource_t resource, rest_request_t *out)
{
    for (size_t i = 0; i < sizeof(ACTIONS) / sizeof(ACTIONS[0]); i++) {
        if (ACTIONS[i].resource == resource && str_eq(out->method, str_from_c(ACTIONS[i].method))) {
            out->action = ACTIONS[i].action;
            out->is_head = str_eq(out->method, STR("HEAD"));
            return NULL;
        }
    }
    return rest_error(pool, resource == RESOURCE_ROUTINE ? REST_ERR_RPC_METHOD : REST_ERR_METHOD,
                      out->method);
}

/* ---- the whole ---- */

void rest_input_read(const api_context_t *ctx, rest_input_t *out)
{
    const http_request_t *http = ctx->request;
    *out = (rest_input_t){
        .method = http_method(http), .path = ctx->path, .query = http_query(http), .body = http_body(http)};
    const struct {
        str_t name;
        str_t *value;
    } wanted[] = {{STR("accept"), &out->accept},
                  {STR("range"), &out->range},
                  {STR("content-type"), &out->content_type},
                  {STR("accept-profile"), &out->accept_profile},
                  {STR("content-profile"), &out->content_profile}};
    str_t *prefers = NULL, name, value;
    uint32_t capacity = 0;
    size_t cursor = 0;
    while (http_next_header(http, &cursor, &name, &value)) {
        if (str_eq(name, STR("prefer"))) {
            prefers = rest_grow(ctx->pool, prefers, out->prefer_count, &capacity, sizeof(*prefers));
            prefers[out->prefer_count++] = value;
        }
        for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
            if (str_is_null(*wanted[i].value) && str_eq(name, wanted[i].name))
                *wanted[i].value = value;
    }
    out->prefers = prefers;
}

err_t *rest_parse(const rest_settings_t *settings, pool_t *pool, const rest_input_t *in, rest_request_t *out)
{
    resource_t resource = RESOURCE_RELATION;
    rest_query_range_t range;
    err_t *err;
    *out = (rest_request_t){.method = in->method, .range = REST_RANGE_ALL};
    rest_parse_preferences(settings->is_tx_overridable, pool, in->prefers, in->prefer_count, &out->prefer);
    if ((err = find_resource(settings, pool, in->path, &resource, &out->target)) != NULL ||
        (err = find_schema(settings, pool, in, out)) != NULL ||
        (err = find_action(pool, resource, out)) != NULL ||
        (err = rest_parse_query(settings, pool, in->query, out->action == REST_ACTION_CALL_READ, out,
                                &range)) != NULL)
        return err;
    str_t range_header = str_eq(out->method, STR("GET")) ? in->range : STR_NULL;
    if ((err = rest_parse_range(pool, &range, range_header, out)) != NULL)
        return err;
    out->content_type = str_is_null(in->content_type) ? (rest_media_t){.kind = REST_MEDIA_JSON}
                                                      : rest_media_parse(pool, in->content_type);
    if ((err = rest_parse_payload(settings, pool, in->body, out)) != NULL)
        return err;
    out->accept = rest_media_accept(pool, in->accept, &out->accept_count);
    return NULL;
}
