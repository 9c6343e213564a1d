#include "db/v3_message.h"

enum { HEADER = 5, LENGTH = 4, SHORT_MAX = 30000, PARAMS_MAX = 65535 };
#define MESSAGE_MAX ((size_t)1 << 30) /* the server's own limit */

/* ---- bytes ---- */

static uint32_t get32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap32(value);
}

static uint16_t get16(const char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return __builtin_bswap16(value);
}

static char *put32(char *to, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static char *put16(char *to, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static char *put_bytes(char *to, const char *bytes, size_t len)
{
    if (len > 0)
        memcpy(to, bytes, len);
    return to + len;
}

/* Cuts a zero-terminated string off the front. False: it does not end. */
static bool take_string(str_t *rest, str_t *out)
{
    const char *end = rest->len > 0 ? memchr(rest->base, '\0', rest->len) : NULL;
    if (end == NULL)
        return false;
    *out = str_make(rest->base, (size_t)(end - rest->base));
    *rest = str_slice(*rest, out->len + 1, rest->len);
    return true;
}

/* ---- framing ---- */

/* Only these grow with the data; a long one of another type means that we read at the wrong place. */
static bool may_be_long(char type)
{
    return type == 'D' || type == 'T' || type == 'E' || type == 'N' || type == 'A';
}

v3_framing_t v3_frame(str_t bytes, v3_frame_t *frame)
{
    *frame = (v3_frame_t){0};
    if (bytes.len < HEADER)
        return V3_FRAME_PARTIAL;
    size_t length = get32(bytes.base + 1);
    frame->type = bytes.base[0];
    if (length < LENGTH || length > MESSAGE_MAX || (length > SHORT_MAX && !may_be_long(frame->type)))
        return V3_FRAME_BAD;
    frame->size = length + 1;
    if (bytes.len < frame->size)
        return V3_FRAME_PARTIAL;
    frame->body = str_make(bytes.base + HEADER, length - LENGTH);
    return V3_FRAME_WHOLE;
}

/* ---- meaning ---- */

/* The count is checked against the body before memory is taken for it. */
static bool decode_row(str_t body, buf_t *scratch, wire_event_t *event)
{
    if (body.len < 2)
        return false;
    size_t count = get16(body.base);
    const char *at = body.base + 2, *end = body.base + body.len;
    if (count * 4 > (size_t)(end - at))
        return false;
    buf_clear(scratch);
    str_t *values = (str_t *)(void *)buf_reserve(scratch, count * sizeof(*values) + 1);
    for (size_t i = 0; i < count; i++) {
        if (end - at < 4)
            return false;
        uint32_t len = get32(at);
        at += 4;
        if (len == UINT32_MAX) {
            values[i] = STR_NULL;
            continue;
        }
        if (len > (size_t)(end - at))
            return false;
        values[i] = str_make(at, len);
        at += len;
    }
    event->kind = WIRE_ROW;
    event->values = values;
    event->count = count;
    event->bytes = body.len;
    return at == end;
}

/* name, table, attribute, type, size, modifier, format */
static bool decode_columns(str_t body, buf_t *scratch, wire_event_t *event)
{
    enum { FIXED = 18, TYPE_AT = 6 };
    if (body.len < 2)
        return false;
    size_t count = get16(body.base);
    str_t rest = str_slice(body, 2, body.len);
    if (count * (FIXED + 1) > rest.len)
        return false;
    buf_clear(scratch);
    db_column_t *columns = (db_column_t *)(void *)buf_reserve(scratch, count * sizeof(*columns) + 1);
    for (size_t i = 0; i < count; i++) {
        if (!take_string(&rest, &columns[i].name) || rest.len < FIXED)
            return false;
        columns[i].type_oid = get32(rest.base + TYPE_AT);
        rest = str_slice(rest, FIXED, rest.len);
    }
    event->kind = WIRE_COLUMNS;
    event->columns = columns;
    event->count = count;
    return rest.len == 0;
}

static bool decode_error(str_t body, wire_event_t *event)
{
    pg_fields_t *fields = &event->error;
    str_t value;
    while (body.len > 0 && body.base[0] != '\0') {
        char code = body.base[0];
        body = str_slice(body, 1, body.len);
        if (!take_string(&body, &value))
            return false;
        switch (code) {
        case 'V':
            fields->severity = value;
            break;
        case 'C':
            fields->sqlstate = value;
            break;
        case 'M':
            fields->message = fields->text = value;
            break;
        case 'D':
            fields->details = value;
            break;
        case 'H':
            fields->hint = value;
            break;
        case 'R':
            fields->function = value;
            break;
        default: /* position, context, names of the parts concerned */
            break;
        }
    }
    event->kind = WIRE_ERROR;
    return body.len == 1;
}

static bool decode_tag(str_t body, wire_event_t *event)
{
    event->kind = WIRE_DONE;
    return take_string(&body, &event->tag) && body.len == 0;
}

static v3_meaning_t plain(wire_event_t *event, wire_event_kind_t kind)
{
    event->kind = kind;
    return V3_EVENT;
}

v3_meaning_t v3_decode(const v3_frame_t *frame, buf_t *scratch, wire_event_t *event)
{
    switch (frame->type) {
    case 'D':
        return decode_row(frame->body, scratch, event) ? V3_EVENT : V3_MALFORMED;
    case 'T':
        return decode_columns(frame->body, scratch, event) ? V3_EVENT : V3_MALFORMED;
    case 'C':
        return decode_tag(frame->body, event) ? V3_EVENT : V3_MALFORMED;
    case 'E':
        return decode_error(frame->body, event) ? V3_EVENT : V3_MALFORMED;
    case '1': /* ParseComplete */
        return plain(event, WIRE_PREPARED);
    case 'I': /* EmptyQueryResponse */
        return plain(event, WIRE_DONE);
    case 'Z': /* ReadyForQuery */
        return plain(event, WIRE_SYNC);
    case '2': /* BindComplete */
    case '3': /* CloseComplete */
    case 'n': /* NoData */
    case 't': /* ParameterDescription */
    case 'N': /* NoticeResponse: has no reader */
    case 'A': /* NotificationResponse: a function may have said LISTEN */
    case 'S': /* ParameterStatus */
        return V3_NOTHING;
    case 'G':
    case 'H':
    case 'W':
        return V3_COPY;
    default:
        return V3_MALFORMED;
    }
}

bool v3_decode_parameter(const v3_frame_t *frame, str_t *name, str_t *value)
{
    str_t rest = frame->body;
    return take_string(&rest, name) && take_string(&rest, value) && rest.len == 0;
}

/* ---- to the server ---- */

/* Room for a message with `size` bytes behind its length; where they go. NULL: too large. */
static char *put_header(buf_t *out, char type, size_t size)
{
    if (size > MESSAGE_MAX - LENGTH)
        return NULL;
    char *to = buf_reserve(out, size + HEADER);
    out->len += size + HEADER;
    *to = type;
    return put32(to + 1, (uint32_t)(size + LENGTH));
}

bool v3_put_parse(buf_t *out, const char *name, const db_stmt_t *stmt)
{
    const char *zero = stmt->sql.len > 0 ? memchr(stmt->sql.base, '\0', stmt->sql.len) : NULL;
    size_t sql_len = zero != NULL ? (size_t)(zero - stmt->sql.base) : stmt->sql.len;
    size_t name_len = strlen(name), type_count = stmt->types != NULL ? stmt->param_count : 0;
    if (stmt->param_count > PARAMS_MAX)
        return false;
    char *to = put_header(out, 'P', name_len + 1 + sql_len + 1 + 2 + 4 * type_count);
    if (to == NULL)
        return false;
    to = put_bytes(to, name, name_len + 1);
    to = put_bytes(to, stmt->sql.base, sql_len);
    *to++ = '\0';
    to = put16(to, (uint16_t)type_count);
    for (size_t i = 0; i < type_count; i++)
        to = put32(to, stmt->types[i]);
    return true;
}

/* portal, statement, no formats, parameters, formats of the result */
bool v3_put_bind(buf_t *out, const char *name, const str_t *params, size_t count,
                 const stmt_formats_t *formats)
{
    size_t format_count = formats != NULL ? formats->count : 0;
    size_t name_len = strlen(name), size = 1 + name_len + 1 + 2 + 2 + 2 + 2 * format_count;
    if (count > PARAMS_MAX || format_count > PARAMS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (params[i].len > MESSAGE_MAX)
            return false;
        size += 4 + params[i].len;
    }
    char *to = put_header(out, 'B', size);
    if (to == NULL)
        return false;
    *to++ = '\0';
    to = put_bytes(to, name, name_len + 1);
    to = put16(to, 0);
    to = put16(to, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        to = put32(to, str_is_null(params[i]) ? UINT32_MAX : (uint32_t)params[i].len);
        to = put_bytes(to, params[i].base, params[i].len);
    }
    to = put16(to, (uint16_t)format_count);
    for (size_t i = 0; i < format_count; i++)
        to = put16(to, formats->is_binary[i]);
    return true;
}

#define PUT_FIXED(out, type, bytes)                                                                          \
    put_bytes(put_header((out), (type), sizeof(bytes) - 1), (bytes), sizeof(bytes) - 1)

void v3_put_describe(buf_t *out)
{
    PUT_FIXED(out, 'D', "P\0"); /* the unnamed portal */
}

void v3_put_execute(buf_t *out)
{
    PUT_FIXED(out, 'E', "\0\0\0\0\0"); /* the unnamed portal, all rows */
}

void v3_put_sync(buf_t *out)
{
    PUT_FIXED(out, 'S', "");
}
