/* One element of config.postgres_changes: what it asks for, and what the reply says of it. */
#include "base/emit.h"
#include "realtime/inside.h"
#include "realtime/json_slice.h"

enum { ID_MASK = 0x7ffffff };

static unsigned parse_event(str_t event)
{
    if (str_eq_nocase(event, STR("insert")))
        return RT_EVENT_INSERT;
    if (str_eq_nocase(event, STR("update")))
        return RT_EVENT_UPDATE;
    if (str_eq_nocase(event, STR("delete")))
        return RT_EVENT_DELETE;
    return RT_EVENT_ALL;
}

static str_t event_name(unsigned events)
{
    return events == RT_EVENT_INSERT   ? STR("INSERT")
           : events == RT_EVENT_UPDATE ? STR("UPDATE")
           : events == RT_EVENT_DELETE ? STR("DELETE")
                                       : STR("*");
}

/* Equal parameters have equal ids everywhere, so that one frame can serve many sockets. Never 0. */
static int64_t make_id(pool_t *pool, const rt_binding_t *binding, str_t select)
{
    str_t key = pool_concat(pool, 9, event_name(binding->events), STR("\n"), binding->schema, STR("\n"),
                            binding->table, STR("\n"), binding->filter.text, STR("\n"), select);
    uint64_t hash = str_hash(key);
    int64_t id = (int64_t)((hash ^ hash >> 27) & ID_MASK);
    return id != 0 ? id : 1;
}

static void keep_echo(pool_t *pool, str_t json, rt_binding_t *out)
{
    size_t at = 0;
    str_t key, value;
    out->has_members = json_slice_member(json, &at, &key, &value);
    str_t open = str_slice(json, 0, json.len - 1);
    out->json = pool_str(pool, str_trim(open));
}

static bool is_absent_or_string(str_t value)
{
    return str_is_null(value) || json_slice_is_string(value);
}

void rt_binding_parse(pool_t *pool, str_t json, rt_binding_t *out)
{
    *out = (rt_binding_t){.events = RT_EVENT_ALL, .filter.text = STR("")};
    json = pool_str(pool, json);
    keep_echo(pool, json, out);
    str_t schema = json_slice_get(json, STR("schema")), table = json_slice_get(json, STR("table"));
    str_t filter = json_slice_get(json, STR("filter")), event = json_slice_get(json, STR("event"));
    if (json_slice_is_string(event))
        out->events = parse_event(json_slice_string(pool, event));
    out->event = event_name(out->events);
    str_t filter_text = json_slice_string(pool, filter);
    bool has_filter = str_trim(filter_text).len > 0;
    bool is_good = is_absent_or_string(schema) && is_absent_or_string(table) && is_absent_or_string(filter) &&
                   !(str_is_null(schema) && str_is_null(table)) &&
                   !(has_filter && (str_is_null(schema) || str_is_null(table)));
    if (!is_good) {
        out->schema = out->table = STR("*");
        out->problem =
            pool_printf(pool,
                        "No subscription params provided. Please provide at least a `schema` or `table` to "
                        "subscribe to: %.*s",
                        STR_ARG(json));
    } else {
        out->schema = str_is_null(schema) ? STR("public") : json_slice_string(pool, schema);
        out->table = str_is_null(table) ? STR("*") : json_slice_string(pool, table);
        str_t why = STR_NULL;
        if (!rt_filter_parse(pool, filter_text, &out->filter, &why))
            out->problem = why;
    }
    out->id = make_id(pool, out, json_slice_get(json, STR("select")));
}

void rt_binding_write_debug(buf_t *out, const rt_binding_t *binding)
{
    buf_printf(out, "[event: %.*s, schema: %.*s, table: %.*s, filters: ", STR_ARG(binding->event),
               STR_ARG(binding->schema), STR_ARG(binding->table));
    rt_filter_write_debug(out, &binding->filter);
    buf_append_lit(out, ", select: nil]");
}
