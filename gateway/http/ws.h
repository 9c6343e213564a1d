/* Websocket (RFC 6455) over an upgraded connection: own frame codec, caps, timers, no compression. */
#ifndef HTTP_WS_H
#define HTTP_WS_H

#include "http/request.h"

typedef struct ws ws_t;

typedef struct {
    /* A whole message, reassembled. `bytes` is borrowed for the call. Text is valid UTF-8. */
    void (*on_message)(void *arg, ws_t *ws, bool is_text, str_t bytes);
    /* Called exactly once, never from inside ws_send or ws_close; afterwards `ws` is gone. `code` is what the
     * peer said (1005: nothing), what we closed with, or 1006 when the connection broke. */
    void (*on_closed)(void *arg, uint16_t code);
    /* The server is shutting down: send goodbyes and close. NULL: closed with 1001. */
    void (*on_drain)(void *arg, ws_t *ws);
} ws_handlers_t;

typedef struct {
    size_t message_max;  /* incoming, reassembled; larger: close 1009 */
    size_t queue_max;    /* outgoing bytes waiting; above: the socket is closed with 1013 */
    int idle_timeout_ms; /* no frame from the client for so long: close 1000 */
} ws_limits_t;

/* Checks method, version (426), key, and switches protocols. Returns NULL after having answered the request
 * itself (400/426). Otherwise the request is consumed. Frames that arrive at once are delivered from the next
 * turn on. */
ws_t *ws_upgrade(http_request_t *request, const ws_limits_t *limits, const ws_handlers_t *handlers,
                 void *arg);

/* A frame built once and sent to many: counted. */
typedef struct ws_frame ws_frame_t;
ws_frame_t *ws_frame_create(bool is_text, str_t payload); /* count 1 */
ws_frame_t *ws_frame_ref(ws_frame_t *frame);
void ws_frame_unref(ws_frame_t *frame);

/* Queues; writes are gathered once per loop turn. */
void ws_send_frame(ws_t *ws, ws_frame_t *frame); /* takes its own reference */
void ws_send(ws_t *ws, bool is_text, str_t payload);

/* Starts the closing handshake; `reason` <= 123 bytes. Further sends are dropped. */
void ws_close(ws_t *ws, uint16_t code, str_t reason);

size_t ws_queued_bytes(const ws_t *ws);
str_t ws_client_addr(const ws_t *ws); /* valid while the socket is */

#endif
