#include "base/buf.h"
#include "drivers/ldap/ldap.h"

static void append_hex(buf_t *out, char before, unsigned char byte)
{
    static const char DIGITS[] = "0123456789abcdef";
    buf_append_char(out, before);
    buf_append_char(out, DIGITS[byte >> 4]);
    buf_append_char(out, DIGITS[byte & 15]);
}

/* RFC 4515: ( ) * \ NUL; other control characters too, which is allowed. */
str_t ldap_escape_filter(pool_t *pool, str_t text)
{
    buf_t out;
    buf_init(&out, pool, text.len + 16);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c < ' ' || c == 0x7f || strchr("()*\\", c) != NULL)
            append_hex(&out, '\\', c);
        else
            buf_append_char(&out, (char)c);
    }
    return buf_str(&out);
}

/* RFC 4514: the special characters anywhere, # and space where they begin, space where it ends. */
str_t ldap_escape_dn(pool_t *pool, str_t text)
{
    buf_t out;
    buf_init(&out, pool, text.len + 16);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        bool is_edge_space = c == ' ' && (i == 0 || i + 1 == text.len);
        if (c < ' ' || c == 0x7f) {
            append_hex(&out, '\\', c);
            continue;
        }
        if (is_edge_space || (c == '#' && i == 0) || strchr("\"+,;<>\\=", c) != NULL)
            buf_append_char(&out, '\\');
        buf_append_char(&out, (char)c);
    }
    return buf_str(&out);
}
