#include "rest/settings.h"

#include "base/read_json.h"
#include "db/ident.h"
#include "rest/grammar.h"

#include <stdlib.h>

void rest_settings_default(rest_settings_t *out)
{
    static const str_t PUBLIC[] = {STR("public")};
    *out = (rest_settings_t){.root = STR("/rest/v1/"),
                             .schemas = PUBLIC,
                             .schema_count = 1,
                             .extra_search_path = PUBLIC,
                             .extra_search_path_count = 1,
                             .max_rows = -1,
                             .has_legacy_targets = true,
                             .stall_timeout_ms = 30000,
                             .stream_timeout_ms = 600000,
                             .buffer_max = 1024 * 1024,
                             .buffers_max = 64 * 1024 * 1024,
                             .filters_max = 200,
                             .logic_depth_max = 10,
                             .list_max = 10000,
                             .embed_depth_max = 5,
                             .embeds_max = 20,
                             .columns_max = 500,
                             .json_depth_max = 64};
}

/* Comma separated, trimmed; empty items are left out. */
static const str_t *split_list(pool_t *pool, str_t text, uint32_t *count)
{
    str_t *items = NULL;
    uint32_t n = 0, capacity = 0;
    while (!str_is_null(text)) {
        str_t item = str_trim(str_split(&text, ','));
        if (item.len == 0)
            continue;
        items = rest_grow(pool, items, n, &capacity, sizeof(*items));
        items[n++] = pool_str(pool, item);
    }
    *count = n;
    return items;
}

/* "schema.function" or "function" as a quoted call. */
static str_t pre_request_call(pool_t *pool, str_t name)
{
    buf_t sql;
    if (name.len == 0)
        return STR_NULL;
    buf_init(&sql, pool, 64);
    buf_append_lit(&sql, "select ");
    size_t dot = str_find_char(name, '.', 0);
    if (dot == SIZE_MAX)
        ident_append(&sql, name);
    else
        ident_append_qualified(&sql, str_slice(name, 0, dot), str_slice(name, dot + 1, name.len));
    buf_append_lit(&sql, "()");
    return buf_str(&sql);
}

/* The name behind the schema: the root routine is looked up in the request's schema. */
static str_t unqualified(pool_t *pool, str_t name)
{
    size_t dot = str_find_char(name, '.', 0);
    if (name.len == 0)
        return STR_NULL;
    return pool_str(pool, dot == SIZE_MAX ? name : str_slice(name, dot + 1, name.len));
}

/* PGRST_APP_SETTINGS_some_name becomes app.settings.some_name; the name keeps its case. */
static void load_app_settings(pool_t *pool, const config_t *config, rest_settings_t *out)
{
    const config_entry_t *entries;
    size_t count = config_family(config, pool, STR("PGRST_APP_SETTINGS_"), &entries);
    db_setting_t *settings = POOL_ARRAY(pool, db_setting_t, count + 1);
    for (size_t i = 0; i < count; i++)
        settings[i] =
            (db_setting_t){pool_concat(pool, 2, STR("app.settings."), entries[i].name), entries[i].value};
    out->app_settings = settings;
    out->app_setting_count = (uint32_t)count;
}

static str_t lower(pool_t *pool, str_t text)
{
    if (text.len == 0)
        return STR_NULL;
    char *out = pool_cstr(pool, text);
    for (size_t i = 0; i < text.len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] + 32);
    return str_make(out, text.len);
}

static void load_limits(const config_t *config, rest_settings_t *out)
{
    out->stall_timeout_ms = config_int(config, "BASALT_REST_STALL_TIMEOUT");
    out->stream_timeout_ms = config_int(config, "BASALT_REST_STREAM_TIMEOUT");
    out->buffer_max = (size_t)config_int(config, "BASALT_REST_BUFFER");
    out->buffers_max = (size_t)config_int(config, "BASALT_REST_BUFFER_TOTAL");
    out->filters_max = (uint32_t)config_int(config, "BASALT_REST_MAX_FILTERS");
    out->logic_depth_max = (uint32_t)config_int(config, "BASALT_REST_MAX_LOGIC_DEPTH");
    out->list_max = (uint32_t)config_int(config, "BASALT_REST_MAX_LIST");
    out->embed_depth_max = (uint32_t)config_int(config, "BASALT_REST_MAX_EMBED_DEPTH");
    out->embeds_max = (uint32_t)config_int(config, "BASALT_REST_MAX_EMBEDS");
    out->columns_max = (uint32_t)config_int(config, "BASALT_REST_MAX_COLUMNS");
    out->json_depth_max = (uint32_t)config_int(config, "BASALT_REST_MAX_JSON_DEPTH");
}

str_t rest_settings_prefix(const config_t *config)
{
    str_t prefix = config_str(config, "BASALT_REST_PREFIX");
    while (prefix.len > 0 && prefix.base[prefix.len - 1] == '/')
        prefix.len--;
    return prefix;
}

static void load_values(pool_t *pool, const config_t *config, rest_settings_t *out)
{
    rest_settings_default(out);
    out->root = pool_concat(pool, 2, rest_settings_prefix(config), STR("/"));
    uint32_t count;
    const str_t *schemas = split_list(pool, config_str(config, "PGRST_DB_SCHEMAS"), &count);
    if (count > 0) {
        out->schemas = schemas;
        out->schema_count = count;
    }
    out->extra_search_path =
        split_list(pool, config_str(config, "PGRST_DB_EXTRA_SEARCH_PATH"), &out->extra_search_path_count);
    out->anon_role = pool_str(pool, config_str(config, "PGRST_DB_ANON_ROLE"));
    out->root_spec = unqualified(pool, config_str(config, "PGRST_DB_ROOT_SPEC"));
    out->pre_request = pre_request_call(pool, config_str(config, "PGRST_DB_PRE_REQUEST"));
    out->max_rows = config_is_set(config, "PGRST_DB_MAX_ROWS") ? config_int(config, "PGRST_DB_MAX_ROWS") : -1;
    out->is_plan_enabled = config_bool(config, "PGRST_DB_PLAN_ENABLED");
    out->has_aggregates = config_bool(config, "PGRST_DB_AGGREGATES_ENABLED");
    str_t tx_end = config_str(config, "PGRST_DB_TX_END");
    out->is_tx_overridable = str_ends_with(tx_end, STR("-allow-override"));
    out->is_tx_rollback = str_starts_with(tx_end, STR("rollback"));
    out->has_legacy_targets = config_bool(config, "PGRST_URL_USE_LEGACY_TARGET_NAMES");
    out->is_query_logged = config_bool(config, "PGRST_LOG_QUERY");
    out->has_server_timing = config_bool(config, "PGRST_SERVER_TIMING_ENABLED");
    out->is_error_minimal = str_eq(config_str(config, "PGRST_CLIENT_ERROR_VERBOSITY"), STR("minimal"));
    str_t openapi = config_str(config, "PGRST_OPENAPI_MODE");
    out->openapi_mode = str_eq(openapi, STR("disabled"))            ? REST_OPENAPI_DISABLED
                        : str_eq(openapi, STR("ignore-privileges")) ? REST_OPENAPI_IGNORE
                                                                    : REST_OPENAPI_FOLLOW;
    out->has_openapi_security = config_bool(config, "PGRST_OPENAPI_SECURITY_ACTIVE");
    out->openapi_proxy_uri = pool_str(pool, config_str(config, "PGRST_OPENAPI_SERVER_PROXY_URI"));
    out->trace_header = lower(pool, config_str(config, "PGRST_SERVER_TRACE_HEADER"));
    out->cors_origins =
        split_list(pool, config_str(config, "PGRST_SERVER_CORS_ALLOWED_ORIGINS"), &out->cors_origin_count);
    load_app_settings(pool, config, out);
    load_limits(config, out);
}

rest_settings_box_t *rest_settings_load(const config_t *config)
{
    pool_t *pool = pool_create();
    rest_settings_box_t *box = POOL_NEW(pool, rest_settings_box_t);
    box->pool = pool;
    box->refs = 1;
    load_values(pool, config, &box->values);
    return box;
}

rest_settings_box_t *rest_settings_ref(rest_settings_box_t *box)
{
    box->refs++;
    return box;
}

void rest_settings_unref(rest_settings_box_t *box)
{
    if (--box->refs == 0)
        pool_destroy(box->pool);
}
