/* CSV with a header line (RFC 4180) as the JSON array that PostgreSQL reads. */
#include "base/emit.h"
#include "rest/grammar.h"
#include "rest/parse.h"

typedef struct {
    pool_t *pool;
    str_t text;
    size_t at;
} csv_t;

/* One field; false when quotes are misplaced. */
static bool read_field(csv_t *csv, str_t *out)
{
    const char *base = csv->text.base;
    size_t start = csv->at, len = csv->text.len;
    if (csv->at < len && base[csv->at] == '"') {
        buf_t field;
        buf_init(&field, csv->pool, 32);
        csv->at++;
        for (;;) {
            size_t quote = str_find_char(csv->text, '"', csv->at);
            if (quote == SIZE_MAX)
                return false;
            buf_append(&field, base + csv->at, quote - csv->at);
            csv->at = quote + 1;
            if (csv->at >= len || base[csv->at] != '"')
                break;
            buf_append_char(&field, '"');
            csv->at++;
        }
        *out = field.len > 0 ? buf_str(&field) : STR("");
    } else {
        while (csv->at < len && base[csv->at] != ',' && base[csv->at] != '\n' && base[csv->at] != '\r' &&
               base[csv->at] != '"')
            csv->at++;
        *out = str_make(base + start, csv->at - start);
    }
    return csv->at >= len || base[csv->at] == ',' || base[csv->at] == '\n' || base[csv->at] == '\r';
}

/* One record up to and with its line end. */
static bool read_record(csv_t *csv, str_t **fields, uint32_t *count, uint32_t *capacity)
{
    *count = 0;
    for (;;) {
        *fields = rest_grow(csv->pool, *fields, *count, capacity, sizeof(**fields));
        if (!read_field(csv, &(*fields)[(*count)++]))
            return false;
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
    if (text.len == 0 || !read_record(&csv, &names, &name_count, &name_capacity))
        return STR_NULL;
    buf_t out;
    buf_init(&out, pool, text.len * 2 + 16);
    buf_append_char(&out, '[');
    while (csv.at < text.len) {
        if (!read_record(&csv, &fields, &count, &capacity))
            return STR_NULL;
        if (count == 1 && fields[0].len == 0)
            continue; /* blank line */
        if (out.len > 1)
            buf_append_char(&out, ',');
        write_record(&out, names, name_count, fields, count);
    }
    buf_append_char(&out, ']');
    return buf_str(&out);
}
