#include "functions/peer.h"

#include "base/config.h"
#include "base/crypt.h"

#define TIMEOUT_MS 10000

target_policy_t peer_policy(const gateway_t *gateway)
{
    return config_bool(gateway->config, "BASALT_ALLOW_LOCAL_TARGETS") ? TARGET_ANY : TARGET_REMOTE;
}

bool peer_is_host(str_t host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.base[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_word && strchr(".-_:[]", c) == NULL)
            return false;
    }
    return host.len > 0 && host.len <= 255;
}

str_t peer_failure(const err_t *err)
{
    if (str_eq(err->code, STR("timeout")))
        return STR("Connection timeout (10s)");
    if (str_eq(err->code, STR("tls")))
        return STR("SSL certificate error");
    return str_eq(err->code, STR("connect")) && str_find(err->message, STR("resolve"), 0) == SIZE_MAX
               ? STR("Connection refused")
               : err->message;
}

err_t *peer_init(peer_t *peer)
{
    pool_t *pool = peer->task->pool;
    str_t host = peer->where.host;
    if (!peer_is_host(host))
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid", "The host must be a name or an address");
    if (peer->where.port < 1 || peer->where.port > UINT16_MAX)
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid", "The port must lie between 1 and 65535");
    bool is_bare_v6 = host.base[0] != '[' && str_find_char(host, ':', 0) != SIZE_MAX;
    peer->base_url = pool_printf(pool, is_bare_v6 ? "https://[%.*s]:%d" : "https://%.*s:%d", STR_ARG(host),
                                 (int)peer->where.port);
    peer->fetch = fetch_create();
    return NULL;
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *text;
    } REASONS[] = {{400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"}};
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (REASONS[i].status == status)
            return REASONS[i].text;
    return status >= 300 && status < 400 ? "Redirect" : "Error";
}

/* An answer to a login is not stored at all: it is the session's token. */
static void note(const peer_t *peer, const peer_call_t *call, const fetch_request_t *request,
                 const fetch_response_t *response, bool is_session, const err_t *err)
{
    str_t secrets[] = {peer->where.password, peer->token};
    activity_t activity = {.command_type = call->command_type,
                           .operation_type = peer->operation_type,
                           .source = peer->source,
                           .endpoint = call->path,
                           .full_url = request->url,
                           .user_id = peer->task->identity.sub,
                           .headers = request->headers,
                           .header_count = request->header_count,
                           .request_body = call->body,
                           .response_body = is_session && err == NULL ? STR_NULL : response->body,
                           .status = response->status,
                           .elapsed_us = response->elapsed_us,
                           .is_success = err == NULL,
                           .error = err != NULL ? err->message : STR_NULL,
                           .secrets = secrets,
                           .secret_count = 2};
    if (!peer->is_quiet)
        activity_note(peer->task->gateway, peer->task->pool, &activity);
}

static err_t *judge(pool_t *pool, const fetch_response_t *response, json_t **body)
{
    if (response->status < 200 || response->status > 299)
        return err_make(pool, (uint16_t)response->status, ERR_FAMILY_UPSTREAM, "refused", "%d %s",
                        response->status, reason_of(response->status));
    if (body == NULL || response->body.len == 0)
        return NULL;
    if (read_json(pool, response->body, &(read_json_limits_t){.any_value = true}, body) == NULL)
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol", "The answer is not JSON");
}

err_t *peer_exchange(peer_t *peer, const peer_call_t *call, fetch_response_t *response, json_t **body)
{
    pool_t *pool = peer->task->pool;
    fetch_response_t own;
    fetch_header_t headers[3] = {{STR("Accept"), STR("application/json")}};
    size_t header_count = 1;
    response = response != NULL ? response : &own;
    if (call->body.len > 0)
        headers[header_count++] = (fetch_header_t){STR("Content-Type"), STR("application/json")};
    if (peer->token.len > 0)
        headers[header_count++] = (fetch_header_t){peer->token_header, peer->token};
    fetch_request_t request = {
        .method = str_from_c(call->method),
        .url = pool_concat(pool, 2, peer->base_url, call->path),
        .headers = headers,
        .header_count = header_count,
        .body = call->body,
        .username = call->is_login ? peer->where.username : STR_NULL,
        .password = call->is_login ? peer->where.password : STR_NULL,
        .timeout_ms = fn_time_left_ms(peer->task, peer->timeout_ms > 0 ? peer->timeout_ms : TIMEOUT_MS),
        .is_tls_unverified = !peer->where.is_verified,
        .ca_file = config_str(peer->task->gateway->config, "BASALT_CA_FILE"),
        .addr_policy = peer_policy(peer->task->gateway)};
    if (body != NULL)
        *body = NULL;
    err_t *err = fetch_perform(peer->fetch, pool, &request, response);
    peer->elapsed_us = response->elapsed_us;
    if (err == NULL)
        err = judge(pool, response, body);
    note(peer, call, &request, response, call->is_login || peer->token.len == 0, err);
    return err;
}

static err_t *no_token(const peer_t *peer)
{
    return err_make(peer->task->pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                    "The login succeeded without a session token");
}

err_t *peer_open_vcenter(peer_t *peer, const char *command_type)
{
    json_t *body = NULL;
    peer->api = STR("/api");
    peer->session_path = STR("/api/session");
    peer_call_t call = {"POST", command_type, peer->session_path, STR_NULL, true};
    err_t *err = peer_exchange(peer, &call, NULL, &body);
    if (err != NULL && err->status == 404 && str_eq(err->code, STR("refused"))) {
        peer->api = STR("/rest");
        call.path = peer->session_path = STR("/rest/com/vmware/cis/session");
        err = peer_exchange(peer, &call, NULL, &body);
    }
    if (err != NULL)
        return err;
    const char *token = json_string_value(json_is_object(body) ? json_object_get(body, "value") : body);
    if (token == NULL || token[0] == '\0')
        return no_token(peer);
    peer->token_header = STR("vmware-api-session-id");
    peer->token = pool_str(peer->task->pool, str_from_c(token));
    return NULL;
}

static str_t openmanage_login(const peer_t *peer)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, peer->task->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "UserName", peer->where.username);
    emit_kv_string(&emit, "Password", peer->where.password);
    emit_kv_string(&emit, "SessionType", STR("API"));
    emit_object_end(&emit);
    return buf_str(&out);
}

err_t *peer_open_openmanage(peer_t *peer, const char *command_type)
{
    json_t *body = NULL;
    fetch_response_t response;
    pool_t *pool = peer->task->pool;
    peer_call_t call = {"POST", command_type, STR("/api/SessionService/Sessions"), openmanage_login(peer),
                        false};
    err_t *err = peer_exchange(peer, &call, &response, &body);
    if (err != NULL)
        return err;
    str_t id = json_is_object(body) ? read_json_str(body, "Id") : STR_NULL;
    peer->token_header = STR("X-Auth-Token");
    peer->token = fetch_header(&response, STR("X-Auth-Token"));
    /* The id becomes part of a path. */
    bool is_plain = peer_is_host(id);
    peer->session_path =
        is_plain ? pool_printf(pool, "/api/SessionService/Sessions('%.*s')", STR_ARG(id)) : STR_NULL;
    return peer->token.len > 0 ? NULL : no_token(peer);
}

err_t *peer_list(peer_t *peer, str_t path, json_t **out)
{
    json_t *body = NULL;
    peer_call_t call = {"GET", "VCENTER_LIST", path, STR_NULL, false};
    err_t *err = peer_exchange(peer, &call, NULL, &body);
    if (err != NULL)
        return err;
    *out = json_is_object(body) ? json_object_get(body, "value") : body;
    if (json_is_array(*out))
        return NULL;
    return err_make(peer->task->pool, 502, ERR_FAMILY_UPSTREAM, "protocol", "The answer is no list");
}

void peer_close(peer_t *peer)
{
    if (peer->token.len > 0 && peer->session_path.len > 0) {
        peer_call_t call = {"DELETE", "SESSION_END", peer->session_path, STR_NULL, false};
        peer->timeout_ms = 5000;
        err_t *err = peer_exchange(peer, &call, NULL, NULL);
        (void)err; /* it stands in the row; the service ends idle sessions by itself */
    }
    fetch_destroy(peer->fetch);
    peer->fetch = NULL;
    peer->token = STR_NULL;
}
