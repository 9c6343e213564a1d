#include "scheduler/own_address.h"

#include <ctype.h>

typedef struct {
    str_t host, port; /* host without brackets */
} endpoint_t;

static bool is_plain(str_t authority)
{
    for (size_t i = 0; i < authority.len; i++) {
        char c = authority.base[i];
        if (!isalnum((unsigned char)c) && strchr("-.:[]", c) == NULL)
            return false;
    }
    return authority.len > 0;
}

/* "host", "host:port" or "[v6]:port". */
static bool parse_authority(str_t authority, str_t default_port, endpoint_t *out)
{
    if (!is_plain(authority))
        return false;
    str_t rest = authority;
    if (authority.base[0] == '[') {
        rest = str_slice(authority, 1, authority.len);
        out->host = str_split(&rest, ']');
        if (str_is_null(rest) || (rest.len > 0 && rest.base[0] != ':'))
            return false;
        out->port = rest.len > 1 ? str_slice(rest, 1, rest.len) : default_port;
    } else {
        out->host = str_split(&rest, ':');
        out->port = str_is_null(rest) ? default_port : rest;
    }
    int64_t number = 0;
    return out->host.len > 0 && str_to_int64(out->port, &number) && number > 0 && number < 65536;
}

static bool parse_url(str_t url, endpoint_t *out)
{
    str_t port;
    if (url.len > 7 && str_eq_nocase(str_slice(url, 0, 7), STR("http://"))) {
        port = STR("80");
        url = str_slice(url, 7, url.len);
    } else if (url.len > 8 && str_eq_nocase(str_slice(url, 0, 8), STR("https://"))) {
        port = STR("443");
        url = str_slice(url, 8, url.len);
    } else {
        return false;
    }
    size_t end = 0;
    while (end < url.len && strchr("/?#", url.base[end]) == NULL)
        end++;
    return parse_authority(str_slice(url, 0, end), port, out);
}

static bool is_loopback(str_t host)
{
    return str_eq_nocase(host, STR("localhost")) || str_eq(host, STR("127.0.0.1")) ||
           str_eq(host, STR("::1"));
}

static bool is_everywhere(str_t host)
{
    return str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("::")) || str_eq(host, STR("*"));
}

static bool is_listened_on(const endpoint_t *target, str_t address)
{
    endpoint_t own;
    if (!parse_authority(address, STR("0"), &own) || !str_eq(own.port, target->port))
        return false;
    return str_eq_nocase(own.host, target->host) ||
           (is_loopback(target->host) && (is_loopback(own.host) || is_everywhere(own.host)));
}

bool own_address_is(const config_t *config, str_t url)
{
    endpoint_t target, external;
    if (!parse_url(url, &target))
        return false;
    if (parse_url(config_str(config, "API_EXTERNAL_URL"), &external) &&
        str_eq_nocase(external.host, target.host) && str_eq(external.port, target.port))
        return true;
    str_t rest = config_str(config, "BASALT_LISTEN");
    while (!str_is_null(rest)) {
        if (is_listened_on(&target, str_trim(str_split(&rest, ','))))
            return true;
    }
    return false;
}
