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

static void append_percent(buf_t *out, str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        (c != '\0' && strchr("-._~", c) != NULL);
        if (is_plain)
            buf_append_char(out, (char)c);
        else
            append_hex(out, '%', c);
    }
}

str_t ldap_build_url(pool_t *pool, const ldap_server_t *server, const ldap_query_t *query)
{
    buf_t out;
    bool is_v6 = str_find_char(server->host, ':', 0) != SIZE_MAX;
    unsigned port = server->port != 0 ? server->port : server->is_tls ? 636 : 389;
    buf_init(&out, pool, 256);
    buf_printf(&out, "%s://%s%.*s%s:%u/", server->is_tls ? "ldaps" : "ldap", is_v6 ? "[" : "",
               STR_ARG(server->host), is_v6 ? "]" : "", port);
    append_percent(&out, query->base);
    buf_append_char(&out, '?');
    for (size_t i = 0; i < query->attributes.len; i++) {
        if (query->attributes.base[i] == ',')
            buf_append_char(&out, ',');
        else
            append_percent(&out, str_slice(query->attributes, i, i + 1));
    }
    buf_printf(&out, "?%s?", query->is_subtree ? "sub" : "base");
    append_percent(&out, query->filter.len > 0 ? query->filter : STR("(objectClass=*)"));
    return buf_str(&out);
}
