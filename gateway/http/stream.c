#include "base/observe.h"
#include "http/internal.h"

#include <stdio.h>

#define WAITING_MAX (128u << 10)
/* One write of libh2o: it tells only when all of it is gone, so smaller ones show that a slow reader lives.
 */
#define PIECE_MAX (128u << 10)
#define WHOLE_MAX (1024u << 10) /* of what is complete already; the system usually takes it at once */
#define PARTS_MAX (WHOLE_MAX / CHAIN_PIECE + 2)

/* In the request's pool. */
struct http_stream {
    h2o_generator_t generator;
    http_request_t *request;
    http_flush_t flush;
    chain_t pending;
    size_t in_flight; /* of its front: what libh2o has now */
    char chunk_head[24];
    bool is_chunked, is_head_sent, is_writing, is_full, is_ended, is_aborted, is_final;
    int64_t left; /* of the announced length; -1: none announced */
    void (*on_gone)(void *arg);
    void *arg;
    void (*on_drain)(void *arg);
    void *drain_arg;
};

static void on_proceed(h2o_generator_t *self, h2o_req_t *native);
static void on_stop(h2o_generator_t *self, h2o_req_t *native);

/* Tells the owner once that the stream is no more; not when it ended it itself. */
static void tell_gone(http_stream_t *stream)
{
    void (*on_gone)(void *arg) = stream->on_gone;
    bool was_ended = stream->is_ended || stream->is_aborted;
    stream->on_gone = NULL;
    stream->on_drain = NULL;
    stream->is_aborted = true;
    if (on_gone != NULL && !was_ended)
        on_gone(stream->arg);
}

/* Breaks the connection. Where only its end could end the answer, an ordinary end would look complete. */
static void send_abort(http_stream_t *stream)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    http_conn_t *conn = stream->request->conn;
    stream->is_final = true;
    http_conn_unwatch_client(conn);
    if (!stream->is_chunked && stream->left < 0 && conn->sock != NULL)
        setsockopt(h2o_socket_get_fd(conn->sock), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    h2o_send(stream->request->native, NULL, 0, H2O_SEND_STATE_ERROR);
}

static void send_piece(http_stream_t *stream)
{
    size_t max = stream->is_ended ? WHOLE_MAX : PIECE_MAX;
    str_t bytes[PARTS_MAX];
    h2o_iovec_t parts[PARTS_MAX + 2];
    size_t count = 0, len = 0, lent = chain_lend(&stream->pending, max, bytes, PARTS_MAX);
    for (size_t i = 0; i < lent; i++)
        len += bytes[i].len;
    bool is_last = stream->is_ended && len == chain_len(&stream->pending);
    if (len != 0 && stream->is_chunked) {
        int head = snprintf(stream->chunk_head, sizeof(stream->chunk_head), "%zx\r\n", len);
        parts[count++] = h2o_iovec_init(stream->chunk_head, (size_t)head);
    }
    for (size_t i = 0; i < lent; i++)
        parts[count++] = h2o_iovec_init(bytes[i].base, bytes[i].len);
    if (stream->is_chunked && len != 0 && is_last)
        parts[count++] = h2o_iovec_init(H2O_STRLIT("\r\n0\r\n\r\n"));
    else if (stream->is_chunked && len != 0)
        parts[count++] = h2o_iovec_init(H2O_STRLIT("\r\n"));
    else if (stream->is_chunked && is_last)
        parts[count++] = h2o_iovec_init(H2O_STRLIT("0\r\n\r\n"));
    stream->in_flight = len;
    stream->is_final = is_last;
    stream->is_writing = true;
    stream->is_head_sent = true;
    if (is_last)
        http_conn_unwatch_client(stream->request->conn);
    h2o_send(stream->request->native, parts, count,
             is_last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

/* Hands what waits to libh2o. After a final send the stream may be freed: touch nothing. */
static void flush(void *arg)
{
    http_stream_t *stream = arg;
    bool has_news =
        !stream->is_head_sent || chain_len(&stream->pending) != 0 || stream->is_ended || stream->is_aborted;
    if (stream->is_writing || stream->is_final || !has_news)
        return;
    if (stream->is_aborted || (stream->is_ended && stream->left > 0))
        send_abort(stream);
    else
        send_piece(stream);
}

static void schedule(http_stream_t *stream)
{
    if (!stream->is_writing && !stream->is_final)
        http_server_schedule_flush(stream->request->conn->server, &stream->flush);
}

static void on_proceed(h2o_generator_t *self, h2o_req_t *native)
{
    (void)native;
    http_stream_t *stream = (http_stream_t *)self;
    stream->is_writing = false;
    chain_drop(&stream->pending, stream->in_flight);
    stream->in_flight = 0;
    bool is_last = stream->is_ended || stream->is_aborted;
    flush(stream);
    if (is_last)
        return; /* and it may be freed */
    if (stream->is_full && chain_len(&stream->pending) <= WAITING_MAX / 2) {
        stream->is_full = false;
        if (stream->on_drain != NULL)
            stream->on_drain(stream->drain_arg);
    }
}

static void on_stop(h2o_generator_t *self, h2o_req_t *native)
{
    (void)native;
    tell_gone((http_stream_t *)self);
}

void http_stream_dispose(http_stream_t *stream)
{
    tell_gone(stream);
    if (h2o_linklist_is_linked(&stream->flush.link))
        h2o_linklist_unlink(&stream->flush.link);
    chain_clear(&stream->pending);
}

/* The client has left: a write under way fails by itself once the socket is shut, otherwise we end it. */
void http_stream_abandon(http_stream_t *stream)
{
    tell_gone(stream);
    if (stream->is_writing)
        shutdown(h2o_socket_get_fd(stream->request->conn->sock), SHUT_RDWR);
    else
        schedule(stream);
}

http_stream_t *http_stream_begin(http_request_t *request, int status, str_t content_type, int64_t length,
                                 void (*on_gone)(void *arg), void *arg)
{
    if (request->state != HTTP_STATE_OPEN) {
        observe(LOG_ERROR, "http_answered_twice", F_INT("status", status), F_STR("path", request->path));
        return NULL;
    }
    if (!str_is_null(content_type))
        http_set_header(request, STR("Content-Type"), content_type);
    request->answer_len = length;
    http_begin_answer(request, status);
    request->state = HTTP_STATE_STREAMING;
    h2o_req_t *native = request->native;
    http_stream_t *stream = POOL_NEW(request->pool, http_stream_t);
    request->stream = stream;
    if (length < 0)
        http_guard_stream(h2o_socket_get_fd(request->conn->sock));
    stream->generator = (h2o_generator_t){on_proceed, on_stop};
    stream->request = request;
    stream->flush = (http_flush_t){.fn = flush, .arg = stream};
    stream->left = length >= 0 ? length : -1;
    stream->on_gone = on_gone;
    stream->arg = arg;
    if (length >= 0)
        native->res.content_length = (size_t)length;
    else if (native->version != 0x101)
        native->http1_is_persistent = 0;
    else if (!request->is_head)
        stream->is_chunked = true;
    if (stream->is_chunked)
        h2o_add_header(&native->pool, &native->res.headers, H2O_TOKEN_TRANSFER_ENCODING, NULL,
                       H2O_STRLIT("chunked"));
    /* libh2o's chunk filter closes the connection after any status but 200 and cannot send a head alone; it
     * steps aside when it sees 200 and the header above. */
    int status_sent = native->res.status;
    native->res.status = 200;
    h2o_start_response(native, &stream->generator);
    native->res.status = status_sent;
    http_conn_watch_client(request->conn);
    schedule(stream);
    return stream;
}

static bool has_room(http_stream_t *stream)
{
    schedule(stream);
    stream->is_full = chain_len(&stream->pending) > WAITING_MAX;
    return !stream->is_full;
}

bool http_stream_write(http_stream_t *stream, str_t bytes)
{
    if (stream->is_ended || stream->is_aborted)
        return true;
    if (stream->left >= 0) {
        bytes = str_slice(bytes, 0, (size_t)stream->left);
        stream->left -= (int64_t)bytes.len;
    }
    if (bytes.len == 0 || stream->request->is_head)
        return true;
    chain_append(&stream->pending, bytes);
    return has_room(stream);
}

bool http_stream_write_chain(http_stream_t *stream, chain_t *bytes)
{
    size_t len = chain_len(bytes);
    if (stream->is_ended || stream->is_aborted || stream->request->is_head || len == 0) {
        chain_clear(bytes);
        return true;
    }
    if (stream->left >= 0)
        stream->left -= (int64_t)len;
    chain_move(&stream->pending, bytes);
    return has_room(stream);
}

size_t http_stream_pending(const http_stream_t *stream)
{
    return chain_len(&stream->pending);
}

void http_stream_on_drain(http_stream_t *stream, void (*fn)(void *arg), void *arg)
{
    stream->on_drain = fn;
    stream->drain_arg = arg;
}

void http_stream_end(http_stream_t *stream)
{
    if (stream->request->is_head)
        stream->left = -1;
    stream->is_ended = true;
    schedule(stream);
}

void http_stream_abort(http_stream_t *stream)
{
    stream->is_aborted = true;
    schedule(stream);
}
