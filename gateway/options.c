#include "options.h"

#include "base/crypt.h"
#include "options_check.h"

#include <stdio.h>

#define FILE_MAX 65536

http_limits_t options_http_limits(const config_t *config)
{
    return (http_limits_t){
        .body_max = (size_t)config_int(config, "BASALT_MAX_BODY"),
        .bodies_max = (size_t)config_int(config, "BASALT_MAX_BODY_TOTAL"),
        .connections_max = (size_t)config_int(config, "BASALT_MAX_CONNECTIONS"),
        .connections_per_addr = (size_t)config_int(config, "BASALT_MAX_CONNECTIONS_PER_ADDRESS"),
        .uncounted_addrs = STR("127.0.0.0/8,::1"),
        .request_timeout_ms = (int)config_int(config, "BASALT_REQUEST_TIMEOUT"),
        .idle_timeout_ms = (int)config_int(config, "BASALT_IDLE_TIMEOUT"),
        .head_max = (size_t)config_int(config, "BASALT_MAX_HEAD"),
        .url_max = (size_t)config_int(config, "BASALT_MAX_URL"),
        .compress_min = (size_t)config_int(config, "BASALT_GZIP_MIN"),
        .trusted_proxies = config_str(config, "BASALT_TRUSTED_PROXIES"),
        .is_http2 = config_bool(config, "BASALT_HTTP2"),
        .is_proxy_strict = config_bool(config, "BASALT_PROXY_STRICT"),
    };
}

/* "@path", PostgREST's way of naming a file in a setting, becomes what stands in the file. */
static err_t *read_file_of(pool_t *errors, config_t *config, const char *key, bool is_trimmed)
{
    char bytes[FILE_MAX];
    str_t value = config_str(config, key);
    if (value.len < 2 || value.base[0] != '@')
        return NULL;
    FILE *file = fopen(pool_cstr(errors, str_slice(value, 1, value.len)), "re");
    size_t len = file != NULL ? fread(bytes, 1, sizeof(bytes), file) : 0;
    bool is_whole = file != NULL && !ferror(file) && len < sizeof(bytes);
    if (file != NULL)
        fclose(file);
    if (!is_whole)
        return err_make(errors, 0, ERR_FAMILY_REQUEST, "config", "The file that %s names cannot be read",
                        key);
    str_t text = str_make(bytes, len > 0 && bytes[len - 1] == '\n' ? len - 1 : len);
    config_override(config, str_from_c(key), is_trimmed ? str_trim(text) : text);
    crypt_wipe(bytes, sizeof(bytes));
    return NULL;
}

err_t *options_read_files(pool_t *errors, config_t *config)
{
    err_t *err = read_file_of(errors, config, "PGRST_DB_URI", true);
    return err != NULL ? err : read_file_of(errors, config, "PGRST_JWT_SECRET", false);
}

token_options_t options_token(const config_t *config)
{
    return (token_options_t){
        .secret = config_str(config, "PGRST_JWT_SECRET"),
        .more_keys = config_str(config, "GOTRUE_JWT_KEYS"),
        .is_secret_base64 = config_bool(config, "PGRST_JWT_SECRET_IS_BASE64"),
        .audience = config_str(config, "PGRST_JWT_AUD"),
        .role_claim_key = config_str(config, "PGRST_JWT_ROLE_CLAIM_KEY"),
        .anon_role = config_str(config, "PGRST_DB_ANON_ROLE"),
        .cache_max = (size_t)config_int(config, "PGRST_JWT_CACHE_MAX_ENTRIES"),
    };
}

db_pool_options_t options_db_pool(const config_t *config, const char *name, const char *uri_key,
                                  const char *size_key)
{
    return (db_pool_options_t){
        .name = str_from_c(name),
        .conninfo = config_str(config, uri_key),
        .size_max = (size_t)config_int(config, size_key),
        .acquire_timeout_ms = (int)config_int(config, "PGRST_DB_POOL_ACQUISITION_TIMEOUT") * 1000,
        .queue_max = (size_t)config_int(config, "BASALT_DB_QUEUE"),
        .idle_timeout_ms = (int)config_int(config, "PGRST_DB_POOL_MAX_IDLETIME") * 1000,
        .lifetime_ms = (int)config_int(config, "PGRST_DB_POOL_MAX_LIFETIME") * 1000,
        .is_prepared = config_bool(config, "PGRST_DB_PREPARED_STATEMENTS"),
        .needs_libpq = config_bool(config, "BASALT_DB_LIBPQ"),
    };
}

static size_t split_list(pool_t *pool, str_t list, const str_t **out)
{
    size_t count = 0, commas = 1;
    for (size_t i = 0; i < list.len; i++)
        commas += list.base[i] == ',';
    str_t *items = POOL_ARRAY(pool, str_t, commas);
    while (!str_is_null(list)) {
        str_t item = str_trim(str_split(&list, ','));
        if (item.len > 0)
            items[count++] = item;
    }
    *out = items;
    return count;
}

schema_cache_options_t options_schema(pool_t *pool, const config_t *config)
{
    schema_cache_options_t options = {.channel = config_str(config, "PGRST_DB_CHANNEL"),
                                      .poll_ms = (int)config_int(config, "BASALT_SCHEMA_POLL"),
                                      .sleep_ms =
                                          (int)config_int(config, "PGRST_INTERNAL_SCHEMA_CACHE_QUERY_SLEEP")};
    options.schema_count = split_list(pool, config_str(config, "PGRST_DB_SCHEMAS"), &options.schemas);
    options.extra_count =
        split_list(pool, config_str(config, "PGRST_DB_EXTRA_SEARCH_PATH"), &options.extra_search_path);
    options.hoisted_count =
        split_list(pool, config_str(config, "PGRST_DB_HOISTED_TX_SETTINGS"), &options.hoisted_settings);
    if (config_bool(config, "PGRST_DB_CHANNEL_ENABLED"))
        options.channel_conninfo = config_str(
            config, config_is_set(config, "BASALT_DIRECT_DB_URI") ? "BASALT_DIRECT_DB_URI" : "PGRST_DB_URI");
    return options;
}

/* The host in PostgREST's notation: "*", "*4", "!4", "*6", "!6" are all addresses, of either family or of
 * one. */
static str_t bind_host(pool_t *pool, str_t host)
{
    bool is_any = host.len == 0 || host.base[0] == '*' || host.base[0] == '!';
    if (is_any)
        return host.len > 1 && host.base[1] == '6' ? STR("[::]") : STR("0.0.0.0");
    bool is_v6 = str_find_char(host, ':', 0) != SIZE_MAX && host.base[0] != '[';
    return is_v6 ? pool_concat(pool, 3, STR("["), host, STR("]")) : host;
}

typedef struct {
    const char *ours, *port, *socket, *mode;
} listen_keys_t;

static size_t list_listeners(const config_t *config, pool_t *pool, const listen_keys_t *keys, str_t host,
                             options_listen_t *out)
{
    size_t count = 0;
    str_t ours = config_str(config, keys->ours), port = config_str(config, keys->port);
    str_t socket = config_str(config, keys->socket);
    if (socket.len > 0)
        out[count++] = (options_listen_t){socket, options_socket_mode(config_str(config, keys->mode)), true};
    bool is_ours = config_is_given(config, keys->ours);
    if (!is_ours && (socket.len > 0 || port.len > 0)) {
        if (socket.len == 0)
            out[count++] =
                (options_listen_t){pool_concat(pool, 3, bind_host(pool, host), STR(":"), port), 0, false};
        return count;
    }
    while (!str_is_null(ours) && count < OPTIONS_LISTEN_MAX) {
        str_t address = str_trim(str_split(&ours, ','));
        if (address.len > 0)
            out[count++] = (options_listen_t){address, 0, false};
    }
    return count;
}

size_t options_listen(const config_t *config, pool_t *pool, bool is_admin, options_listen_t *out)
{
    static const listen_keys_t API = {"BASALT_LISTEN", "PGRST_SERVER_PORT", "PGRST_SERVER_UNIX_SOCKET",
                                      "PGRST_SERVER_UNIX_SOCKET_MODE"};
    static const listen_keys_t ADMIN = {"BASALT_ADMIN_LISTEN", "PGRST_ADMIN_SERVER_PORT",
                                        "PGRST_ADMIN_SERVER_UNIX_SOCKET",
                                        "PGRST_ADMIN_SERVER_UNIX_SOCKET_MODE"};
    str_t host = config_str(config, "PGRST_SERVER_HOST"),
          admin_host = config_str(config, "PGRST_ADMIN_SERVER_HOST");
    return list_listeners(config, pool, is_admin ? &ADMIN : &API,
                          is_admin && admin_host.len > 0 ? admin_host : host, out);
}
