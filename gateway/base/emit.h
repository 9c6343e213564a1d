/* Streaming JSON writer onto a buf: commas and nesting are its business, values are the caller's. */
#ifndef BASE_EMIT_H
#define BASE_EMIT_H

#include "base/buf.h"

#define EMIT_DEPTH_MAX 64

typedef struct {
    buf_t *out;
    uint8_t depth;
    bool has_items[EMIT_DEPTH_MAX];
    bool after_key;
} emit_t;

void emit_init(emit_t *emit, buf_t *out);

void emit_object_begin(emit_t *emit);
void emit_object_end(emit_t *emit);
void emit_array_begin(emit_t *emit);
void emit_array_end(emit_t *emit);
void emit_key(emit_t *emit, str_t key);

void emit_string(emit_t *emit, str_t value); /* the null string becomes null */
void emit_int(emit_t *emit, int64_t value);
void emit_double(emit_t *emit, double value); /* not finite: null */
void emit_bool(emit_t *emit, bool value);
void emit_null(emit_t *emit);
void emit_raw(emit_t *emit, str_t json); /* already JSON */

/* The members of an object without its braces ("\"a\":1,\"b\":2"), into the current object. Empty: nothing.
 */
void emit_raw_members(emit_t *emit, str_t members);

/* Key and value in one call; the literal form carries the length at compile time. */
#define emit_kv_string(emit, literal, value) (emit_key((emit), STR(literal)), emit_string((emit), (value)))
#define emit_kv_int(emit, literal, value) (emit_key((emit), STR(literal)), emit_int((emit), (value)))
#define emit_kv_bool(emit, literal, value) (emit_key((emit), STR(literal)), emit_bool((emit), (value)))
#define emit_kv_null(emit, literal) (emit_key((emit), STR(literal)), emit_null((emit)))
#define emit_kv_raw(emit, literal, json) (emit_key((emit), STR(literal)), emit_raw((emit), (json)))

/* Appends `value` as a JSON string with quotes; the hot path of every result (scans 16 bytes at a time).
 * Escapes as PostgreSQL's escape_json: \b \f \n \r \t \" \\ and \u00XX; other bytes are copied. */
void emit_json_string(buf_t *out, str_t value);
void emit_json_text(buf_t *out, str_t value); /* without the quotes */
/* Bytes at `s` that stand in a JSON string as they are. */
size_t emit_plain_run(const char *s, size_t len);

#endif
