/* One queued request, on a net worker: sends it and writes net._http_response. */
#include "base/fetch.h"
#include "base/observe.h"
#include "base/read_json.h"
#include "scheduler/inside.h"
#include "scheduler/own_address.h"

#include <unistd.h>

enum { TIMEOUT_MAX_MS = 600000, WRITE_TRIES = 5, HEADERS_MAX = 100 };

static const char ANSWER_SQL[] =
    "insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)"
    " values ($1, $2, $3, $4, $5, $6, $7)";

/* --- the request --- */

static size_t read_headers(net_request_t *request, fetch_header_t *headers)
{
    json_t *object = NULL;
    const char *name;
    json_t *value;
    size_t count = 0;
    if (str_is_null(request->headers_json))
        return 0;
    err_t *err = read_json(request->pool, request->headers_json, &(read_json_limits_t){0}, &object);
    if (err != NULL || !json_is_object(object))
        return 0;
    json_object_foreach(object, name, value)
    {
        if (!json_is_string(value) || count == HEADERS_MAX)
            continue;
        headers[count++] =
            (fetch_header_t){str_from_c(name), str_make(json_string_value(value), json_string_length(value))};
    }
    return count;
}

static err_t *perform(net_request_t *request, fetch_response_t *response)
{
    gateway_t *gateway = request->sched->gateway;
    fetch_header_t headers[HEADERS_MAX];
    int64_t timeout_ms = request->timeout_ms < 1                ? 1
                         : request->timeout_ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS
                                                                : request->timeout_ms;
    bool may_be_local = config_bool(gateway->config, "BASALT_ALLOW_LOCAL_TARGETS") ||
                        own_address_is(gateway->config, request->url);
    fetch_request_t spec = {
        .method = request->method,
        .url = request->url,
        .headers = headers,
        .header_count = read_headers(request, headers),
        .body = request->body,
        .connect_timeout_ms = (int)timeout_ms,
        .timeout_ms = (int)timeout_ms,
        .response_max = (size_t)config_int(gateway->config, "BASALT_NET_MAX_RESPONSE"),
        .addr_policy = may_be_local ? TARGET_ANY : TARGET_REMOTE,
        .is_cancelled = &request->sched->net.is_cancelled,
    };
    fetch_t *fetch = fetch_create();
    err_t *err = fetch_perform(fetch, request->pool, &spec, response);
    fetch_destroy(fetch);
    return err;
}

/* --- the answer --- */

/* What a text column takes: NUL and bytes that are no UTF-8 become U+FFFD. */
static str_t as_text(pool_t *pool, str_t bytes)
{
    bool has_nul = bytes.len > 0 && memchr(bytes.base, '\0', bytes.len) != NULL;
    if (!has_nul && str_is_utf8(bytes))
        return bytes;
    buf_t out;
    buf_init(&out, pool, bytes.len + 64);
    for (size_t at = 0; at < bytes.len;) {
        size_t len = 1;
        while (len <= 4 && at + len <= bytes.len && !str_is_utf8(str_make(bytes.base + at, len)))
            len++;
        bool is_good = len <= 4 && at + len <= bytes.len && bytes.base[at] != '\0';
        if (is_good)
            buf_append(&out, bytes.base + at, len);
        else
            buf_append_lit(&out, "\xef\xbf\xbd");
        at += is_good ? len : 1;
    }
    return buf_str(&out);
}

static str_t headers_json(pool_t *pool, const fetch_response_t *response)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    for (size_t i = 0; i < response->header_count; i++) {
        emit_key(&emit, as_text(pool, response->headers[i].name));
        emit_string(&emit, as_text(pool, response->headers[i].value));
    }
    emit_object_end(&emit);
    return buf_str(&out);
}

static err_t *write_answer(net_request_t *request, const str_t *params)
{
    db_session_t *session = NULL;
    err_t *err = db_session_begin(request->sched->gateway->internal_sessions, request->pool,
                                  &(db_session_who_t){0}, &session);
    if (err == NULL)
        err = db_session_query(session, str_from_c(ANSWER_SQL), params, 7, NULL);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

void net_send(net_request_t *request)
{
    pool_t *pool = request->pool;
    fetch_response_t response = {0};
    err_t *failure = perform(request, &response);
    bool is_timeout = failure != NULL && str_eq(failure->code, STR("timeout"));
    str_t id = pool_printf(pool, "%lld", (long long)request->id);
    str_t params[7] = {id,      STR_NULL, STR_NULL, STR_NULL, STR_NULL, is_timeout ? STR("t") : STR("f"),
                       STR_NULL};
    if (failure == NULL) {
        str_t type = fetch_header(&response, STR("content-type"));
        params[1] = pool_printf(pool, "%d", response.status);
        params[2] = str_is_null(type) ? STR_NULL : as_text(pool, type);
        params[3] = headers_json(pool, &response);
        params[4] = as_text(pool, response.body);
    } else {
        params[6] = as_text(pool, failure->message);
    }
    metric_add(failure == NULL ? request->sched->metrics.requests : request->sched->metrics.request_errors,
               1);
    err_t *err = NULL;
    for (int i = 0; i < WRITE_TRIES; i++) {
        err = write_answer(request, params);
        if (err == NULL)
            return;
        if (!request->sched->net.is_cancelled)
            sleep(1);
    }
    observe(LOG_ERROR, "net_answer_not_recorded", F_INT("id", request->id), F_STR("message", err->message));
}
