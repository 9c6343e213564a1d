#include "base/read_json.h"

#include "base/emit.h"

#define SIZE_DEFAULT (8u << 20)
#define DEPTH_DEFAULT 64
#define NODES_DEFAULT 500000

static void decref(void *arg)
{
    json_decref(arg);
}

static err_t *refuse(pool_t *pool, uint16_t status, const char *message)
{
    return err_make(pool, status, ERR_FAMILY_REQUEST, "", "%s", message);
}

/* Depth and number of values, counted on the text before anything is allocated for it. Malformed text is left
 * to the parser: here it only has to be bounded. */
static err_t *check_shape(pool_t *pool, str_t text, size_t depth_max, size_t nodes_max)
{
    size_t depth = 0, nodes = 1;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            nodes++;
            if (++depth > depth_max)
                return refuse(pool, 400, "JSON is nested too deeply");
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',') {
            nodes++;
        }
        if (nodes > nodes_max)
            return refuse(pool, 413, "JSON has too many values");
    }
    return NULL;
}

err_t *read_json(pool_t *pool, str_t text, const read_json_limits_t *limits, json_t **out)
{
    static const read_json_limits_t defaults;
    if (limits == NULL)
        limits = &defaults;
    *out = NULL;
    if (text.len > (limits->size_max != 0 ? limits->size_max : SIZE_DEFAULT))
        return refuse(pool, 413, "JSON is too large");
    err_t *err = check_shape(pool, text, limits->depth_max != 0 ? limits->depth_max : DEPTH_DEFAULT,
                             limits->nodes_max != 0 ? limits->nodes_max : NODES_DEFAULT);
    if (err != NULL)
        return err;
    json_error_t error;
    json_t *value = json_loadb(text.base != NULL ? text.base : "", text.len,
                               limits->any_value ? JSON_DECODE_ANY : 0, &error);
    if (value == NULL) {
        err = refuse(pool, 400, "Invalid JSON");
        return err_details(pool, err, "%s (line %d, column %d)", error.text, error.line, error.column);
    }
    pool_on_dispose(pool, decref, value);
    *out = value;
    return NULL;
}

str_t read_json_str(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? str_make(json_string_value(value), json_string_length(value)) : STR_NULL;
}

int64_t read_json_int(const json_t *object, const char *key, int64_t absent)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : absent;
}

bool read_json_bool(const json_t *object, const char *key, bool absent)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : absent;
}

json_t *read_json_object(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_object(value) ? value : NULL;
}

json_t *read_json_array(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_array(value) ? value : NULL;
}

static void write_value(buf_t *out, const json_t *value);

static void write_object(buf_t *out, const json_t *object)
{
    const char *key;
    json_t *member;
    char before = '{';
    json_object_foreach((json_t *)object, key, member)
    {
        buf_append_char(out, before);
        emit_json_string(out, str_from_c(key));
        buf_append_char(out, ':');
        write_value(out, member);
        before = ',';
    }
    if (before == '{')
        buf_append_char(out, '{');
    buf_append_char(out, '}');
}

static void write_array(buf_t *out, const json_t *array)
{
    size_t i;
    json_t *item;
    buf_append_char(out, '[');
    json_array_foreach((json_t *)array, i, item)
    {
        if (i > 0)
            buf_append_char(out, ',');
        write_value(out, item);
    }
    buf_append_char(out, ']');
}

/* Not jansson's own writer: it prints 4.7 as 4.7000000000000002, and what people wrote is to be stored as it
 * was. */
static void write_value(buf_t *out, const json_t *value)
{
    emit_t emit;
    emit_init(&emit, out);
    if (json_is_object(value))
        write_object(out, value);
    else if (json_is_array(value))
        write_array(out, value);
    else if (json_is_string(value))
        emit_json_string(out, str_make(json_string_value(value), json_string_length(value)));
    else if (json_is_integer(value))
        buf_append_int(out, json_integer_value(value));
    else if (json_is_real(value))
        emit_double(&emit, json_real_value(value));
    else
        buf_append_str(out, json_is_true(value)    ? STR("true")
                            : json_is_false(value) ? STR("false")
                                                   : STR("null"));
}

str_t read_json_dump(pool_t *pool, const json_t *value)
{
    buf_t out;
    buf_init(&out, pool, 256);
    write_value(&out, value);
    buf_append_char(&out, '\0'); /* for callers that want a C string */
    return str_make(out.base, out.len - 1);
}
