#include "executor_proxy/executor_proxy.h"

#include "api/respond.h"
#include "api/route.h"
#include "base/log.h"

#include <curl/curl.h>
#include <stdlib.h>

#define DEADLINE_S 600L
#define CONNECT_TIMEOUT_MS 3000L
#define EXCHANGES_MAX 64
#define COOKIE "basalt-session"

/* The proxy's one curl multi handle, driven by the loop. */
typedef struct {
    gateway_t *gateway;
    CURLM *multi;
    loop_timer_t timer;
    size_t running;
} proxy_t;

/* A descriptor that curl wants watched. */
typedef struct {
    proxy_t *proxy;
    loop_watch_t *watch;
    curl_socket_t fd;
    bool wants_write;
} proxy_socket_t;

/* One forwarded request. Owned by the multi handle's list; the client's side may go first. */
typedef struct {
    proxy_t *proxy;
    CURL *easy;
    struct curl_slist *headers;
    api_context_t *ctx; /* valid while `client` has a request */
    http_handle_t *client;
    http_stream_t *stream; /* set once the head is sent */
    char *body;
    str_t content_type;
    char content_type_text[128];
    bool is_client_gone, is_paused;
} exchange_t;

static void finish_done(proxy_t *proxy);

/* --- curl on the loop
 * ---------------------------------------------------------------------------------------- */

static void drive(proxy_t *proxy, curl_socket_t fd, int events)
{
    int running = 0;
    curl_multi_socket_action(proxy->multi, fd, events, &running);
    finish_done(proxy);
}

static void on_timer(void *arg)
{
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_readable(void *arg)
{
    proxy_socket_t *socket = arg;
    drive(socket->proxy, socket->fd, CURL_CSELECT_IN);
}

static void on_writable(void *arg)
{
    proxy_socket_t *socket = arg;
    if (socket->wants_write)
        loop_watch_want_write(socket->watch);
    drive(socket->proxy, socket->fd, CURL_CSELECT_OUT);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    proxy_t *proxy = arg;
    (void)multi;
    if (timeout_ms < 0)
        loop_timer_stop(&proxy->timer);
    else
        loop_timer_start(proxy->gateway->loop, &proxy->timer, timeout_ms, on_timer, proxy);
    return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    proxy_t *proxy = arg;
    proxy_socket_t *socket = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) {
            loop_watch_destroy(socket->watch);
            free(socket);
        }
        curl_multi_assign(proxy->multi, fd, NULL);
        return 0;
    }
    if (socket == NULL) {
        socket = calloc(1, sizeof(*socket));
        if (socket == NULL)
            abort();
        socket->proxy = proxy;
        socket->fd = fd;
        socket->watch = loop_watch_create(proxy->gateway->loop, fd, on_readable, on_writable, socket);
        curl_multi_assign(proxy->multi, fd, socket);
    }
    socket->wants_write = (what & CURL_POLL_OUT) != 0;
    loop_watch_want_read(socket->watch, (what & CURL_POLL_IN) != 0);
    if (socket->wants_write)
        loop_watch_want_write(socket->watch);
    return 0;
}

/* --- one exchange
 * -------------------------------------------------------------------------------------------- */

static void exchange_destroy(exchange_t *exchange)
{
    curl_multi_remove_handle(exchange->proxy->multi, exchange->easy);
    curl_easy_cleanup(exchange->easy);
    curl_slist_free_all(exchange->headers);
    http_handle_release(exchange->client);
    exchange->proxy->running--;
    free(exchange->body);
    free(exchange);
}

static void on_client_gone(void *arg)
{
    exchange_t *exchange = arg;
    exchange->is_client_gone = true;
    exchange->stream = NULL;
    if (exchange->is_paused) /* wake it, so that its next write ends it */
        curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
}

static void on_client_drained(void *arg)
{
    exchange_t *exchange = arg;
    exchange->is_paused = false;
    curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
    loop_timer_start(exchange->proxy->gateway->loop, &exchange->proxy->timer, 0, on_timer, exchange->proxy);
}

static size_t on_upstream_header(char *bytes, size_t size, size_t count, void *arg)
{
    exchange_t *exchange = arg;
    str_t line = str_make(bytes, size * count);
    size_t colon = str_find_char(line, ':', 0);
    if (colon != SIZE_MAX && str_eq_nocase(str_slice(line, 0, colon), STR("content-type"))) {
        str_t value = str_trim(str_slice(line, colon + 1, line.len));
        size_t len = value.len < sizeof(exchange->content_type_text) ? value.len : 0;
        memcpy(exchange->content_type_text, value.base, len);
        exchange->content_type = str_make(exchange->content_type_text, len);
    }
    return size * count;
}

static bool begin_stream(exchange_t *exchange)
{
    http_request_t *request = http_handle_get(exchange->client);
    long status = 0;
    if (request == NULL)
        return false;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    http_set_header(request, STR("cache-control"), STR("no-cache"));
    str_t type = exchange->content_type.len > 0 ? pool_str(http_pool(request), exchange->content_type)
                                                : STR("application/json");
    exchange->stream = http_stream_begin(request, (int)status, type, -1, on_client_gone, exchange);
    http_stream_on_drain(exchange->stream, on_client_drained, exchange);
    return true;
}

static size_t on_upstream_body(char *bytes, size_t size, size_t count, void *arg)
{
    exchange_t *exchange = arg;
    if (exchange->is_client_gone || (exchange->stream == NULL && !begin_stream(exchange)))
        return 0;
    if (exchange->is_paused)
        return CURL_WRITEFUNC_PAUSE;
    if (!http_stream_write(exchange->stream, str_make(bytes, size * count)))
        exchange->is_paused = true; /* the next chunk waits for on_client_drained */
    return size * count;
}

/* The UI falls back to the job queue when this text says "not reachable". */
static void answer_unreachable(exchange_t *exchange)
{
    if (http_handle_get(exchange->client) == NULL)
        return;
    api_context_t *ctx = exchange->ctx;
    err_t *err = err_make(ctx->pool, 503, ERR_FAMILY_UPSTREAM, "", "Job executor is not reachable");
    err->details_json = STR("{\"success\":false}");
    api_respond_error(ctx, err);
}

static void exchange_done(exchange_t *exchange, CURLcode result)
{
    if (exchange->stream != NULL && result == CURLE_OK)
        http_stream_end(exchange->stream);
    else if (exchange->stream != NULL)
        http_stream_abort(exchange->stream);
    else if (result == CURLE_OK && begin_stream(exchange))
        http_stream_end(exchange->stream);
    else if (!exchange->is_client_gone)
        answer_unreachable(exchange);
    exchange_destroy(exchange);
}

static void finish_done(proxy_t *proxy)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(proxy->multi, &left)) != NULL) {
        exchange_t *exchange = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        exchange_done(exchange, message->data.result);
    }
}

/* The method decides; a body goes along with whatever carries one. */
static void set_request(exchange_t *exchange, const api_context_t *ctx, str_t token)
{
    str_t body = http_body(ctx->request);
    CURL *easy = exchange->easy;
    if (body.len > 0) {
        exchange->body = malloc(body.len);
        if (exchange->body == NULL)
            abort();
        memcpy(exchange->body, body.base, body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body);
    } else if (str_eq(http_method(ctx->request), STR("HEAD"))) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, pool_cstr(ctx->pool, http_method(ctx->request)));
    exchange->headers = curl_slist_append(NULL, "Content-Type: application/json");
    exchange->headers = curl_slist_append(exchange->headers, "Expect:");
    str_t forwarded = pool_concat(ctx->pool, 2, STR("X-Forwarded-For: "), http_client_addr(ctx->request));
    exchange->headers = curl_slist_append(exchange->headers, pool_cstr(ctx->pool, forwarded));
    if (token.len > 0) { /* the executor asks back whose it is, and acts in that name */
        str_t bearer = pool_concat(ctx->pool, 2, STR("Authorization: Bearer "), token);
        exchange->headers = curl_slist_append(exchange->headers, pool_cstr(ctx->pool, bearer));
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
}

static void forward(proxy_t *proxy, api_context_t *ctx, str_t token)
{
    exchange_t *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        abort();
    str_t query = http_query(ctx->request);
    str_t url = pool_concat(ctx->pool, 4, config_str(proxy->gateway->config, "BASALT_EXECUTOR_URL"),
                            ctx->path, str_is_null(query) ? STR("") : STR("?"), query);
    CURL *easy = curl_easy_init();
    *exchange =
        (exchange_t){.proxy = proxy, .easy = easy, .ctx = ctx, .client = http_handle_create(ctx->request)};
    curl_easy_setopt(easy, CURLOPT_URL, pool_cstr(ctx->pool, url));
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, DEADLINE_S);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_upstream_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_upstream_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    set_request(exchange, ctx, token);
    proxy->running++;
    curl_multi_add_handle(proxy->multi, easy);
}

/* --- who may
 * ------------------------------------------------------------------------------------------------- */

static str_t cookie_value(str_t header, str_t name)
{
    while (!str_is_null(header)) {
        str_t value = str_trim(str_split(&header, ';'));
        if (str_eq(str_split(&value, '='), name) && !str_is_null(value))
            return value;
    }
    return STR_NULL;
}

static bool is_public(str_t path)
{
    return str_eq(path, STR("/api/health")) || str_eq(path, STR("/api/idm-authenticate"));
}

/* The cookie holds the access token of the session that signed in. `*token` stays null on public routes. */
static err_t *authorise(proxy_t *proxy, api_context_t *ctx, str_t *token)
{
    identity_t identity = {0};
    *token = STR_NULL;
    if (is_public(ctx->path))
        return NULL;
    str_t cookie = cookie_value(http_header(ctx->request, "cookie"), STR(COOKIE));
    *token = cookie.len > 0 ? cookie : ctx->bearer;
    err_t *err = token->len > 0 ? token_verify(proxy->gateway->tokens, ctx->pool, *token, &identity) : NULL;
    if (err == NULL && (identity.sub.len > 0 || str_eq(identity.role, STR("service_role"))))
        return NULL;
    return err_make(ctx->pool, 401, ERR_FAMILY_AUTH, "", "Sign in first");
}

static void handle(void *arg, api_context_t *ctx)
{
    proxy_t *proxy = arg;
    str_t token;
    err_t *err = authorise(proxy, ctx, &token);
    if (err == NULL && proxy->running >= EXCHANGES_MAX)
        err = err_make(ctx->pool, 503, ERR_FAMILY_OVERLOAD, "", "Too many executor calls at once");
    if (err != NULL)
        api_respond_error(ctx, err);
    else
        forward(proxy, ctx, token);
}

static void dispose(void *arg)
{
    proxy_t *proxy = arg;
    loop_timer_stop(&proxy->timer);
    curl_multi_cleanup(proxy->multi);
}

void executor_proxy_register(gateway_t *gateway, pool_t *process_pool)
{
    proxy_t *proxy = POOL_NEW(process_pool, proxy_t);
    proxy->gateway = gateway;
    proxy->multi = curl_multi_init();
    curl_multi_setopt(proxy->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(proxy->multi, CURLMOPT_SOCKETDATA, proxy);
    curl_multi_setopt(proxy->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(proxy->multi, CURLMOPT_TIMERDATA, proxy);
    pool_on_dispose(process_pool, dispose, proxy);
    api_route_add(
        gateway, &(api_route_t){
                     .prefix = "/executor/v1", .style = API_STYLE_FUNCTION, .handler = handle, .arg = proxy});
}
