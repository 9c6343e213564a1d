/* The payload of phx_join. Every member is optional; what has the wrong shape counts as absent. */
#include "realtime/inside.h"
#include "realtime/json_slice.h"

enum { BINDINGS_MAX = 100 };

static bool read_flag(pool_t *pool, str_t object, str_t name)
{
    str_t value = json_slice_get(object, name);
    if (str_eq(value, STR("true")))
        return true;
    return json_slice_is_string(value) && str_eq_nocase(json_slice_string(pool, value), STR("true"));
}

static void parse_bindings(pool_t *pool, str_t array, rt_join_config_t *out)
{
    size_t at = 0, count = 0;
    str_t item;
    while (json_slice_item(array, &at, &item) && count < BINDINGS_MAX)
        count++;
    out->bindings = POOL_ARRAY(pool, rt_binding_t, count + 1);
    at = 0;
    while (out->binding_count < count && json_slice_item(array, &at, &item)) {
        if (json_slice_is_object(item))
            rt_binding_parse(pool, item, &out->bindings[out->binding_count++]);
        else
            count--; /* null entries are dropped */
    }
}

/* A token that says something: a string that is no API key of the new kind. */
static str_t read_token(pool_t *pool, str_t payload, str_t name)
{
    str_t token = json_slice_string(pool, json_slice_get(payload, name));
    return token.len == 0 || str_starts_with(token, STR("sb_")) ? STR_NULL : token;
}

void rt_join_config_parse(pool_t *pool, str_t payload, rt_join_config_t *out, str_t *token)
{
    *out = (rt_join_config_t){0};
    str_t config = json_slice_get(payload, STR("config"));
    str_t broadcast = json_slice_get(config, STR("broadcast")),
          presence = json_slice_get(config, STR("presence"));
    out->is_private = read_flag(pool, config, STR("private"));
    out->has_ack = read_flag(pool, broadcast, STR("ack"));
    out->has_self = read_flag(pool, broadcast, STR("self"));
    out->has_presence = read_flag(pool, presence, STR("enabled"));
    str_t key = json_slice_get(presence, STR("key"));
    out->presence_key = pool_str(pool, json_slice_is_string(key) ? json_slice_string(pool, key) : key);
    if (str_eq(out->presence_key, STR("null")))
        out->presence_key = STR_NULL;
    parse_bindings(pool, json_slice_get(config, STR("postgres_changes")), out);
    *token = read_token(pool, payload, STR("user_token"));
    if (str_is_null(*token))
        *token = read_token(pool, payload, STR("access_token"));
}
