#include "base/config_file.h"

#include "base/buf.h"

#include <stdlib.h>

#define PREFIX "PGRST_"
#define FAMILY_HERE "app.settings."
#define FAMILY_THERE "PGRST_APP_SETTINGS_"

static bool is_postgrest_name(str_t name)
{
    if (str_starts_with(name, STR(FAMILY_HERE)))
        return name.len > sizeof(FAMILY_HERE) - 1;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];
        bool is_first = (c >= 'a' && c <= 'z');
        if (!is_first && (i == 0 || !((c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')))
            return false;
    }
    return name.len > 0;
}

static str_t environment_name(pool_t *pool, str_t name)
{
    if (str_starts_with(name, STR(FAMILY_HERE)))
        return pool_concat(pool, 2, STR(FAMILY_THERE), str_slice(name, sizeof(FAMILY_HERE) - 1, name.len));
    str_t out = pool_concat(pool, 2, STR(PREFIX), name);
    for (char *c = (char *)out.base; *c != '\0'; c++)
        *c = *c == '-' || *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    return out;
}

/* What follows '$' at `at`: "$" itself or "(NAME)". Returns the place behind it; SIZE_MAX: neither. */
static size_t append_dollar(buf_t *out, pool_t *pool, str_t text, size_t at)
{
    if (at < text.len && text.base[at] == '$') {
        buf_append_char(out, '$');
        return at + 1;
    }
    size_t end = at < text.len && text.base[at] == '(' ? str_find_char(text, ')', at) : SIZE_MAX;
    if (end == SIZE_MAX)
        return SIZE_MAX;
    const char *value = getenv(pool_cstr(pool, str_slice(text, at + 1, end)));
    buf_append_str(out, str_from_c(value != NULL ? value : ""));
    return end + 1;
}

static bool is_line_end(str_t rest)
{
    rest = str_trim(rest);
    return rest.len == 0 || rest.base[0] == '#';
}

/* `text` begins behind the opening quote. */
static bool parse_quoted(pool_t *pool, str_t text, str_t *out)
{
    buf_t value;
    buf_init(&value, pool, text.len + 1);
    for (size_t at = 0; at < text.len;) {
        char c = text.base[at++];
        if (c == '"') {
            *out = pool_str(pool, value.len > 0 ? buf_str(&value) : STR(""));
            return is_line_end(str_slice(text, at, text.len));
        }
        if (c == '\\' && at < text.len) {
            char escaped = text.base[at++];
            buf_append_char(&value, escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped);
        } else if (c == '$') {
            at = append_dollar(&value, pool, text, at);
        } else {
            buf_append_char(&value, c);
        }
    }
    return false;
}

static config_line_t parse_postgrest(pool_t *pool, str_t rest, str_t *name, str_t *value)
{
    *name = environment_name(pool, *name);
    rest = str_trim(rest);
    if (rest.len > 0 && rest.base[0] == '"')
        return parse_quoted(pool, str_slice(rest, 1, rest.len), value) ? CONFIG_LINE_POSTGREST
                                                                       : CONFIG_LINE_BROKEN;
    str_t word = str_trim(str_split(&rest, '#'));
    *value = pool_str(pool, word);
    return word.len > 0 && str_find_char(word, '"', 0) == SIZE_MAX ? CONFIG_LINE_POSTGREST
                                                                   : CONFIG_LINE_BROKEN;
}

config_line_t config_line_parse(pool_t *pool, str_t line, str_t *name, str_t *value)
{
    line = str_trim(line);
    if (line.len == 0 || line.base[0] == '#')
        return CONFIG_LINE_NONE;
    if (str_starts_with(line, STR("export ")))
        line = str_trim(str_slice(line, 7, line.len));
    str_t rest = line;
    *name = str_trim(str_split(&rest, '='));
    if (str_is_null(rest) || name->len == 0)
        return CONFIG_LINE_NONE;
    if (is_postgrest_name(*name))
        return parse_postgrest(pool, rest, name, value);
    *value = str_trim(rest);
    bool is_quoted = value->len >= 2 && (value->base[0] == '"' || value->base[0] == '\'') &&
                     value->base[value->len - 1] == value->base[0];
    if (is_quoted)
        *value = str_slice(*value, 1, value->len - 1);
    *name = pool_str(pool, *name);
    *value = pool_str(pool, value->len > 0 ? *value : STR(""));
    return CONFIG_LINE_NAME;
}
