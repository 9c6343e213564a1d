#include "http/request.h"

#include "base/clock.h"
#include "base/observe.h"
#include "http/internal.h"

#include <stdlib.h>

struct http_handle {
    http_request_t *request; /* NULL once it is gone */
    http_handle_t *next, **link;
};

static str_t from_native(h2o_iovec_t s)
{
    return str_make(s.base, s.base != NULL ? s.len : 0);
}

/* --- life --- */

void http_request_detach_handles(http_request_t *request)
{
    for (http_handle_t *handle = request->handles; handle != NULL; handle = handle->next)
        handle->request = NULL;
    request->handles = NULL;
}

/* libh2o clears its pool: the answer is written, or the connection broke. */
static void on_native_dispose(void *arg)
{
    http_request_t *request = *(http_request_t **)arg;
    http_request_detach_handles(request);
    if (request->stream != NULL)
        http_stream_dispose(request->stream);
    http_conn_t *conn = request->conn;
    if (conn->sock != NULL)
        http_conn_unwatch_client(conn);
    conn->server->body_bytes -= request->body_bytes;
    conn->request = NULL;
    conn->idle_since_us = clock_mono_us();
    conn->reading_since_us = 0;
    pool_destroy(request->pool);
}

/* Splits the raw target. The absolute form (RFC 9112 section 3.2.2) is cut down to its path. */
static void split_target(http_request_t *request)
{
    str_t target = from_native(request->native->input.path);
    bool is_path = target.len == 0 || target.base[0] == '/';
    size_t scheme = is_path ? SIZE_MAX : str_find(target, STR("://"), 0);
    if (scheme != SIZE_MAX) {
        size_t slash = str_find_char(target, '/', scheme + 3);
        target = slash != SIZE_MAX ? str_slice(target, slash, target.len) : STR("/");
    }
    request->query = target;
    request->path = str_split(&request->query, '?');
}

static void find_client(http_request_t *request)
{
    http_conn_t *conn = request->conn;
    const client_addr_set_t *proxies = conn->server->proxies;
    request->client_addr = http_conn_addr(conn);
    request->is_from_trusted = client_addr_is_in(proxies, request->client_addr);
    if (!request->is_from_trusted)
        return;
    const h2o_headers_t *headers = &request->native->headers;
    for (size_t i = headers->size; i-- > 0;) {
        if (!str_eq(from_native(*headers->entries[i].name), STR("x-forwarded-for")))
            continue;
        str_t forwarded = client_addr_forwarded(proxies, from_native(headers->entries[i].value));
        if (!str_is_null(forwarded))
            request->client_addr = forwarded;
        if (str_is_null(forwarded) || !client_addr_is_in(proxies, forwarded))
            return;
    }
}

http_request_t *http_request_create(http_conn_t *conn, h2o_req_t *native)
{
    pool_t *pool = pool_create_sized(POOL_REQUEST_SIZE);
    http_request_t *request = POOL_NEW(pool, http_request_t);
    request->native = native;
    request->pool = pool;
    request->conn = conn;
    request->is_head = str_eq(from_native(native->input.method), STR("HEAD"));
    request->body_bytes = native->entity.len;
    conn->server->body_bytes += request->body_bytes;
    split_target(request);
    find_client(request);
    http_request_t **slot = h2o_mem_alloc_shared(&native->pool, sizeof(request), on_native_dispose);
    *slot = request;
    conn->request = request;
    return request;
}

void http_request_abandon(http_request_t *request)
{
    observe(LOG_DEBUG, "http_client_left", F_STR("client", http_conn_addr(request->conn)));
    if (request->state == HTTP_STATE_STREAMING) {
        http_stream_abandon(request->stream);
        return;
    }
    if (request->state != HTTP_STATE_OPEN)
        return;
    /* libh2o has no way to drop a request; an answer that nobody reads ends it and, not persistent, its
     * connection */
    static h2o_generator_t none = {NULL, NULL};
    h2o_req_t *native = request->native;
    request->state = HTTP_STATE_ANSWERED;
    http_request_detach_handles(request);
    native->http1_is_persistent = 0;
    native->res.status = 499;
    native->res.reason = http_reason(499);
    native->res.content_length = 0;
    h2o_start_response(native, &none);
    h2o_send(native, NULL, 0, H2O_SEND_STATE_FINAL);
}

/* --- what came in --- */

pool_t *http_pool(http_request_t *request)
{
    return request->pool;
}

str_t http_method(const http_request_t *request)
{
    return from_native(request->native->input.method);
}

str_t http_path(const http_request_t *request)
{
    return request->path;
}

str_t http_query(const http_request_t *request)
{
    return request->query;
}

str_t http_body(const http_request_t *request)
{
    str_t body = from_native(request->native->entity);
    return body.base != NULL ? body : STR("");
}

str_t http_client_addr(const http_request_t *request)
{
    return request->client_addr;
}

str_t http_authority(const http_request_t *request)
{
    return from_native(request->native->input.authority);
}

bool http_is_tls(const http_request_t *request)
{
    if (request->native->input.scheme == &H2O_URL_SCHEME_HTTPS)
        return true;
    if (!request->is_from_trusted)
        return false;
    str_t forwarded = http_header(request, "x-forwarded-proto");
    return str_eq_nocase(str_trim(str_split(&forwarded, ',')), STR("https"));
}

str_t http_header(const http_request_t *request, const char *lower_name)
{
    const h2o_headers_t *headers = &request->native->headers;
    str_t name = str_from_c(lower_name);
    for (size_t i = 0; i < headers->size; i++)
        if (str_eq(from_native(*headers->entries[i].name), name))
            return str_trim(from_native(headers->entries[i].value));
    if (str_eq(name, STR("host")))
        return http_authority(request);
    if (str_eq(name, STR("upgrade")))
        return from_native(request->native->upgrade);
    return STR_NULL;
}

/* The header number `index` of those that libh2o takes out of the list; false: there are no more. One that
 * the request does not have has no value. */
static bool taken_header(const http_request_t *request, size_t index, str_t *name, str_t *value)
{
    str_t body = http_body(request);
    switch (index) {
    case 0:
        *name = STR("host");
        *value = http_authority(request);
        return true;
    case 1:
        *name = STR("content-length");
        *value = body.len > 0 ? pool_printf(request->pool, "%zu", body.len) : STR_NULL;
        return true;
    case 2:
        *name = STR("upgrade");
        *value = from_native(request->native->upgrade);
        return true;
    default:
        return false;
    }
}

bool http_next_header(const http_request_t *request, size_t *cursor, str_t *name, str_t *value)
{
    const h2o_headers_t *headers = &request->native->headers;
    if (*cursor < headers->size) {
        *name = from_native(*headers->entries[*cursor].name);
        *value = str_trim(from_native(headers->entries[*cursor].value));
        (*cursor)++;
        return true;
    }
    while (taken_header(request, *cursor - headers->size, name, value)) {
        (*cursor)++;
        if (value->len > 0)
            return true;
    }
    return false;
}

/* --- handles --- */

http_handle_t *http_handle_create(http_request_t *request)
{
    http_handle_t *handle = h2o_mem_alloc(sizeof(*handle));
    *handle = (http_handle_t){.request = request, .next = request->handles, .link = &request->handles};
    if (handle->next != NULL)
        handle->next->link = &handle->next;
    request->handles = handle;
    return handle;
}

http_request_t *http_handle_get(const http_handle_t *handle)
{
    return handle->request;
}

void http_handle_release(http_handle_t *handle)
{
    if (handle == NULL)
        return;
    if (handle->request != NULL) {
        *handle->link = handle->next;
        if (handle->next != NULL)
            handle->next->link = handle->link;
    }
    free(handle);
}
