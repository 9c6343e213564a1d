#include "drivers/openmanage/exchange.h"

#include "base/crypt.h"
#include "base/emit.h"
#include "base/read_json.h"

enum { TIMEOUT_MS = 30000, FAREWELL_MS = 5000, ANSWER_MAX = 32 << 20 };

struct openmanage {
    pool_t *pool; /* life of the client */
    openmanage_options_t options;
    fetch_t *fetch;
    char *password; /* heap, wiped */
    char token[512];
    str_t session_path; /* null string: no session */
};

typedef struct {
    const char *method;
    str_t path, body;
    bool is_farewell;
} call_t;

openmanage_t *openmanage_create(const openmanage_options_t *options)
{
    pool_t *pool = pool_create();
    openmanage_t *openmanage = POOL_NEW(pool, openmanage_t);
    openmanage->pool = pool;
    openmanage->options = *options;
    openmanage->options.base_url = pool_str(pool, options->base_url);
    openmanage->options.username = pool_str(pool, options->username);
    openmanage->options.ca_file = options->ca_file.len > 0 ? pool_str(pool, options->ca_file) : STR_NULL;
    openmanage->options.password = STR_NULL;
    openmanage->password = crypt_keep(options->password);
    openmanage->fetch = fetch_create();
    return openmanage;
}

static void record(const openmanage_t *openmanage, const call_t *call, const fetch_request_t *request,
                   const fetch_response_t *response, const err_t *err)
{
    openmanage_record_t made = {.method = call->method,
                                .path = call->path,
                                .url = request->url,
                                .headers = request->headers,
                                .header_count = request->header_count,
                                .status = response->status,
                                .elapsed_us = response->elapsed_us,
                                .is_success = err == NULL,
                                .error = err != NULL ? err->message : STR_NULL};
    if (openmanage->options.on_record != NULL)
        openmanage->options.on_record(openmanage->options.arg, &made);
}

static err_t *judge(pool_t *pool, const fetch_response_t *response, json_t **body)
{
    if (response->status == 401 || response->status == 403)
        return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "auth",
                        "OpenManage refuses the credentials (HTTP %d)", response->status);
    if (response->status < 200 || response->status > 299)
        return err_make(pool, (uint16_t)response->status, ERR_FAMILY_UPSTREAM, "refused",
                        "OpenManage answered HTTP %d", response->status);
    if (body == NULL)
        return NULL;
    read_json_limits_t limits = {.size_max = ANSWER_MAX};
    if (read_json(pool, response->body, &limits, body) == NULL)
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol", "OpenManage's answer is not JSON");
}

static err_t *exchange(openmanage_t *openmanage, pool_t *pool, const call_t *call, fetch_response_t *response,
                       json_t **body)
{
    const openmanage_options_t *options = &openmanage->options;
    fetch_header_t headers[3] = {{STR("Accept"), STR("application/json")},
                                 {STR("Content-Type"), STR("application/json")},
                                 {STR("X-Auth-Token"), str_from_c(openmanage->token)}};
    int timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    fetch_request_t request = {.method = str_from_c(call->method),
                               .url = pool_concat(pool, 2, options->base_url, call->path),
                               .headers = headers,
                               .header_count = openmanage->token[0] != '\0' ? 3 : 2,
                               .body = call->body,
                               .timeout_ms = call->is_farewell ? FAREWELL_MS : timeout_ms,
                               .response_max = ANSWER_MAX,
                               .is_tls_unverified = !options->is_verified,
                               .ca_file = options->ca_file,
                               .addr_policy = options->addr_policy,
                               .is_cancelled = call->is_farewell ? NULL : options->is_cancelled};
    err_t *err = fetch_perform(openmanage->fetch, pool, &request, response);
    if (err == NULL)
        err = judge(pool, response, body);
    record(openmanage, call, &request, response, err);
    return err;
}

err_t *openmanage_get(openmanage_t *openmanage, pool_t *pool, str_t path, json_t **body)
{
    fetch_response_t response = {0};
    call_t call = {.method = "GET", .path = path};
    return exchange(openmanage, pool, &call, &response, body);
}

err_t *openmanage_link(const openmanage_t *openmanage, pool_t *pool, str_t link, str_t *path)
{
    str_t base = openmanage->options.base_url;
    bool is_own = str_starts_with(link, base) && link.len > base.len && link.base[base.len] == '/';
    *path = is_own ? str_slice(link, base.len, link.len) : link;
    bool is_path = str_starts_with(*path, STR("/")) && !str_starts_with(*path, STR("//"));
    for (size_t i = 0; i < path->len; i++) /* else it would be more than a path */
        is_path = is_path && path->base[i] > ' ' && path->base[i] < 0x7f;
    if (is_path)
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                    "OpenManage's next page lies on another host");
}

/* --- sessions --- */

static str_t credentials(pool_t *pool, const openmanage_t *openmanage)
{
    buf_t out;
    emit_t emit;
    /* Room for the worst case: no growing, hence no copies of the password left behind. */
    buf_init(&out, pool, 128 + 6 * (openmanage->options.username.len + strlen(openmanage->password)));
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "UserName", openmanage->options.username);
    emit_kv_string(&emit, "Password", str_from_c(openmanage->password));
    emit_kv_string(&emit, "SessionType", STR("API"));
    emit_object_end(&emit);
    return buf_str(&out);
}

/* The id becomes part of a path. */
static bool is_plain(str_t id)
{
    bool is_fine = id.len > 0 && id.len <= 100;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.base[i];
        is_fine = is_fine && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              c == '-' || c == '.' || c == '_');
    }
    return is_fine;
}

err_t *openmanage_open(openmanage_t *openmanage, pool_t *pool)
{
    json_t *body = NULL;
    fetch_response_t response = {0};
    call_t call = {
        .method = "POST", .path = STR("/api/SessionService/Sessions"), .body = credentials(pool, openmanage)};
    err_t *err = exchange(openmanage, pool, &call, &response, &body);
    crypt_wipe((char *)call.body.base, call.body.len);
    if (err != NULL)
        return err;
    str_t token = fetch_header(&response, STR("X-Auth-Token")), id = read_json_str(body, "Id");
    if (token.len == 0 || token.len >= sizeof(openmanage->token))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                        "The login at OpenManage succeeded without a session token");
    memcpy(openmanage->token, token.base, token.len);
    openmanage->token[token.len] = '\0';
    if (is_plain(id))
        openmanage->session_path =
            pool_printf(openmanage->pool, "/api/SessionService/Sessions('%.*s')", STR_ARG(id));
    return NULL;
}

static void end_session(openmanage_t *openmanage)
{
    pool_t *pool = pool_create();
    fetch_response_t response = {0};
    call_t call = {.method = "DELETE", .path = openmanage->session_path, .is_farewell = true};
    err_t *err = exchange(openmanage, pool, &call, &response, NULL);
    (void)err; /* it stands in the record; the service ends idle sessions by itself */
    pool_destroy(pool);
}

void openmanage_destroy(openmanage_t *openmanage)
{
    if (openmanage == NULL)
        return;
    if (openmanage->session_path.len > 0)
        end_session(openmanage);
    crypt_forget(openmanage->password);
    crypt_wipe(openmanage->token, sizeof(openmanage->token));
    fetch_destroy(openmanage->fetch);
    pool_destroy(openmanage->pool);
}
