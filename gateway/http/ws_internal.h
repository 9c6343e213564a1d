/* The websocket's state, shared by ws.c, ws_receive.c and ws_upgrade.c. */
#ifndef HTTP_WS_INTERNAL_H
#define HTTP_WS_INTERNAL_H

#include "http/internal.h"
#include "http/ws_codec.h"

typedef enum {
    WS_STATE_OPENING, /* libh2o owns the socket until the 101 is written */
    WS_STATE_OPEN,
    WS_STATE_CLOSING, /* our close frame is queued or sent; no more messages */
    WS_STATE_DEAD     /* nothing is read or written; freed at the end of the turn */
} ws_state_t;

struct ws_frame {
    unsigned refs;
    size_t len;
    char bytes[]; /* head and payload */
};

/* Owned by its connection from the upgrade on, freed by on_flush in state DEAD. */
struct ws {
    http_server_t *server;
    http_conn_t *conn;  /* NULL when the upgrade failed */
    h2o_socket_t *sock; /* NULL before the upgrade is complete and when it failed */
    ws_handlers_t handlers;
    void *arg;
    ws_limits_t limits;
    ws_state_t state;
    uint16_t close_code;
    bool is_upgrading;    /* ws_on_upgraded will still be called */
    bool has_early_input; /* bytes that came along with the request */
    bool is_deaf;         /* the peer broke the protocol: bytes are thrown away until it closes */
    bool is_close_received, is_close_sent;
    http_flush_t flush;
    /* outgoing: a ring of references, the first `in_flight` of which libh2o is writing */
    ws_frame_t **ring;
    size_t ring_size, ring_first, ring_count, in_flight;
    size_t queued_bytes;
    ws_frame_t *pong; /* at most one waits: only the latest ping needs an answer (RFC 6455 section 5.5.3) */
    /* incoming */
    buf_t message;              /* fragments so far */
    ws_opcode_t message_opcode; /* CONTINUATION: no message has begun */
    loop_timer_t timer;         /* idle, then closing */
    int64_t last_frame_us;
    char client_addr[CLIENT_ADDR_TEXT_MAX];
};

ws_frame_t *ws_frame_make(ws_opcode_t opcode, str_t payload);
void ws_schedule(ws_t *ws);

/* Reads what lies in the socket's buffer. */
void ws_receive(ws_t *ws);

/* Begins to close with `code`; what is queued but not being written is dropped when `drop_queue`. */
void ws_begin_close(ws_t *ws, uint16_t code, str_t reason, bool drop_queue);
/* The connection is of no more use. */
void ws_die(ws_t *ws, uint16_t code);

/* The 101 is written (`sock` NULL: it could not be); `request_len` bytes of the buffer are the request. */
void ws_on_upgraded(void *data, h2o_socket_t *sock, size_t request_len);
void ws_on_flush(void *arg);

#endif
