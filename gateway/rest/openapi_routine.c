#include "rest/openapi.h"

/* A query parameter: arrays are written as text, {1,2}, except the variadic one, which is repeated. */
static void emit_get_parameter(emit_t *e, const openapi_t *doc, const schema_parameter_t *prm)
{
    str_t type = openapi_shown_type(doc, prm->type);
    const char *name = openapi_type_name(type);
    emit_object_begin(e);
    emit_kv_string(e, "name", prm->name);
    emit_kv_bool(e, "required", prm->is_required);
    emit_kv_string(e, "in", STR("query"));
    if (prm->is_variadic) {
        str_t item = str_slice(type, 0, type.len >= 2 ? type.len - 2 : 0);
        const char *item_name = openapi_type_name(item);
        emit_kv_string(e, "type", str_from_c(name != NULL ? name : "string"));
        emit_key(e, STR("items"));
        emit_object_begin(e);
        if (item_name != NULL)
            emit_kv_string(e, "type", str_from_c(item_name));
        emit_kv_string(e, "format", openapi_format(item));
        emit_object_end(e);
        emit_kv_string(e, "collectionFormat", STR("multi"));
    } else {
        emit_kv_string(e, "format", openapi_format(type));
        emit_kv_string(e, "type", str_from_c(name == NULL || strcmp(name, "array") == 0 ? "string" : name));
    }
    emit_object_end(e);
}

static void emit_body_schema(emit_t *e, const openapi_t *doc, const schema_routine_t *f)
{
    bool has_required = false;
    emit_object_begin(e);
    if (!str_is_null(f->comment))
        emit_kv_string(e, "description", f->comment);
    emit_kv_string(e, "type", STR("object"));
    for (size_t i = 0; i < f->parameter_count; i++) {
        if (!f->parameters[i].is_required)
            continue;
        if (!has_required) {
            emit_key(e, STR("required"));
            emit_array_begin(e);
        }
        has_required = true;
        emit_string(e, f->parameters[i].name);
    }
    if (has_required)
        emit_array_end(e);
    if (f->parameter_count > 0) {
        emit_key(e, STR("properties"));
        emit_object_begin(e);
        for (size_t i = 0; i < f->parameter_count; i++) {
            emit_key(e, f->parameters[i].name);
            emit_object_begin(e);
            openapi_type(e, openapi_shown_type(doc, f->parameters[i].type));
            emit_object_end(e);
        }
        emit_object_end(e);
    }
    emit_object_end(e);
}

static void operation_begin(emit_t *e, pool_t *pool, const schema_routine_t *f, const char *method)
{
    str_t summary, description;
    openapi_comment(f->comment, &summary, &description);
    emit_key(e, str_from_c(method));
    emit_object_begin(e);
    emit_key(e, STR("tags"));
    emit_array_begin(e);
    emit_string(e, pool_concat(pool, 2, STR("(rpc) "), f->name));
    emit_array_end(e);
    if (!str_is_null(summary))
        emit_kv_string(e, "summary", summary);
    if (!str_is_null(description))
        emit_kv_string(e, "description", description);
    emit_kv_raw(e, "produces",
                STR("[\"application/json\",\"application/vnd.pgrst.object+json;nulls=stripped\","
                    "\"application/vnd.pgrst.object+json\"]"));
    emit_kv_raw(e, "responses", STR("{\"200\":{\"description\":\"OK\"}}"));
}

static void emit_get(emit_t *e, pool_t *pool, const openapi_t *doc, const schema_routine_t *f)
{
    operation_begin(e, pool, f, "get");
    if (f->parameter_count > 0) {
        emit_key(e, STR("parameters"));
        emit_array_begin(e);
        for (size_t i = 0; i < f->parameter_count; i++)
            emit_get_parameter(e, doc, &f->parameters[i]);
        emit_array_end(e);
    }
    emit_object_end(e);
}

static void emit_post(emit_t *e, pool_t *pool, const openapi_t *doc, const schema_routine_t *f)
{
    operation_begin(e, pool, f, "post");
    emit_key(e, STR("parameters"));
    emit_array_begin(e);
    emit_object_begin(e);
    emit_kv_string(e, "name", STR("args"));
    emit_kv_bool(e, "required", true);
    emit_kv_string(e, "in", STR("body"));
    emit_key(e, STR("schema"));
    emit_body_schema(e, doc, f);
    emit_object_end(e);
    emit_raw(e, STR("{\"$ref\":\"#/parameters/preferParams\"}"));
    emit_array_end(e);
    emit_object_end(e);
}

void openapi_routine_path(emit_t *e, pool_t *pool, const openapi_t *doc, const schema_routine_t *f)
{
    emit_key(e, pool_concat(pool, 2, STR("/rpc/"), f->name));
    emit_object_begin(e);
    if (f->volatility != SCHEMA_VOLATILE)
        emit_get(e, pool, doc, f);
    emit_post(e, pool, doc, f);
    emit_object_end(e);
}
