/* One request and its answer. Everything borrowed from it dies with its pool: when the answer is complete or
 * the client leaves. Asynchronous code holds an http_handle_t, never the request itself. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/chain.h"
#include "base/pool.h"

typedef struct http_request http_request_t;

pool_t *http_pool(http_request_t *request);
str_t http_method(const http_request_t *request);
str_t http_path(const http_request_t *request);  /* raw bytes before '?', not decoded */
str_t http_query(const http_request_t *request); /* raw bytes after '?'; null string when there is no '?' */
str_t http_body(const http_request_t *request);  /* whole body; empty when none */
str_t http_client_addr(const http_request_t *request); /* text; behind a trusted proxy the forwarded one */
str_t http_authority(const http_request_t *request);   /* Host */
bool http_is_tls(const http_request_t *request);       /* or a trusted proxy says X-Forwarded-Proto: https */

/* First header of that name (give it in lower case), or the null string. libh2o keeps content-length,
 * transfer-encoding and expect to itself; host and upgrade are found. */
str_t http_header(const http_request_t *request, const char *lower_name);
/* All headers in order, then host, content-length (the bytes of a body, also of one that came in chunks) and
 * upgrade: start with *cursor = 0. Names come in lower case. */
bool http_next_header(const http_request_t *request, size_t *cursor, str_t *name, str_t *value);

/* Weak reference for asynchronous completions. Loop thread only. */
typedef struct http_handle http_handle_t;
http_handle_t *http_handle_create(http_request_t *request); /* owner: the caller */
/* NULL once the request is answered or gone; a streamed one stays until its stream is over. */
http_request_t *http_handle_get(const http_handle_t *handle);
void http_handle_release(http_handle_t *handle);

/* Adds a response header (copied). CR, LF and NUL in the value are refused: the header is dropped and logged.
 */
void http_add_header(http_request_t *request, str_t name, str_t value);
void http_set_header(http_request_t *request, str_t name, str_t value); /* replaces */
/* Bytes of the body while the handler of http_on_respond runs; -1: streamed. */
int64_t http_answer_length(const http_request_t *request);
/* The words behind the status (copied) instead of the usual ones. What is empty, longer than 256 bytes or
 * more than printable ASCII changes nothing. */
void http_set_reason(http_request_t *request, str_t reason);

/* Calls `fn` once when the status is about to be sent (CORS, request id, access log). One per request. */
void http_on_respond(http_request_t *request, void (*fn)(void *arg, http_request_t *request, int status),
                     void *arg);

/* Answers and ends the request; `body` must live in the request's pool or be static. content_type may be
 * null. HEAD: the body is counted in Content-Length but not sent; a null body leaves the length unsaid. The
 * request must not be touched afterwards. */
void http_send(http_request_t *request, int status, str_t content_type, str_t body);

/* The same for a chain, which must live as long as the request's pool: its pieces are given back as they are
 * written. */
void http_send_chain(http_request_t *request, int status, str_t content_type, chain_t *body);

/* Streaming answer with back-pressure. Bytes are copied into the stream's own queue. */
typedef struct http_stream http_stream_t;

/* Sends the head (chunked, or with Content-Length when `length` >= 0). The request lives until end or abort,
 * or until the client leaves: then `on_gone` (may be NULL) is called once and the stream is no more. */
http_stream_t *http_stream_begin(http_request_t *request, int status, str_t content_type, int64_t length,
                                 void (*on_gone)(void *arg), void *arg);
/* False: more than 128 KiB are waiting; stop producing until on_drain. The bytes were taken all the same. */
bool http_stream_write(http_stream_t *stream, str_t bytes);
/* The same for a chain, which is empty afterwards: its pieces change hands. */
bool http_stream_write_chain(http_stream_t *stream, chain_t *bytes);
/* Bytes that the client's side has not taken yet (what the system has buffered counts as taken). */
size_t http_stream_pending(const http_stream_t *stream);
void http_stream_on_drain(http_stream_t *stream, void (*fn)(void *arg), void *arg);
void http_stream_end(http_stream_t *stream);
/* Breaks the connection so that the client sees an incomplete answer: an error came after the head. */
void http_stream_abort(http_stream_t *stream);

#endif
