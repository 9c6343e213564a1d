#include "base/fetch.h"

#include "base/buf.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <stdlib.h>

#define CONNECT_DEFAULT_MS 5000
#define TIMEOUT_DEFAULT_MS 30000
#define RESPONSE_DEFAULT_MAX (8u << 20)
#define RESPONSE_HEADERS_MAX 200

/* One curl handle per address policy: a kept connection must never serve a stricter request. */
struct fetch {
    CURL *handles[2];
};

/* What the callbacks of one exchange share. */
typedef struct {
    const fetch_request_t *request;
    fetch_response_t *response;
    pool_t *pool;
    buf_t body;
    size_t body_max;
    target_gate_t gate;
    bool is_too_large, is_ended, is_cancelled;
} exchange_t;

void fetch_global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

void fetch_global_cleanup(void)
{
    curl_global_cleanup();
}

fetch_t *fetch_create(void)
{
    fetch_t *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL)
        abort();
    return fetch;
}

void fetch_destroy(fetch_t *fetch)
{
    if (fetch == NULL)
        return;
    curl_easy_cleanup(fetch->handles[0]);
    curl_easy_cleanup(fetch->handles[1]);
    free(fetch);
}

/* --- what comes back --- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    exchange_t *exchange = arg;
    size_t len = size * count;
    const fetch_request_t *request = exchange->request;
    if (request->on_data != NULL) {
        exchange->is_ended = !request->on_data(request->arg, str_make(bytes, len));
        return exchange->is_ended ? CURL_WRITEFUNC_ERROR : len;
    }
    if (len > exchange->body_max - exchange->body.len) {
        exchange->is_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    buf_append(&exchange->body, bytes, len);
    return len;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    exchange_t *exchange = arg;
    fetch_response_t *response = exchange->response;
    size_t len = size * count;
    str_t line = str_trim(str_make(bytes, len));
    if (str_starts_with(line, STR("HTTP/"))) { /* a later answer (after 100) replaces the earlier */
        str_t rest = line;
        str_split(&rest, ' ');
        int64_t status = 0;
        str_to_int64(str_slice(rest, 0, 3), &status);
        response->status = (int)status;
        response->header_count = 0;
        return len;
    }
    str_t value = line;
    str_t name = str_split(&value, ':');
    if (str_is_null(value) || response->header_count == RESPONSE_HEADERS_MAX)
        return len;
    if (response->headers == NULL)
        response->headers = POOL_ARRAY(exchange->pool, fetch_header_t, RESPONSE_HEADERS_MAX);
    response->headers[response->header_count++] =
        (fetch_header_t){pool_str(exchange->pool, str_trim(name)), pool_str(exchange->pool, str_trim(value))};
    return len;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    exchange_t *exchange = arg;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    const atomic_bool *is_cancelled = exchange->request->is_cancelled;
    exchange->is_cancelled = is_cancelled != NULL && *is_cancelled;
    return exchange->is_cancelled;
}

str_t fetch_header(const fetch_response_t *response, str_t name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (str_eq_nocase(response->headers[i].name, name))
            return response->headers[i].value;
    return STR_NULL;
}

/* --- what goes out --- */

static bool has_line_break(str_t s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.base[i] == '\r' || s.base[i] == '\n' || s.base[i] == '\0')
            return true;
    return false;
}

static struct curl_slist *append(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    if (longer == NULL)
        abort();
    return longer;
}

/* Curl's own Expect and Content-Type are switched off; NULL with *is_bad when a header cannot be sent. */
static struct curl_slist *build_headers(pool_t *pool, const fetch_request_t *request, bool *is_bad)
{
    struct curl_slist *list = append(NULL, "Expect:");
    bool has_type = false;
    for (size_t i = 0; i < request->header_count; i++) {
        str_t name = request->headers[i].name, value = request->headers[i].value;
        if (name.len == 0 || has_line_break(name) || has_line_break(value)) {
            curl_slist_free_all(list);
            *is_bad = true;
            return NULL;
        }
        has_type = has_type || str_eq_nocase(name, STR("content-type"));
        str_t line = value.len != 0 ? pool_concat(pool, 3, name, STR(": "), value)
                                    : pool_concat(pool, 2, name, STR(";"));
        list = append(list, line.base);
    }
    return has_type ? list : append(list, "Content-Type:");
}

static void set_body(CURL *curl, pool_t *pool, const fetch_request_t *request)
{
    str_t method = str_is_null(request->method) ? STR("GET") : request->method;
    bool is_post = str_eq(method, STR("POST"));
    if (!str_is_null(request->body) || is_post) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.len != 0 ? request->body.base : "");
    } else if (str_eq(method, STR("HEAD"))) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, pool_cstr(pool, method));
}

static void set_tls(CURL *curl, pool_t *pool, const fetch_request_t *request)
{
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, request->is_tls_unverified ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, request->is_tls_unverified ? 0L : 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION,
                     request->is_tls_legacy ? CURL_SSLVERSION_TLSv1_0 : CURL_SSLVERSION_TLSv1_2);
    if (request->is_tls_legacy)
        curl_easy_setopt(curl, CURLOPT_SSL_CIPHER_LIST, "DEFAULT:@SECLEVEL=0");
    if (request->ca_file.len != 0)
        curl_easy_setopt(curl, CURLOPT_CAINFO, pool_cstr(pool, request->ca_file));
}

static void set_exchange(CURL *curl, exchange_t *exchange, char *reason)
{
    const fetch_request_t *request = exchange->request;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    target_guard(curl, &exchange->gate);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_URL, pool_cstr(exchange->pool, request->url));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
    long connect_ms = request->connect_timeout_ms > 0 ? request->connect_timeout_ms : CONNECT_DEFAULT_MS;
    long timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_DEFAULT_MS;
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    if (request->username.len != 0) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, pool_cstr(exchange->pool, request->username));
        curl_easy_setopt(curl, CURLOPT_PASSWORD, pool_cstr(exchange->pool, request->password));
    }
    set_tls(curl, exchange->pool, request);
    set_body(curl, exchange->pool, request);
}

/* --- outcome --- */

static const char *code_of(const exchange_t *exchange, CURLcode result)
{
    if (exchange->is_cancelled)
        return "cancelled";
    if (target_was_refused(&exchange->gate))
        return "address";
    if (exchange->is_too_large)
        return "too_large";
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return "timeout";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return "connect";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
        return "tls";
    default:
        return "protocol";
    }
}

static err_t *failure(const exchange_t *exchange, CURLcode result, const char *reason)
{
    const char *code = code_of(exchange, result);
    bool is_timeout = strcmp(code, "timeout") == 0;
    if (target_was_refused(&exchange->gate))
        reason = "The address is not allowed as a target";
    else if (exchange->is_too_large)
        reason = "The response is too large";
    else if (exchange->is_cancelled)
        reason = "The request was cancelled";
    else if (reason[0] == '\0')
        reason = curl_easy_strerror(result);
    return err_make(exchange->pool, is_timeout ? 504 : 502, ERR_FAMILY_UPSTREAM, code, "%s", reason);
}

static CURL *handle_for(fetch_t *fetch, target_policy_t policy)
{
    CURL **slot = &fetch->handles[policy == TARGET_ANY];
    if (*slot == NULL)
        *slot = curl_easy_init();
    else
        curl_easy_reset(*slot); /* keeps its connections */
    if (*slot == NULL)
        abort();
    return *slot;
}

err_t *fetch_perform(fetch_t *fetch, pool_t *pool, const fetch_request_t *request, fetch_response_t *out)
{
    *out = (fetch_response_t){.body = STR("")};
    bool is_bad = has_line_break(request->url);
    struct curl_slist *headers = is_bad ? NULL : build_headers(pool, request, &is_bad);
    if (is_bad)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                        "The URL or a header has a line break in it");
    exchange_t exchange = {
        .request = request, .response = out, .pool = pool, .gate = {.policy = request->addr_policy}};
    exchange.body_max = request->response_max != 0 ? request->response_max : RESPONSE_DEFAULT_MAX;
    buf_init(&exchange.body, pool, 0);
    CURL *curl = handle_for(fetch, request->addr_policy);
    char reason[CURL_ERROR_SIZE] = "";
    set_exchange(curl, &exchange, reason);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    int64_t from = clock_mono_us();
    CURLcode result = curl_easy_perform(curl);
    out->elapsed_us = clock_mono_us() - from;
    if (exchange.body.len != 0)
        out->body = buf_str(&exchange.body);
    curl_easy_reset(curl); /* forgets credentials and our stack */
    curl_slist_free_all(headers);
    if (result == CURLE_OK || exchange.is_ended)
        return NULL;
    return failure(&exchange, result, reason);
}
