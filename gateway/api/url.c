#include "api/task.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

str_t api_url_decode(pool_t *pool, str_t text, bool is_form)
{
    char *out = pool_alloc(pool, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.base[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.base[i + 2]) : -1;
            if (high < 0 || low < 0)
                return STR_NULL;
            out[len++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[len++] = c == '+' && is_form ? ' ' : c;
        }
    }
    out[len] = '\0';
    return str_make(out, len);
}
