#include "db/ident.h"

static void append_doubled(buf_t *sql, str_t text, char quote)
{
    for (size_t at; (at = str_find_char(text, quote, 0)) != SIZE_MAX;
         text = str_slice(text, at + 1, text.len)) {
        buf_append_str(sql, str_slice(text, 0, at + 1));
        buf_append_char(sql, quote);
    }
    buf_append_str(sql, text);
}

void ident_append(buf_t *sql, str_t name)
{
    buf_append_char(sql, '"');
    append_doubled(sql, name, '"');
    buf_append_char(sql, '"');
}

void ident_append_qualified(buf_t *sql, str_t schema, str_t name)
{
    ident_append(sql, schema);
    buf_append_char(sql, '.');
    ident_append(sql, name);
}

void ident_append_literal(buf_t *sql, str_t text)
{
    if (str_find_char(text, '\\', 0) == SIZE_MAX) {
        buf_append_char(sql, '\'');
        append_doubled(sql, text, '\'');
        buf_append_char(sql, '\'');
        return;
    }
    /* A blank keeps the E from joining a word before it. */
    buf_append_lit(sql, " E'");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if (c == '\'' || c == '\\')
            buf_append_char(sql, c);
        buf_append_char(sql, c);
    }
    buf_append_char(sql, '\'');
}
