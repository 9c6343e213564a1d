#include "listen.h"

#include "admin/admin.h"
#include "api/route.h"
#include "base/observe.h"
#include "options.h"

/* host:port */
static err_t *read_address(pool_t *pool, str_t address, http_listen_t *out)
{
    size_t colon = address.len;
    while (colon > 0 && address.base[colon - 1] != ':')
        colon--;
    int64_t number = -1;
    if (colon == 0 || !str_to_int64(str_slice(address, colon, address.len), &number) || number < 0 ||
        number > 65535)
        return err_make(pool, 0, ERR_FAMILY_REQUEST, "", "not an address (host:port or /path): %.*s",
                        STR_ARG(address));
    out->host = str_slice(address, 0, colon - 1);
    out->port = (uint16_t)number;
    return NULL;
}

static err_t *listen_at(gateway_t *gateway, pool_t *pool, const options_listen_t *where, http_listen_t listen)
{
    str_t address = where->address;
    uint16_t port = 0;
    err_t *err = NULL;
    listen.arg = gateway;
    if (where->is_plain)
        listen.tls_cert = listen.tls_key = STR_NULL;
    if (address.base[0] == '/') {
        listen.unix_path = address;
        listen.unix_mode = (uint16_t)where->unix_mode;
    } else {
        err = read_address(pool, address, &listen);
    }
    if (err != NULL)
        return err;
    err = http_server_listen(gateway->server, pool, &listen, &port);
    if (err != NULL)
        return err_make(pool, 0, ERR_FAMILY_OVERLOAD, "", "cannot listen on %.*s: %.*s", STR_ARG(address),
                        STR_ARG(err->message));
    observe(LOG_INFO, "listening", F_STR("address", address), F_INT("port", port));
    return NULL;
}

static err_t *listen_all(gateway_t *gateway, pool_t *pool, bool is_admin, const http_listen_t *listen)
{
    options_listen_t where[OPTIONS_LISTEN_MAX];
    size_t count = options_listen(gateway->config, pool, is_admin, where);
    err_t *err = NULL;
    for (size_t i = 0; err == NULL && i < count; i++)
        err = listen_at(gateway, pool, &where[i], *listen);
    return err;
}

err_t *listen_api(gateway_t *gateway, pool_t *pool)
{
    return listen_all(gateway, pool, false,
                      &(http_listen_t){.handler = api_dispatch,
                                       .refusal = api_refusal,
                                       .tls_cert = config_str(gateway->config, "BASALT_TLS_CERT"),
                                       .tls_key = config_str(gateway->config, "BASALT_TLS_KEY"),
                                       .is_shared = config_bool(gateway->config, "PGRST_SERVER_REUSEPORT")});
}

err_t *listen_admin(gateway_t *gateway, pool_t *pool)
{
    return listen_all(gateway, pool, true, &(http_listen_t){.handler = admin_dispatch, .is_reserved = true});
}
