#include "rest/plan_key.h"

#include "rest/grammar.h"
#include "rest/media.h"
#include "rest/operand.h"
#include "rest/parse.h"

/* Larger requests are rare, and planning is the least of their cost. */
#define KEY_MAX 8192
#define BODY_MAX (256 * 1024)

typedef struct {
    const rest_settings_t *settings;
    pool_t *pool;
    const rest_input_t *in;
    buf_t text;
    str_t *operands;
    uint32_t count, capacity;
    bool is_call;          /* a routine */
    bool is_columns_seen;  /* the first parameter of that name counts, */
    bool has_columns;      /* and only with a value */
    bool has_encoded_name; /* a parameter's name could be any */
} reader_t;

/* Length and bytes, so that no part can pass for two. Null and empty are told apart. */
static void add(reader_t *r, char tag, str_t part)
{
    uint32_t len = str_is_null(part) ? UINT32_MAX : (uint32_t)part.len;
    buf_append_char(&r->text, tag);
    buf_append(&r->text, (const char *)&len, sizeof(len));
    buf_append_str(&r->text, part);
}

/* ---- the query string ---- */

static void add_pair(reader_t *r, str_t pair)
{
    str_t raw = pair;
    str_t name = str_split(&raw, '=');
    bool is_call_read = r->is_call && !str_eq(r->in->method, STR("POST"));
    str_t value = str_is_null(raw) ? STR_NULL : rest_url_decode(r->pool, raw, true);
    rest_operand_t operand = rest_operand_find(name, raw, value, is_call_read, r->settings->list_max);
    r->has_encoded_name = r->has_encoded_name || str_find_char(name, '%', 0) != SIZE_MAX ||
                          str_find_char(name, '+', 0) != SIZE_MAX;
    if (!r->is_columns_seen && str_eq(name, STR("columns"))) {
        r->is_columns_seen = true;
        r->has_columns = !str_is_null(raw);
    }
    if (operand.kind == REST_OPERAND_NONE) {
        add(r, 'p', pair);
        return;
    }
    add(r, 'o', str_slice(pair, 0, name.len + 1 + operand.at));
    r->operands = rest_grow(r->pool, r->operands, r->count, &r->capacity, sizeof(*r->operands));
    r->operands[r->count++] = str_slice(value, operand.at, value.len);
}

/* ---- the payload ---- */

static bool is_json(const reader_t *r)
{
    str_t type = r->in->content_type;
    return str_is_null(type) || str_eq(type, STR("application/json")) ||
           rest_media_parse(r->pool, type).kind == REST_MEDIA_JSON;
}

/* The keys of a JSON payload name the columns. With ?columns= nobody looks at them. */
static bool add_payload(reader_t *r, rest_plan_key_t *out)
{
    str_t body = r->in->body;
    const str_t *names;
    uint32_t count;
    if (body.len > BODY_MAX || r->has_encoded_name || !is_json(r))
        return false;
    out->payload = body;
    if (r->has_columns && !str_eq(r->in->method, STR("PUT"))) {
        add(r, rest_begins_object(body) ? 'O' : 'A', STR_NULL);
        return true;
    }
    if (body.len == 0 && r->is_call)
        out->payload = STR("{}");
    rest_body_t kind = rest_check_json(r->pool, out->payload, r->settings->json_depth_max, &names, &count);
    if (kind == REST_BODY_INVALID || kind == REST_BODY_UNEVEN)
        return false;
    if (kind == REST_BODY_EMPTY)
        out->payload = STR("[]");
    add(r, kind == REST_BODY_OBJECT ? 'o' : kind == REST_BODY_ARRAY ? 'a' : 'e', STR_NULL);
    for (uint32_t i = 0; i < count; i++)
        add(r, 'c', names[i]);
    return true;
}

/* ---- the whole ---- */

static bool has_plan(const rest_input_t *in)
{
    static const str_t METHODS[] = {STR("GET"),   STR("HEAD"), STR("POST"),
                                    STR("PATCH"), STR("PUT"),  STR("DELETE")};
    if (in->path.len < 2 || in->path.base[0] != '/' || str_find_char(in->path, '%', 0) != SIZE_MAX)
        return false;
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(*METHODS); i++)
        if (str_eq(in->method, METHODS[i]))
            return true;
    return false;
}

static bool takes_payload(str_t method)
{
    return str_eq(method, STR("POST")) || str_eq(method, STR("PATCH")) || str_eq(method, STR("PUT"));
}

void rest_plan_key_read(const rest_settings_t *settings, pool_t *pool, const rest_input_t *in, str_t role,
                        rest_plan_key_t *out)
{
    *out = (rest_plan_key_t){.payload = STR("")};
    if (!has_plan(in) || in->query.len > KEY_MAX)
        return;
    reader_t r = {
        .settings = settings, .pool = pool, .in = in, .is_call = str_starts_with(in->path, STR("/rpc/"))};
    buf_init(&r.text, pool, 256);
    const str_t parts[] = {in->method,          in->path,         role,
                           in->accept,          in->content_type, in->accept_profile,
                           in->content_profile, in->range};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        add(&r, 'h', parts[i]);
    for (uint32_t i = 0; i < in->prefer_count; i++)
        add(&r, 'f', in->prefers[i]);
    str_t query = in->query;
    while (query.len > 0)
        add_pair(&r, rest_next_pair(&query));
    if ((takes_payload(in->method) && !add_payload(&r, out)) || r.text.len > KEY_MAX)
        return;
    out->text = buf_str(&r.text);
    out->operands = r.operands;
    out->operand_count = r.count;
}
