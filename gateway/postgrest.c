#include "postgrest.h"

#include "base/fetch.h"

#include <stdio.h>
#include <stdlib.h>

bool postgrest_is_name(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    return strcmp(slash != NULL ? slash + 1 : argv0, "postgrest") == 0;
}

const config_key_t *postgrest_keys(pool_t *pool, const config_key_t *keys)
{
    static const char *const DEFAULTS[][2] = {
        {"BASALT_LISTEN", NULL},       {"BASALT_REST_PREFIX", "/"},           {"BASALT_SCHEMA_POLL", "0"},
        {"BASALT_ACCESS_LOG", "true"}, {"BASALT_LISTEN_WHEN_LOADED", "true"}, {"PGRST_SERVER_HOST", "!4"},
        {"PGRST_SERVER_PORT", "3000"}, {"BASALT_LOG_LEVEL", "error"},
    };
    size_t count = 0;
    while (keys[count].names != NULL)
        count++;
    config_key_t *own = POOL_ARRAY(pool, config_key_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        own[i] = keys[i];
        str_t names = str_from_c(keys[i].names), name = str_split(&names, ' ');
        for (size_t k = 0; k < sizeof(DEFAULTS) / sizeof(DEFAULTS[0]); k++)
            if (str_eq(name, str_from_c(DEFAULTS[k][0])))
                own[i].fallback = DEFAULTS[k][1];
    }
    return own;
}

/* --- the dump --- */

/* A list is printed as it was understood: trimmed, its items apart by a comma alone. */
static bool is_list(str_t name)
{
    static const char *const LISTS[] = {"PGRST_DB_SCHEMAS", "PGRST_DB_EXTRA_SEARCH_PATH",
                                        "PGRST_DB_HOISTED_TX_SETTINGS", "PGRST_SERVER_CORS_ALLOWED_ORIGINS"};
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++)
        if (str_eq(name, str_from_c(LISTS[i])))
            return true;
    return false;
}

static void append_quoted(buf_t *out, str_t text, bool is_listed)
{
    buf_append_char(out, '"');
    while (!str_is_null(text)) {
        str_t item = is_listed ? str_trim(str_split(&text, ',')) : text;
        for (size_t i = 0; i < item.len; i++) {
            char c = item.base[i];
            if (c == '"' || c == '\\')
                buf_append_char(out, '\\');
            if (c == '$')
                buf_append_char(out, '$');
            if (c == '\n')
                buf_append_lit(out, "\\n");
            else
                buf_append_char(out, c);
        }
        if (!is_listed)
            break;
        if (!str_is_null(text))
            buf_append_char(out, ',');
    }
    buf_append_char(out, '"');
}

/* PGRST_DB_URI -> db-uri */
static void append_name(buf_t *out, str_t name)
{
    for (size_t i = sizeof("PGRST_") - 1; i < name.len; i++) {
        char c = name.base[i];
        buf_append_char(out, c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    buf_append_lit(out, " = ");
}

static void append_value(buf_t *out, const config_t *config, const config_key_t *key, str_t name)
{
    str_t value = config_str(config, pool_cstr(out->pool, name));
    bool is_number = key->type == CONFIG_INT || str_eq(name, STR("PGRST_SERVER_PORT")) ||
                     str_eq(name, STR("PGRST_ADMIN_SERVER_PORT"));
    if (str_eq(name, STR("PGRST_ADMIN_SERVER_HOST")) && value.len == 0)
        value = config_str(config, "PGRST_SERVER_HOST");
    if (key->type == CONFIG_BOOL)
        buf_append_str(out, config_bool(config, pool_cstr(out->pool, name)) ? STR("true") : STR("false"));
    else if (is_number && value.len > 0)
        buf_append_str(out, value);
    else
        append_quoted(out, value, is_list(name));
    buf_append_char(out, '\n');
}

/* The name under which PostgREST knows the key; the null string: it does not. */
static str_t peer_name(const config_key_t *key)
{
    static const char *const OURS[] = {"PGRST_RAW_MEDIA_TYPES", "PGRST_INTERNAL_SCHEMA_CACHE_QUERY_SLEEP"};
    str_t names = str_from_c(key->names);
    while (!str_is_null(names)) {
        str_t name = str_split(&names, ' ');
        bool is_ours = !str_starts_with(name, STR("PGRST_"));
        for (size_t i = 0; i < sizeof(OURS) / sizeof(OURS[0]); i++)
            is_ours = is_ours || str_eq(name, str_from_c(OURS[i]));
        if (!is_ours)
            return name;
    }
    return STR_NULL;
}

static int compare_lines(const void *one, const void *other)
{
    const str_t *a = one, *b = other;
    size_t len = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->base, b->base, len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static void append_sorted(buf_t *out, pool_t *pool, str_t text)
{
    size_t count = 0, capacity = 1;
    for (size_t i = 0; i < text.len; i++)
        capacity += text.base[i] == '\n';
    str_t *lines = POOL_ARRAY(pool, str_t, capacity);
    while (text.len > 0)
        lines[count++] = str_split(&text, '\n');
    qsort(lines, count, sizeof(*lines), compare_lines);
    for (size_t i = 0; i < count; i++) {
        buf_append_str(out, lines[i]);
        buf_append_char(out, '\n');
    }
}

void postgrest_dump(const config_t *config, buf_t *out)
{
    pool_t *pool = pool_create();
    buf_t lines;
    buf_init(&lines, pool, 4096);
    for (const config_key_t *key = config_keys(config); key->names != NULL; key++) {
        str_t name = peer_name(key);
        if (str_is_null(name))
            continue;
        append_name(&lines, name);
        append_value(&lines, config, key, name);
    }
    const config_entry_t *settings;
    size_t count = config_family(config, pool, STR("PGRST_APP_SETTINGS_"), &settings);
    for (size_t i = 0; i < count; i++) {
        buf_append_lit(&lines, "app.settings.");
        buf_append_str(&lines, settings[i].name);
        buf_append_lit(&lines, " = ");
        append_quoted(&lines, settings[i].value, false);
        buf_append_char(&lines, '\n');
    }
    append_sorted(out, pool, buf_str(&lines));
    pool_destroy(pool);
}

const char POSTGREST_EXAMPLE[] =
    "# Where PostgreSQL is. Parts that are left out come from PGHOST, PGUSER and the like.\n"
    "db-uri = \"postgres://authenticator:secret@localhost/postgres\"\n"
    "# What is served, the first being the default.\n"
    "db-schemas = \"public\"\n"
    "# Role of requests without a token; without it a token is required.\n"
    "# db-anon-role = \"anon\"\n"
    "# Secret, JWK set or PEM key of the tokens; @path reads a file.\n"
    "# jwt-secret = \"at least thirty-two characters of secret\"\n"
    "# Connections to the database, and seconds that a request waits for one.\n"
    "db-pool = 10\n"
    "db-pool-acquisition-timeout = 10\n"
    "# Most rows of one answer.\n"
    "# db-max-rows = 1000\n"
    "server-host = \"!4\"\n"
    "server-port = 3000\n"
    "# Live, ready and metrics.\n"
    "# admin-server-port = 3001\n"
    "# crit, error, warn, info or debug\n"
    "log-level = \"error\"\n"
    "# A setting of every request: current_setting('app.settings.stage')\n"
    "# app.settings.stage = \"production\"\n";

/* --- is it ready? --- */

static int say(FILE *to, int status, const char *what, str_t subject)
{
    fprintf(to, "%s%.*s\n", what, STR_ARG(subject));
    return status;
}

/* Where the admin listener is; the null string: none over TCP. */
static str_t admin_address(pool_t *pool, const config_t *config, str_t *host)
{
    str_t port = config_str(config, "PGRST_ADMIN_SERVER_PORT");
    *host = config_str(config, "PGRST_ADMIN_SERVER_HOST");
    if (host->len == 0)
        *host = config_str(config, "PGRST_SERVER_HOST");
    if (port.len == 0) {
        *host = STR_NULL;
        str_t address = config_str(config, "BASALT_ADMIN_LISTEN");
        return address.len > 0 && address.base[0] != '/' ? address : STR_NULL;
    }
    bool is_v6 = str_find_char(*host, ':', 0) != SIZE_MAX;
    return pool_concat(pool, 5, is_v6 ? STR("[") : STR(""), host->len > 0 ? *host : STR("localhost"),
                       is_v6 ? STR("]") : STR(""), STR(":"), port);
}

static bool has_good_port(str_t address)
{
    int64_t port;
    size_t colon = address.len;
    while (colon > 0 && address.base[colon - 1] != ':')
        colon--;
    return str_to_int64(str_slice(address, colon, address.len), &port) && port > 0 && port < 65536;
}

static int ask(pool_t *pool, str_t url)
{
    fetch_response_t response;
    fetch_global_init();
    fetch_t *fetch = fetch_create();
    fetch_request_t request = {.url = url, .timeout_ms = 5000, .addr_policy = TARGET_ANY};
    err_t *err = fetch_perform(fetch, pool, &request, &response);
    fetch_destroy(fetch);
    fetch_global_cleanup();
    if (err != NULL)
        return say(stderr, 1, "ERROR: connection refused to ", url);
    bool is_ready = response.status >= 200 && response.status < 300;
    return is_ready ? say(stdout, 0, "OK: ", url) : say(stderr, 1, "ERROR: ", url);
}

int postgrest_ready(const config_t *config)
{
    pool_t *pool = pool_create();
    str_t host, address = admin_address(pool, config, &host);
    str_t url = pool_concat(pool, 3, STR("http://"), address, STR("/ready"));
    int status;
    if (address.len == 0)
        status = say(stderr, 1, "ERROR: Admin server is not running. Please check admin-server-port config.",
                     STR(""));
    else if (host.len > 0 && (host.base[0] == '*' || host.base[0] == '!'))
        status = say(stderr, 1, "",
                     pool_printf(pool,
                                 "ERROR: The `--ready` flag cannot be used when server-host is configured as "
                                 "\"%.*s\". Please update your server-host config to \"localhost\".",
                                 STR_ARG(host)));
    else if (!has_good_port(address))
        status = say(stderr, 1, "ERROR: invalid url - ", url);
    else
        status = ask(pool, url);
    pool_destroy(pool);
    return status;
}
