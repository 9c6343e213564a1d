#include "base/observe.h"
#include "http/compress.h"
#include "http/internal.h"

#define REASON_MAX 256

typedef struct {
    int status;
    const char *reason;
} reason_t;

/* In the words of the peers (http-types, Go's net/http), which clients show as statusText; 499 is nginx's. */
static const reason_t REASONS[] = {{101, "Switching Protocols"},
                                   {200, "OK"},
                                   {201, "Created"},
                                   {202, "Accepted"},
                                   {204, "No Content"},
                                   {203, "Non-Authoritative Information"},
                                   {205, "Reset Content"},
                                   {206, "Partial Content"},
                                   {300, "Multiple Choices"},
                                   {301, "Moved Permanently"},
                                   {302, "Found"},
                                   {303, "See Other"},
                                   {304, "Not Modified"},
                                   {307, "Temporary Redirect"},
                                   {308, "Permanent Redirect"},
                                   {400, "Bad Request"},
                                   {401, "Unauthorized"},
                                   {402, "Payment Required"},
                                   {403, "Forbidden"},
                                   {404, "Not Found"},
                                   {405, "Method Not Allowed"},
                                   {406, "Not Acceptable"},
                                   {408, "Request Timeout"},
                                   {409, "Conflict"},
                                   {410, "Gone"},
                                   {411, "Length Required"},
                                   {412, "Precondition Failed"},
                                   {413, "Request Entity Too Large"},
                                   {414, "Request-URI Too Long"},
                                   {415, "Unsupported Media Type"},
                                   {416, "Requested Range Not Satisfiable"},
                                   {417, "Expectation Failed"},
                                   {418, "I'm a teapot"},
                                   {422, "Unprocessable Entity"},
                                   {423, "Locked"},
                                   {425, "Too Early"},
                                   {426, "Upgrade Required"},
                                   {428, "Precondition Required"},
                                   {429, "Too Many Requests"},
                                   {431, "Request Header Fields Too Large"},
                                   {499, "Client Closed Request"},
                                   {500, "Internal Server Error"},
                                   {501, "Not Implemented"},
                                   {502, "Bad Gateway"},
                                   {503, "Service Unavailable"},
                                   {504, "Gateway Timeout"},
                                   {505, "HTTP Version not supported"},
                                   {511, "Network Authentication Required"}};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (REASONS[i].status == status)
            return REASONS[i].reason;
    return "Status";
}

int64_t http_answer_length(const http_request_t *request)
{
    return request->answer_len;
}

void http_set_reason(http_request_t *request, str_t reason)
{
    bool is_good = reason.len > 0 && reason.len <= REASON_MAX;
    for (size_t i = 0; i < reason.len && is_good; i++)
        is_good = reason.base[i] >= ' ' && reason.base[i] <= '~';
    if (is_good)
        request->reason = pool_cstr(request->pool, reason);
}

/* --- headers --- */

/* The characters of a token (RFC 9110 section 5.6.2) as bits. */
static const uint64_t TOKEN_CHARS[2] = {UINT64_C(0x03ff6cfa00000000), UINT64_C(0x57ffffffc7fffffe)};

/* Copies a header's name in lower case; false when it is no token. */
static bool lower_name(char *to, str_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.base[i];
        if (c >= 0x80 || (TOKEN_CHARS[c >> 6] >> (c & 63) & 1) == 0)
            return false;
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c | 32 : c);
    }
    return name.len != 0;
}

/* These belong to the connection and to the framing, which are libh2o's and this room's business. */
static bool is_reserved(str_t lower)
{
    switch (lower.len) {
    case 4:
        return str_eq(lower, STR("date"));
    case 10:
        return str_eq(lower, STR("connection")) || str_eq(lower, STR("keep-alive"));
    case 14:
        return str_eq(lower, STR("content-length"));
    case 17:
        return str_eq(lower, STR("transfer-encoding"));
    default:
        return false;
    }
}

static bool is_one_line(str_t value)
{
    return str_find_char(value, '\r', 0) == SIZE_MAX && str_find_char(value, '\n', 0) == SIZE_MAX &&
           str_find_char(value, '\0', 0) == SIZE_MAX;
}

static void delete_header(http_request_t *request, str_t lower)
{
    h2o_headers_t *headers = &request->native->res.headers;
    for (size_t i = headers->size; i-- > 0;)
        if (str_eq(str_make(headers->entries[i].name->base, headers->entries[i].name->len), lower))
            h2o_delete_header(headers, (ssize_t)i);
}

static void put_header(http_request_t *request, str_t name, str_t value, bool is_replacing)
{
    if (request->state != HTTP_STATE_OPEN)
        return;
    char *copy = pool_alloc(request->pool, name.len + 1);
    str_t lower = str_make(copy, name.len);
    bool is_name = lower_name(copy, name);
    if (!is_name || !is_one_line(value)) {
        observe(LOG_WARN, "http_header_refused", F_STR("name", is_name ? name : STR("?")));
        return;
    }
    if (is_reserved(lower))
        return;
    if (is_replacing)
        delete_header(request, lower);
    str_t own_name = str_eq(lower, name) ? lower : pool_str(request->pool, name);
    str_t own_value = value.len != 0 ? pool_str(request->pool, value) : STR("");
    h2o_add_header_by_str(&request->native->pool, &request->native->res.headers, lower.base, lower.len, 0,
                          own_name.base, own_value.base, own_value.len);
}

void http_add_header(http_request_t *request, str_t name, str_t value)
{
    put_header(request, name, value, false);
}

void http_set_header(http_request_t *request, str_t name, str_t value)
{
    put_header(request, name, value, true);
}

void http_on_respond(http_request_t *request, void (*fn)(void *arg, http_request_t *request, int status),
                     void *arg)
{
    request->on_respond = fn;
    request->on_respond_arg = arg;
}

/* --- answers --- */

void http_begin_answer(http_request_t *request, int status)
{
    h2o_req_t *native = request->native;
    if (status < 101 || status > 599)
        status = 500;
    if (request->on_respond != NULL)
        request->on_respond(request->on_respond_arg, request, status);
    native->res.status = status;
    native->res.reason = request->reason != NULL ? request->reason : http_reason(status);
    const http_server_t *server = request->conn->server;
    bool must_close = server->is_draining || (server->limits.is_proxy_strict && native->entity.base != NULL);
    if (must_close)
        native->http1_is_persistent = 0;
}

static bool has_response_header(const http_request_t *request, str_t name)
{
    const h2o_headers_t *headers = &request->native->res.headers;
    for (size_t i = 0; i < headers->size; i++)
        if (str_eq_nocase(str_make(headers->entries[i].name->base, headers->entries[i].name->len), name))
            return true;
    return false;
}

/* HEAD is left alone: its length would have to be that of a compressed body that nobody reads. */
static str_t compressed(http_request_t *request, str_t content_type, str_t body)
{
    size_t least = request->conn->server->limits.compress_min;
    if (least == 0 || body.len < least || body.len > COMPRESS_MAX || !compress_is_worthwhile(content_type) ||
        has_response_header(request, STR("content-encoding")))
        return body;
    http_add_header(request, STR("Vary"), STR("Accept-Encoding"));
    if (request->is_head || !compress_is_accepted(http_header(request, "accept-encoding")) ||
        !compress_gzip(request->pool, body, &body))
        return body;
    http_add_header(request, STR("Content-Encoding"), STR("gzip"));
    return body;
}

void http_send(http_request_t *request, int status, str_t content_type, str_t body)
{
    static h2o_generator_t whole = {NULL, NULL};
    if (request->state != HTTP_STATE_OPEN) {
        observe(LOG_ERROR, "http_answered_twice", F_INT("status", status), F_STR("path", request->path));
        return;
    }
    if (!str_is_null(content_type))
        http_set_header(request, STR("Content-Type"), content_type);
    request->answer_len = (int64_t)body.len;
    http_begin_answer(request, status);
    body = compressed(request, content_type, body);
    request->state = HTTP_STATE_ANSWERED;
    http_request_detach_handles(request);
    http_conn_unwatch_client(request->conn);
    h2o_req_t *native = request->native;
    bool has_body = native->res.status >= 200 && native->res.status != 204 && native->res.status != 304;
    bool is_length_known = !request->is_head || body.base != NULL;
    if (has_body && is_length_known)
        native->res.content_length = body.len;
    h2o_iovec_t bytes = h2o_iovec_init(body.base, body.len);
    h2o_start_response(native, &whole);
    h2o_send(native, &bytes, has_body && !request->is_head && body.len != 0 ? 1 : 0, H2O_SEND_STATE_FINAL);
}

/* Compression wants it in one piece, and so does what is short. */
void http_send_chain(http_request_t *request, int status, str_t content_type, chain_t *body)
{
    size_t len = chain_len(body);
    bool is_whole = body->first == body->last || request->is_head || status == 204 || status == 304 ||
                    (request->conn->server->limits.compress_min != 0 && len <= COMPRESS_MAX);
    if (is_whole) {
        http_send(request, status, content_type, chain_str(body, request->pool));
        return;
    }
    http_stream_t *stream = http_stream_begin(request, status, content_type, (int64_t)len, NULL, NULL);
    if (stream == NULL)
        return;
    http_stream_write_chain(stream, body);
    http_stream_end(stream);
}
