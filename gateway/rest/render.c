#include "rest/render.h"

#include "base/emit.h"
#include "base/json_copy.h"
#include "rest/array.h"

/* ---- values ---- */

/* Values are written behind a pointer into room that was reserved for the whole row. A text that needs
 * escapes may need more: the writer then goes through the buffer and comes back with the same room. */
typedef struct {
    buf_t *out;
    size_t room; /* the row's, without escapes */
} writer_t;

enum {
    VALUE_EXTRA = 8,        /* quotes, false, the colon and zeros of a zone */
    KEY_BLOCK = 16,         /* keys are copied in blocks: their memory and the room end with a spare one */
    TIMESTAMP_DATE_LEN = 10 /* YYYY-MM-DD */
};

static char *resume(const writer_t *writer)
{
    return buf_reserve(writer->out, writer->room);
}

/* For the short texts that most values are: two overlapping halves. */
static inline char *put(char *to, str_t value)
{
    const char *from = value.base;
    size_t len = value.len;
    if (len > 16) {
        memcpy(to, from, len);
    } else if (len >= 8) {
        uint64_t front, back;
        memcpy(&front, from, 8);
        memcpy(&back, from + len - 8, 8);
        memcpy(to, &front, 8);
        memcpy(to + len - 8, &back, 8);
    } else {
        for (size_t i = 0; i < len; i++)
            to[i] = from[i];
    }
    return to + len;
}

#define PUT_LITERAL(to, literal)                                                                             \
    ((char *)memcpy((to), "" literal "", sizeof(literal) - 1) + sizeof(literal) - 1)

static __attribute__((noinline)) char *put_escaped(const writer_t *writer, char *to, str_t rest)
{
    writer->out->len = (size_t)(to - writer->out->base);
    emit_json_text(writer->out, rest);
    buf_append_char(writer->out, '"');
    return resume(writer);
}

static inline char *put_quoted(const writer_t *writer, char *to, str_t value)
{
    *to++ = '"';
    size_t plain = json_copy_plain(to, value.base, value.len);
    to += plain;
    if (plain < value.len)
        return put_escaped(writer, to, str_slice(value, plain, value.len));
    *to++ = '"';
    return to;
}

/* What does not look like most of them (infinity, BC, years of five digits) keeps its own places for date and
 * time. */
static char *put_odd_timestamp(char *to, str_t value)
{
    size_t space = str_find_char(value, ' ', TIMESTAMP_DATE_LEN);
    *to++ = '"';
    if (space == SIZE_MAX || value.len < space + 9) {
        to = put(to, value);
        *to++ = '"';
        return to;
    }
    to = put(to, str_slice(value, 0, space));
    *to++ = 'T';
    str_t time = str_slice(value, space + 1, value.len);
    size_t era = str_find_char(time, ' ', 0);
    str_t clock = str_slice(time, 0, era);
    to = put(to, clock);
    bool has_zone = clock.len > 3 && (clock.base[clock.len - 3] == '+' || clock.base[clock.len - 3] == '-');
    if (has_zone)
        to = PUT_LITERAL(to, ":00");
    if (era != SIZE_MAX)
        to = put(to, str_slice(time, era, time.len));
    *to++ = '"';
    return to;
}

/* "2026-01-02 03:04:05.6+00" becomes "2026-01-02T03:04:05.6+00:00". Only an era could stand behind the zone.
 */
static inline char *put_timestamp(char *to, str_t value)
{
    enum { SHORTEST = 22, LONGEST = 29 };
    if (value.len < SHORTEST || value.len > LONGEST || value.base[TIMESTAMP_DATE_LEN] != ' ' ||
        (value.base[value.len - 3] != '+' && value.base[value.len - 3] != '-'))
        return put_odd_timestamp(to, value);
    *to = '"';
    memcpy(to + 1, value.base, 16);
    memcpy(to + 1 + value.len - 16, value.base + value.len - 16, 16);
    to[1 + TIMESTAMP_DATE_LEN] = 'T';
    return PUT_LITERAL(to + 1 + value.len, ":00\"");
}

static __attribute__((noinline)) char *put_texts(const writer_t *writer, char *to, str_t value)
{
    writer->out->len = (size_t)(to - writer->out->base);
    rest_array_to_json(writer->out, value);
    return resume(writer);
}

static bool is_number(str_t value)
{
    size_t at = value.len > 0 && value.base[0] == '-' ? 1 : 0;
    return value.len > at && value.base[at] >= '0' && value.base[at] <= '9';
}

static inline char *put_value(const writer_t *writer, char *to, rest_rule_t rule, str_t value)
{
    if (str_is_null(value))
        return PUT_LITERAL(to, "null");
    switch (rule) {
    case REST_RULE_COPY:
        return put(to, value);
    case REST_RULE_NUMBER:
        return is_number(value) ? put(to, value) : put_quoted(writer, to, value);
    case REST_RULE_BOOL:
        return value.len > 0 && value.base[0] == 't' ? PUT_LITERAL(to, "true") : PUT_LITERAL(to, "false");
    case REST_RULE_TIMESTAMP:
        return put_timestamp(to, value);
    case REST_RULE_TEXTS:
        return put_texts(writer, to, value);
    case REST_RULE_QUOTE:
        break;
    }
    return put_quoted(writer, to, value);
}

void rest_render_value(buf_t *out, rest_rule_t rule, str_t value)
{
    writer_t writer = {.out = out, .room = value.len + VALUE_EXTRA};
    char *end = put_value(&writer, resume(&writer), rule, value);
    out->len = (size_t)(end - out->base);
}

void rest_render_csv_value(buf_t *out, str_t value)
{
    if (str_is_null(value))
        return;
    bool needs_quotes = value.len == 0;
    for (size_t i = 0; i < value.len && !needs_quotes; i++)
        needs_quotes = value.base[i] != '\0' && strchr("\"\\(), \t\n\r\v\f", value.base[i]) != NULL;
    if (!needs_quotes) {
        buf_append_str(out, value);
        return;
    }
    buf_append_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.base[i] == '"' || value.base[i] == '\\')
            buf_append_char(out, value.base[i]);
        buf_append_char(out, value.base[i]);
    }
    buf_append_char(out, '"');
}

/* ---- rows ---- */

void rest_render_init(rest_renderer_t *renderer, const rest_plan_t *plan, pool_t *pool,
                      rest_columns_memo_t *memo)
{
    *renderer = (rest_renderer_t){.plan = plan, .pool = pool, .memo = memo};
}

/* All keys lie in one piece of memory, each as `,"name":`; the comma of the first is not written. Gives the
 * bytes of all. */
static size_t make_keys(pool_t *pool, const str_t *names, str_t *keys, size_t count)
{
    buf_t text;
    size_t total = KEY_BLOCK;
    for (size_t i = 0; i < count; i++)
        total += names[i].len + sizeof(",\"\":") - 1;
    buf_init(&text, pool, total);
    for (size_t i = 0; i < count; i++) {
        keys[i].len = text.len;
        buf_append_char(&text, ',');
        emit_json_string(&text, names[i]);
        buf_append_char(&text, ':');
        keys[i].len = text.len - keys[i].len;
    }
    buf_reserve(&text, KEY_BLOCK);
    const char *at = text.base;
    for (size_t i = 0; i < count; at += keys[i++].len)
        keys[i].base = at;
    return text.len;
}

static const rest_columns_t *make_columns(const rest_plan_t *plan, pool_t *pool, const db_column_t *columns,
                                          size_t count)
{
    bool is_planned = plan->column_count == count;
    rest_columns_t *out = POOL_NEW(pool, rest_columns_t);
    rest_rule_t *rules = POOL_ARRAY(pool, rest_rule_t, count + 1);
    uint32_t *types = POOL_ARRAY(pool, uint32_t, count + 1);
    str_t *names = POOL_ARRAY(pool, str_t, 2 * count + 1), *keys = names + count;
    for (size_t i = 0; i < count; i++) {
        types[i] = columns[i].type_oid;
        rules[i] = is_planned ? plan->columns[i].rule : rest_rule_of(columns[i].type_oid);
        names[i] = is_planned ? plan->columns[i].name : pool_str(pool, columns[i].name);
    }
    *out = (rest_columns_t){
        .count = (uint32_t)count, .types = types, .rules = rules, .names = names, .keys = keys};
    out->key_bytes = make_keys(pool, names, keys, count);
    return out;
}

static bool is_same(const rest_columns_t *known, const db_column_t *columns, size_t count)
{
    if (known->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (known->types[i] != columns[i].type_oid || !str_eq(known->names[i], columns[i].name))
            return false;
    return true;
}

void rest_render_columns(rest_renderer_t *renderer, const db_column_t *columns, size_t count)
{
    rest_columns_memo_t *memo = renderer->memo;
    bool is_kept = memo != NULL && memo->columns == NULL;
    if (memo != NULL && memo->columns != NULL && is_same(memo->columns, columns, count)) {
        renderer->columns = memo->columns;
        return;
    }
    renderer->columns = make_columns(renderer->plan, is_kept ? memo->pool : renderer->pool, columns, count);
    if (is_kept)
        memo->columns = renderer->columns;
}

static inline char *put_key(char *to, str_t key)
{
    for (size_t at = 0; at < key.len; at += KEY_BLOCK)
        memcpy(to + at, key.base + at, KEY_BLOCK);
    return to + key.len;
}

static bool is_left_out(const rest_renderer_t *renderer, size_t i, str_t value)
{
    return renderer->plan->is_null_stripped &&
           (str_is_null(value) ||
            (renderer->columns->rules[i] == REST_RULE_COPY && str_eq(value, STR("null"))));
}

static void append_object(rest_renderer_t *renderer, const str_t *values, size_t count)
{
    writer_t writer = {.out = renderer->out,
                       .room = renderer->columns->key_bytes + count * VALUE_EXTRA + 2 + KEY_BLOCK};
    bool strips = renderer->plan->is_null_stripped;
    for (size_t i = 0; i < count; i++)
        writer.room += values[i].len;
    char *to = resume(&writer);
    *to++ = '{';
    size_t begun = writer.out->len + 1;
    for (size_t i = 0; i < count; i++) {
        if (strips && is_left_out(renderer, i, values[i]))
            continue;
        str_t key = renderer->columns->keys[i];
        bool is_first = (size_t)(to - writer.out->base) == begun;
        to = put_key(to, is_first ? str_slice(key, 1, key.len) : key);
        to = put_value(&writer, to, renderer->columns->rules[i], values[i]);
    }
    *to++ = '}';
    writer.out->len = (size_t)(to - writer.out->base);
}

static void append_csv_names(rest_renderer_t *renderer)
{
    for (uint32_t i = 0; i < renderer->columns->count; i++) {
        if (i > 0)
            buf_append_char(renderer->out, ',');
        buf_append_str(renderer->out, renderer->columns->names[i]);
    }
    buf_append_char(renderer->out, '\n');
}

static void append_csv_row(rest_renderer_t *renderer, const str_t *values, size_t count)
{
    if (renderer->row_count == 0)
        append_csv_names(renderer);
    else
        buf_append_char(renderer->out, '\n');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(renderer->out, ',');
        rest_render_csv_value(renderer->out, values[i]);
    }
}

static void append_json_row(rest_renderer_t *renderer, const str_t *values, size_t count)
{
    const rest_plan_t *plan = renderer->plan;
    buf_t *out = renderer->out;
    bool is_one = plan->is_singular || plan->shape == REST_SHAPE_OBJECT || plan->shape == REST_SHAPE_SCALAR;
    bool is_scalar = plan->shape == REST_SHAPE_SCALAR || plan->shape == REST_SHAPE_SCALARS;
    if (is_one && renderer->row_count > 0)
        return;
    if (!is_one)
        buf_append_str(out, renderer->row_count == 0 ? STR("[") : is_scalar ? STR(", ") : STR(", \n "));
    if (!is_scalar)
        append_object(renderer, values, count);
    else if (count > 0)
        rest_render_value(out, renderer->columns->rules[0], values[0]);
}

void rest_render_row(rest_renderer_t *renderer, buf_t *out, const str_t *values, size_t count)
{
    renderer->out = out;
    switch (renderer->plan->format) {
    case REST_FORMAT_CSV:
        append_csv_row(renderer, values, count);
        break;
    case REST_FORMAT_NDJSON:
        append_object(renderer, values, count);
        buf_append_char(renderer->out, '\n');
        break;
    default:
        append_json_row(renderer, values, count);
    }
    renderer->row_count++;
}

void rest_render_end(rest_renderer_t *renderer, buf_t *out)
{
    const rest_plan_t *plan = renderer->plan;
    bool is_empty = renderer->row_count == 0;
    if (plan->format == REST_FORMAT_CSV) {
        if (is_empty)
            buf_append_char(out, '\n');
        return;
    }
    if (plan->format != REST_FORMAT_JSON)
        return;
    bool is_one = plan->is_singular || plan->shape == REST_SHAPE_OBJECT || plan->shape == REST_SHAPE_SCALAR;
    if (is_one && is_empty)
        buf_append_lit(out, "null");
    else if (!is_one)
        buf_append_str(out, is_empty ? STR("[]") : STR("]"));
}
