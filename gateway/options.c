#include "options.h"

#include "base/observe.h"

#include <stdio.h>

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
        .url_max = (size_t)config_int(config, "BASALT_MAX_URL"),
        .compress_min = (size_t)config_int(config, "BASALT_GZIP_MIN"),
        .trusted_proxies = config_str(config, "BASALT_TRUSTED_PROXIES"),
        .is_http2 = config_bool(config, "BASALT_HTTP2"),
        .is_proxy_strict = config_bool(config, "BASALT_PROXY_STRICT"),
    };
}

/* PostgREST's way of naming a file in a setting. */
static str_t value_or_file(pool_t *pool, str_t value)
{
    char bytes[65536];
    if (value.len < 2 || value.base[0] != '@')
        return value;
    FILE *file = fopen(pool_cstr(pool, str_slice(value, 1, value.len)), "re");
    size_t len = file != NULL ? fread(bytes, 1, sizeof(bytes), file) : 0;
    if (file == NULL) {
        observe(LOG_ERROR, "secret_file_unreadable", F_STR("path", str_slice(value, 1, value.len)));
        return STR_NULL;
    }
    fclose(file);
    if (len > 0 && bytes[len - 1] == '\n')
        len--;
    return pool_str(pool, str_make(bytes, len));
}

token_options_t options_token(pool_t *pool, const config_t *config)
{
    return (token_options_t){
        .secret = value_or_file(pool, config_str(config, "PGRST_JWT_SECRET")),
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
    schema_cache_options_t options = {.channel = config_str(config, "PGRST_DB_CHANNEL")};
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

/* BASALT_LISTEN, else PostgREST's host and port keys, else the default of BASALT_LISTEN. */
str_t options_address(const config_t *config, pool_t *pool, const char *key, const char *host_key,
                      const char *port_key)
{
    if (config_is_set(config, key) || str_is_null(config_str(config, port_key)))
        return config_str(config, key);
    str_t host = config_str(config, host_key), port = config_str(config, port_key);
    if (str_is_null(host) || (host.len > 0 && (host.base[0] == '!' || host.base[0] == '*')))
        host = STR("0.0.0.0");
    return pool_concat(pool, 3, host, STR(":"), port);
}
