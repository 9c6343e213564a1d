/* CSV with a header line (RFC 4180) as the JSON array that PostgreSQL reads. */
#include "base/emit.h"
#include "rest/grammar.h"
#include "rest/parse.h"

#include <stdlib.h>

typedef struct {
    pool_t *pool;
    str_t text;
    size_t at;
} csv_t;

/* Behind the opening quote. The field is copied only when a doubled quote stands in it. */
static bool read_quoted(csv_t *csv, str_t *out)
{
    buf_t joined = {.pool = csv->pool};
    for (;;) {
        size_t start = csv->at, quote = str_find_char(csv->text, '"', start);
        if (quote == SIZE_MAX)
            return false;
        str_t piece = str_slice(csv->text, start, quote);
        csv->at = quote + 1;
        bool is_doubled = csv->at < csv->text.len && csv->text.base[csv->at] == '"';
        if (!is_doubled && joined.len == 0) {
            *out = piece;
            return true;
        }
        buf_append_str(&joined, piece);
        if (!is_doubled) {
            *out = buf_str(&joined);
            return true;
        }
        buf_append_char(&joined, '"');
        csv->at++;
    }
}

/* One field; false when quotes are misplaced. */
static bool read_field(csv_t *csv, str_t *out)
{
    const char *base = csv->text.base;
    size_t start = csv->at, len = csv->text.len;
    if (csv->at < len && base[csv->at] == '"') {
        csv->at++;
        if (!read_quoted(csv, out))
            return false;
    } else {
        while (csv->at < len && base[csv->at] != ',' && base[csv->at] != '\n' && base[csv->at] != '\r' &&
               base[csv->at] != '"')
            csv->at++;
        *out = str_make(base + start, csv->at - start);
    }
    return csv->at >= len || base[csv->at] == ',' || base[csv->at] == '\n' || base[csv->at] == '\r';
}

/* One record up to and with its line end. Fields beyond `max` are counted but not kept. */
static bool read_record(csv_t *csv, uint32_t max, str_t **fields, uint32_t *count, uint32_t *capacity)
{
    *count = 0;
    for (;;) {
        str_t field;
        if (!read_field(csv, &field))
            return false;
        if (*count < max) {
            *fields = rest_grow(csv->pool, *fields, *count, capacity, sizeof(**fields));
            (*fields)[*count] = field;
        }
        ++*count;
        if (csv->at >= csv->text.len || csv->text.base[csv->at] != ',')
            break;
        csv->at++;
    }
    if (csv->at < csv->text.len && csv->text.base[csv->at] == '\r')
        csv->at++;
    if (csv->at < csv->text.len && csv->text.base[csv->at] == '\n')
        csv->at++;
    return true;
}

static void write_record(buf_t *out, const str_t *names, uint32_t name_count, const str_t *fields,
                         uint32_t count)
{
    buf_append_char(out, '{');
    for (uint32_t i = 0; i < count && i < name_count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        emit_json_string(out, names[i]);
        buf_append_char(out, ':');
        if (str_eq(fields[i], STR("NULL")))
            buf_append_lit(out, "null");
        else
            emit_json_string(out, fields[i]);
    }
    buf_append_char(out, '}');
}

str_t rest_csv_to_json(pool_t *pool, str_t text)
{
    csv_t csv = {.pool = pool, .text = text};
    str_t *names = NULL, *fields = NULL;
    uint32_t name_count = 0, name_capacity = 0, count = 0, capacity = 0;
    if (text.len == 0 || !read_record(&csv, UINT32_MAX, &names, &name_count, &name_capacity))
        return STR_NULL;
    buf_t out; /* on the heap: it may become many times as large as the text */
    buf_init(&out, NULL, text.len * 2 + 16);
    buf_append_char(&out, '[');
    while (csv.at < text.len) {
        if (!read_record(&csv, name_count, &fields, &count, &capacity)) {
            buf_dispose(&out);
            return STR_NULL;
        }
        if (count == 1 && fields[0].len == 0)
            continue; /* blank line */
        if (out.len > 1)
            buf_append_char(&out, ',');
        write_record(&out, names, name_count, fields, count);
    }
    buf_append_char(&out, ']');
    pool_on_dispose(pool, free, out.base);
    return buf_str(&out);
}
