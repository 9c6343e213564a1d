#include "rest/array.h"

#include "base/emit.h"

/* From behind the quote; where the literal goes on. Only quotes and backslashes are escaped. */
static size_t append_quoted(buf_t *out, str_t literal, size_t at)
{
    buf_append_char(out, '"');
    while (at < literal.len && literal.base[at] != '"') {
        at += literal.base[at] == '\\' ? 1 : 0;
        size_t begun = at++; /* escaped or not, it stands for itself */
        while (at < literal.len && literal.base[at] != '"' && literal.base[at] != '\\')
            at++;
        emit_json_text(out, str_slice(literal, begun, at));
    }
    buf_append_char(out, '"');
    return at + 1;
}

/* An element that needs no quotes, or NULL. */
static size_t append_bare(buf_t *out, str_t literal, size_t at)
{
    size_t begun = at;
    while (at < literal.len && literal.base[at] != ',' && literal.base[at] != '}')
        at++;
    str_t element = str_slice(literal, begun, at);
    if (str_eq(element, STR("NULL")))
        buf_append_lit(out, "null");
    else
        emit_json_string(out, element);
    return at;
}

void rest_array_to_json(buf_t *out, str_t literal)
{
    bool has_bounds = literal.len > 0 && literal.base[0] == '[';
    size_t at = has_bounds ? str_find_char(literal, '=', 0) : 0;
    at = at == SIZE_MAX ? literal.len : at + (has_bounds ? 1 : 0);
    while (at < literal.len) {
        char c = literal.base[at];
        if (c == '"') {
            at = append_quoted(out, literal, at + 1);
        } else if (c == '{' || c == '}' || c == ',') {
            buf_append_char(out, c == '{' ? '[' : c == '}' ? ']' : ',');
            at++;
        } else {
            at = append_bare(out, literal, at);
        }
    }
}
