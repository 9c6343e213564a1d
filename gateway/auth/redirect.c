#include "auth/redirect.h"

#include <arpa/inet.h>

#define URL_MAX_BYTES 4096
#define GLOB_STEPS_MAX 200000

typedef struct {
    str_t scheme, host, port;
} url_t;

static bool is_clean(str_t url)
{
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.base[i];
        if (c <= ' ' || c == 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' || c == '^' || c == '`')
            return false;
    }
    return url.len > 0 && url.len <= URL_MAX_BYTES;
}

/* Splits "user@host:port" or "[v6]:port". */
static bool split_authority(pool_t *pool, str_t authority, url_t *out)
{
    for (size_t at = str_find_char(authority, '@', 0); at != SIZE_MAX; at = str_find_char(authority, '@', 0))
        authority = str_slice(authority, at + 1, authority.len);
    size_t host_end = authority.len;
    if (authority.len > 0 && authority.base[0] == '[') {
        size_t close = str_find_char(authority, ']', 0);
        if (close == SIZE_MAX)
            return false;
        out->host = str_slice(authority, 1, close);
        host_end = close + 1;
    } else {
        size_t colon = str_find_char(authority, ':', 0);
        host_end = colon == SIZE_MAX ? authority.len : colon;
        out->host = str_slice(authority, 0, host_end);
    }
    out->host = pool_lower(pool, out->host);
    if (host_end == authority.len)
        return true;
    if (authority.base[host_end] != ':')
        return false;
    out->port = str_slice(authority, host_end + 1, authority.len);
    int64_t port = 0;
    return out->port.len == 0 || (str_to_int64(out->port, &port) && port >= 0 && port <= 65535);
}

static bool parse_url(pool_t *pool, str_t url, url_t *out)
{
    *out = (url_t){.scheme = STR(""), .host = STR(""), .port = STR("")};
    size_t colon = str_find_char(url, ':', 0);
    if (!is_clean(url) || colon == SIZE_MAX || colon == 0)
        return false;
    for (size_t i = 0; i < colon; i++) {
        char c = url.base[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    out->scheme = pool_lower(pool, str_slice(url, 0, colon));
    str_t rest = str_slice(url, colon + 1, url.len);
    if (!str_starts_with(rest, STR("//")))
        return true;
    size_t end = 2;
    while (end < rest.len && rest.base[end] != '/' && rest.base[end] != '?' && rest.base[end] != '#')
        end++;
    return split_authority(pool, str_slice(rest, 2, end), out);
}

static bool is_address(pool_t *pool, str_t host, bool *is_loopback)
{
    struct in_addr v4;
    struct in6_addr v6;
    const char *text = pool_cstr(pool, host);
    *is_loopback = false;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *is_loopback = (ntohl(v4.s_addr) >> 24) == 127;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6) == 1) {
        *is_loopback = IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
        return true;
    }
    return false;
}

static bool is_all(str_t text, bool (*is_fine)(char c))
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_fine(text.base[i]))
            return false;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '.' || c == '-';
}

static bool is_regular_host(str_t host)
{
    return host.len > 0 && is_all(host, is_host_char) && host.base[0] != '.' && host.base[0] != '-' &&
           host.base[host.len - 1] != '.' && host.base[host.len - 1] != '-';
}

static bool is_separator(char c)
{
    return c == '.' || c == '/';
}

/* Matches one character against "[a-z]" or "[!a-z]" at `*at`, which moves behind the bracket. */
static bool match_class(str_t glob, size_t *at, char c)
{
    size_t i = *at + 1;
    bool is_negated = i < glob.len && (glob.base[i] == '!' || glob.base[i] == '^');
    bool is_in = false;
    i += is_negated ? 1 : 0;
    for (; i < glob.len && glob.base[i] != ']'; i++) {
        if (i + 2 < glob.len && glob.base[i + 1] == '-' && glob.base[i + 2] != ']') {
            is_in |= c >= glob.base[i] && c <= glob.base[i + 2];
            i += 2;
        } else {
            is_in |= c == glob.base[i];
        }
    }
    *at = i + 1;
    return i < glob.len && is_in != is_negated;
}

static bool match_glob(str_t glob, str_t text, int *steps);

static bool match_star(str_t glob, str_t text, int *steps)
{
    bool crosses = str_starts_with(glob, STR("**"));
    str_t rest = str_slice(glob, crosses ? 2 : 1, glob.len);
    for (size_t i = 0; i <= text.len; i++) {
        if (match_glob(rest, str_slice(text, i, text.len), steps))
            return true;
        if (i < text.len && !crosses && is_separator(text.base[i]))
            return false;
    }
    return false;
}

static bool match_glob(str_t glob, str_t text, int *steps)
{
    size_t g = 0, t = 0;
    while (g < glob.len) {
        if (--*steps < 0)
            return false;
        char c = glob.base[g];
        if (c == '*')
            return match_star(str_slice(glob, g, glob.len), str_slice(text, t, text.len), steps);
        if (t == text.len)
            return false;
        if (c == '[') {
            if (!match_class(glob, &g, text.base[t++]))
                return false;
            continue;
        }
        if (c == '\\' && g + 1 < glob.len)
            c = glob.base[++g];
        else if (c == '?' && !is_separator(text.base[t]))
            c = text.base[t];
        if (c != text.base[t])
            return false;
        g++;
        t++;
    }
    return t == text.len;
}

bool redirect_is_allowed(pool_t *pool, str_t site_url, str_t allow_list, str_t url)
{
    url_t site, target;
    bool is_loopback = false;
    if (!parse_url(pool, site_url, &site) || !parse_url(pool, url, &target))
        return false;
    bool is_literal = is_address(pool, target.host, &is_loopback);
    is_loopback |= str_eq(target.host, STR("localhost"));
    if (str_eq(site.scheme, target.scheme) && str_eq(site.host, target.host) && site.host.len > 0 &&
        (str_eq(site.port, target.port) || is_loopback))
        return true;
    if (target.host.len > 0 && is_all(target.host, is_digit))
        return false;
    if (is_literal)
        return is_loopback;
    bool is_http = str_eq(target.scheme, STR("http")) || str_eq(target.scheme, STR("https"));
    if (is_http && !is_regular_host(target.host))
        return false;
    str_t subject = str_split(&url, '#');
    while (!str_is_null(allow_list)) {
        str_t glob = str_trim(str_split(&allow_list, ','));
        int steps = GLOB_STEPS_MAX;
        if (glob.len > 0 && match_glob(glob, subject, &steps))
            return true;
    }
    return false;
}

void redirect_append_encoded(buf_t *out, str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        c == '-' || c == '_' || c == '.' || c == '~';
        if (is_plain)
            buf_append_char(out, (char)c);
        else if (c == ' ')
            buf_append_char(out, '+');
        else
            buf_printf(out, "%%%02X", c);
    }
}

str_t redirect_encode_pairs(pool_t *pool, const redirect_pair_t *pairs, size_t count)
{
    buf_t out;
    buf_init(&out, pool, 256);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(&out, '&');
        redirect_append_encoded(&out, pairs[i].name);
        buf_append_char(&out, '=');
        redirect_append_encoded(&out, pairs[i].value);
    }
    return buf_str(&out);
}

str_t redirect_build(pool_t *pool, str_t url, str_t query, str_t fragment)
{
    buf_t out;
    str_t base = str_split(&url, '#');
    buf_init(&out, pool, base.len + query.len + fragment.len + 4);
    buf_append_str(&out, base);
    if (query.len > 0) {
        bool has_query = str_find_char(base, '?', 0) != SIZE_MAX;
        if (!has_query)
            buf_append_char(&out, '?');
        else if (base.base[base.len - 1] != '?')
            buf_append_char(&out, '&');
        buf_append_str(&out, query);
    }
    if (fragment.len > 0) {
        buf_append_char(&out, '#');
        buf_append_str(&out, fragment);
    }
    return buf_str(&out);
}

str_t redirect_host(pool_t *pool, str_t url)
{
    url_t parsed;
    return parse_url(pool, url, &parsed) && parsed.host.len > 0 ? parsed.host : STR_NULL;
}
