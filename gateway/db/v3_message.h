/* Messages of PostgreSQL's protocol 3.0, as far as a pipeline of prepared statements needs them: bytes to
 * events and statements to bytes. Knows no socket. */
#ifndef DB_V3_MESSAGE_H
#define DB_V3_MESSAGE_H

#include "db/wire.h"

/* ---- from the server ---- */

typedef struct {
    char type;
    str_t body;  /* borrowed */
    size_t size; /* of the whole message */
} v3_frame_t;

typedef enum {
    V3_FRAME_WHOLE,
    V3_FRAME_PARTIAL, /* more bytes are needed; frame->size: how many in all, 0 when not even that is known */
    V3_FRAME_BAD      /* its length cannot be */
} v3_framing_t;

/* The message at the front of `bytes`. Its declared length is not to be trusted with memory. */
v3_framing_t v3_frame(str_t bytes, v3_frame_t *frame);

typedef enum {
    V3_EVENT,
    V3_NOTHING,  /* a message that nobody waits for: BindComplete, notices, notifications */
    V3_COPY,     /* the server wants to begin a COPY */
    V3_MALFORMED /* of an unknown type, or its contents do not add up */
} v3_meaning_t;

/* What it says; arrays of the event are in `scratch`, strings in the message. Every length in it is checked.
 */
v3_meaning_t v3_decode(const v3_frame_t *frame, buf_t *scratch, wire_event_t *event);

/* ParameterStatus ('S'). False: malformed. */
bool v3_decode_parameter(const v3_frame_t *frame, str_t *name, str_t *value);

/* ---- to the server; false: it does not fit into a message ---- */

/* Text up to a zero byte. */
bool v3_put_parse(buf_t *out, const char *name, const db_stmt_t *stmt);
/* All parameters in text format, results as `formats` says; NULL: in text. */
bool v3_put_bind(buf_t *out, const char *name, const str_t *params, size_t count,
                 const stmt_formats_t *formats);
void v3_put_describe(buf_t *out); /* what was bound */
void v3_put_execute(buf_t *out);
void v3_put_sync(buf_t *out);

#endif
