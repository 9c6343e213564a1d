/* The document's frame; its tables and routines have files of their own. Shape: PostgREST documentation,
 * "OpenAPI". */
#include "rest/openapi.h"

#include "rest/errors.h"
#include "rest/media.h"
#include "rest/sql.h"

/* ---- planning ---- */

/* One statement: what the role may use, and the schema's comment. */
static const char VISIBLE_SQL[] =
    "SELECT 'use', r.oid::text FROM pg_catalog.pg_class r "
    "WHERE r.relnamespace = $1::text::regnamespace AND r.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT "
    "r.relispartition "
    "AND (pg_catalog.pg_has_role(r.relowner, 'usage') "
    "OR pg_catalog.has_table_privilege(r.oid, 'select, insert, update, delete, truncate, references, "
    "trigger') "
    "OR pg_catalog.has_any_column_privilege(r.oid, 'select, insert, update, references')) "
    "UNION ALL SELECT 'use', f.oid::text FROM pg_catalog.pg_proc f "
    "WHERE f.pronamespace = $1::text::regnamespace AND pg_catalog.has_function_privilege(f.oid, 'execute') "
    "UNION ALL SELECT 'comment', pg_catalog.obj_description($1::text::regnamespace, 'pg_namespace')";

static bool is_accepted(rest_media_kind_t kind)
{
    return kind == REST_MEDIA_OPENAPI || kind == REST_MEDIA_JSON || kind == REST_MEDIA_ANY;
}

err_t *plan_openapi(planner_t *p, rest_plan_t *out)
{
    const rest_request_t *r = p->request;
    bool has_media = false;
    buf_t list;
    buf_init(&list, p->pool, 64);
    for (uint32_t i = 0; i < r->accept_count; i++) {
        has_media = has_media || is_accepted(r->accept[i].kind);
        buf_printf(&list, "%s%.*s", i > 0 ? ", " : "", STR_ARG(rest_media_mime(p->pool, &r->accept[i])));
    }
    if (!has_media)
        return rest_error(p->pool, REST_ERR_MEDIA, buf_str(&list));
    openapi_t *doc = POOL_NEW(p->pool, openapi_t);
    *doc = (openapi_t){.snapshot = p->snapshot,
                       .schema = r->schema,
                       .settings = p->settings,
                       .shows_all = p->settings->openapi_mode == REST_OPENAPI_IGNORE,
                       .visible = map_create(p->pool, 256)};
    buf_t quoted; /* regnamespace reads an identifier */
    buf_init(&quoted, p->pool, 64);
    ident_append(&quoted, r->schema);
    str_t *param = POOL_NEW(p->pool, str_t);
    *param = buf_str(&quoted);
    out->is_single_use = true;
    out->stmts[0] = (db_stmt_t){.sql = str_from_c(VISIBLE_SQL), .params = param, .param_count = 1};
    out->roles[0] = REST_STMT_OPENAPI;
    out->stmt_count = 1;
    out->format = REST_FORMAT_OPENAPI;
    out->media = (rest_media_t){.kind = REST_MEDIA_OPENAPI};
    out->is_read_only = true;
    out->openapi = doc;
    return NULL;
}

void rest_openapi_row(rest_plan_t *plan, pool_t *pool, uint32_t stmt, const str_t *values, size_t count)
{
    openapi_t *doc = plan->openapi;
    (void)stmt;
    if (count < 2 || str_is_null(values[1]))
        return;
    str_t text = pool_str(pool, values[1]);
    if (str_eq(values[0], STR("comment")))
        doc->comment = text;
    else
        map_put(doc->visible, text, doc);
}

bool openapi_shows(const openapi_t *doc, uint32_t oid)
{
    char text[16];
    size_t len = 0;
    for (uint32_t rest = oid; rest > 0 || len == 0; rest /= 10)
        text[sizeof(text) - ++len] = (char)('0' + rest % 10);
    return doc->shows_all || map_get(doc->visible, str_make(text + sizeof(text) - len, len)) != NULL;
}

/* ---- shared pieces ---- */

/* The part behind "schema." or the whole. */
static str_t without_schema(str_t type, str_t schema)
{
    bool is_inside =
        type.len > schema.len + 1 && str_starts_with(type, schema) && type.base[schema.len] == '.';
    return is_inside ? str_slice(type, schema.len + 1, type.len) : type;
}

str_t openapi_shown_type(const openapi_t *doc, str_t type)
{
    if (doc->shows_all)
        return type;
    type = without_schema(type, doc->schema);
    for (uint32_t i = 0; i < doc->settings->extra_search_path_count; i++)
        type = without_schema(type, doc->settings->extra_search_path[i]);
    return type;
}

void openapi_comment(str_t comment, str_t *summary, str_t *description)
{
    *summary = *description = STR_NULL;
    if (str_is_null(comment))
        return;
    size_t line = str_find_char(comment, '\n', 0);
    *summary = str_slice(comment, 0, line);
    str_t rest = line == SIZE_MAX ? STR("") : str_slice(comment, line, comment.len);
    while (rest.len > 0 && rest.base[0] == '\n')
        rest = str_slice(rest, 1, rest.len);
    if (rest.len > 0)
        *description = rest;
}

static const struct {
    str_t sql;
    const char *name;   /* NULL: anything */
    const char *format; /* NULL: the SQL type */
} TYPES[] = {
    {{"character varying", 17}, "string", NULL},
    {{"character", 9}, "string", NULL},
    {{"text", 4}, "string", NULL},
    {{"boolean", 7}, "boolean", NULL},
    {{"smallint", 8}, "integer", "int32"},
    {{"integer", 7}, "integer", "int32"},
    {{"bigint", 6}, "integer", "int64"},
    {{"numeric", 7}, "number", NULL},
    {{"real", 4}, "number", NULL},
    {{"double precision", 16}, "number", NULL},
    {{"json", 4}, NULL, NULL},
    {{"jsonb", 5}, NULL, NULL},
};

const char *openapi_type_name(str_t type)
{
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(*TYPES); i++)
        if (str_eq(TYPES[i].sql, type))
            return TYPES[i].name;
    return str_ends_with(type, STR("[]")) ? "array" : "string";
}

str_t openapi_format(str_t type)
{
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(*TYPES); i++)
        if (str_eq(TYPES[i].sql, type) && TYPES[i].format != NULL)
            return str_from_c(TYPES[i].format);
    return type;
}

void openapi_type(emit_t *e, str_t type)
{
    const char *name = openapi_type_name(type);
    emit_kv_string(e, "format", openapi_format(type));
    if (name == NULL)
        return;
    emit_kv_string(e, "type", str_from_c(name));
    if (!str_ends_with(type, STR("[]")))
        return;
    const char *item = openapi_type_name(str_slice(type, 0, type.len - 2));
    emit_key(e, STR("items"));
    emit_object_begin(e);
    if (item != NULL)
        emit_kv_string(e, "type", str_from_c(item));
    emit_object_end(e);
}

/* ---- the document ---- */

static void emit_mimes(emit_t *e, const char *const *mimes, size_t count)
{
    emit_array_begin(e);
    for (size_t i = 0; i < count; i++)
        emit_string(e, str_from_c(mimes[i]));
    emit_array_end(e);
}

/* Where clients find the server: as configured for a proxy, else as this request did. */
static void emit_address(emit_t *e, pool_t *pool, const rest_settings_t *settings, str_t host, bool is_tls)
{
    str_t scheme = is_tls ? STR("https") : STR("http"), path = settings->root;
    str_t proxy = settings->openapi_proxy_uri;
    size_t mark = str_find(proxy, STR("://"), 0);
    if (proxy.len > 0 && mark != SIZE_MAX) {
        scheme = str_slice(proxy, 0, mark);
        str_t rest = str_slice(proxy, mark + 3, proxy.len);
        size_t slash = str_find_char(rest, '/', 0);
        path = slash == SIZE_MAX ? STR("/") : str_slice(rest, slash, rest.len);
        host = str_slice(rest, 0, slash);
    }
    bool is_secure = str_eq_nocase(scheme, STR("https"));
    if (str_find_char(host, ':', 0) == SIZE_MAX)
        host = pool_printf(pool, "%.*s:%d", STR_ARG(host), is_secure ? 443 : 80);
    emit_kv_string(e, "host", host);
    emit_kv_string(e, "basePath", path);
    emit_key(e, STR("schemes"));
    emit_array_begin(e);
    emit_string(e, is_secure ? STR("https") : STR("http"));
    emit_array_end(e);
}

static void emit_info(emit_t *e, const openapi_t *doc)
{
    str_t title, description;
    openapi_comment(doc->comment, &title, &description);
    emit_key(e, STR("info"));
    emit_object_begin(e);
    emit_kv_string(e, "version", STR("16"));
    emit_kv_string(e, "title", str_is_null(title) ? STR("PostgREST API") : title);
    emit_kv_string(e, "description",
                   !str_is_null(description)   ? description
                   : str_is_null(doc->comment) ? STR("This is a dynamic API generated by PostgREST")
                                               : STR(""));
    emit_object_end(e);
    emit_key(e, STR("externalDocs"));
    emit_object_begin(e);
    emit_kv_string(e, "description", STR("PostgREST Documentation"));
    emit_kv_string(e, "url", STR("https://postgrest.org/en/v16/references/api.html"));
    emit_object_end(e);
}

static void emit_simple_parameter(emit_t *e, const char *key, const char *name, const char *description,
                                  const char *place, const char *const *values)
{
    emit_key(e, str_from_c(key));
    emit_object_begin(e);
    emit_kv_string(e, "name", str_from_c(name));
    emit_kv_string(e, "description", str_from_c(description));
    emit_kv_bool(e, "required", false);
    emit_kv_string(e, "in", str_from_c(place));
    emit_kv_string(e, "type", STR("string"));
    if (values != NULL) {
        emit_key(e, STR("enum"));
        emit_array_begin(e);
        for (; *values != NULL; values++)
            emit_string(e, str_from_c(*values));
        emit_array_end(e);
    }
    if (strcmp(key, "rangeUnit") == 0)
        emit_kv_string(e, "default", STR("items"));
    emit_object_end(e);
}

static void emit_common_parameters(emit_t *e)
{
    static const char *const RETURN[] = {"return=representation", "return=minimal", "return=none", NULL};
    static const char *const COUNT[] = {"count=none", NULL};
    static const char *const POST[] = {"return=representation",
                                       "return=minimal",
                                       "return=none",
                                       "resolution=ignore-duplicates",
                                       "resolution=merge-duplicates",
                                       NULL};
    emit_simple_parameter(e, "preferParams", "Prefer", "Preference", "header", NULL);
    emit_simple_parameter(e, "preferReturn", "Prefer", "Preference", "header", RETURN);
    emit_simple_parameter(e, "preferCount", "Prefer", "Preference", "header", COUNT);
    emit_simple_parameter(e, "preferPost", "Prefer", "Preference", "header", POST);
    emit_simple_parameter(e, "select", "select", "Filtering Columns", "query", NULL);
    emit_simple_parameter(e, "on_conflict", "on_conflict", "On Conflict", "query", NULL);
    emit_simple_parameter(e, "order", "order", "Ordering", "query", NULL);
    emit_simple_parameter(e, "range", "Range", "Limiting and Pagination", "header", NULL);
    emit_simple_parameter(e, "rangeUnit", "Range-Unit", "Limiting and Pagination", "header", NULL);
    emit_simple_parameter(e, "offset", "offset", "Limiting and Pagination", "query", NULL);
    emit_simple_parameter(e, "limit", "limit", "Limiting and Pagination", "query", NULL);
}

static void emit_root_path(emit_t *e)
{
    static const char *const MIMES[] = {"application/openapi+json", "application/json"};
    emit_key(e, STR("/"));
    emit_object_begin(e);
    emit_key(e, STR("get"));
    emit_object_begin(e);
    emit_kv_raw(e, "tags", STR("[\"Introspection\"]"));
    emit_kv_string(e, "summary", STR("OpenAPI description (this document)"));
    emit_key(e, STR("produces"));
    emit_mimes(e, MIMES, 2);
    emit_kv_raw(e, "responses", STR("{\"200\":{\"description\":\"OK\"}}"));
    emit_object_end(e);
    emit_object_end(e);
}

/* Overloads share a path; the one with the most parameters describes it. */
static void emit_routine(emit_t *e, pool_t *pool, const openapi_t *doc, const schema_overloads_t *o)
{
    const schema_routine_t *shown = NULL;
    for (size_t k = 0; k < o->count && str_eq(o->name.schema, doc->schema); k++)
        if (openapi_shows(doc, o->routines[k]->oid))
            shown = o->routines[k];
    if (shown != NULL)
        openapi_routine_path(e, pool, doc, shown);
}

static void emit_security(emit_t *e)
{
    emit_kv_raw(e, "security", STR("[{\"JWT\":[]}]"));
    emit_kv_raw(
        e, "securityDefinitions",
        STR("{\"JWT\":{\"type\":\"apiKey\",\"name\":\"Authorization\",\"in\":\"header\",\"description\":"
            "\"Add the token prepending \\\"Bearer \\\" (without quotes) to it\"}}"));
}

/* ---- in parts ---- */

static void emit_front(emit_t *e, pool_t *pool, const openapi_t *doc)
{
    static const char *const MIMES[] = {"application/json",
                                        "application/vnd.pgrst.object+json;nulls=stripped",
                                        "application/vnd.pgrst.object+json", "text/csv"};
    emit_object_begin(e);
    emit_kv_string(e, "swagger", STR("2.0"));
    emit_info(e, doc);
    emit_address(e, pool, doc->settings, doc->host, doc->is_tls);
    emit_key(e, STR("consumes"));
    emit_mimes(e, MIMES, 4);
    emit_key(e, STR("produces"));
    emit_mimes(e, MIMES, 4);
    emit_key(e, STR("paths"));
    emit_object_begin(e);
    emit_root_path(e);
}

/* What stands between the lists of tables and routines: the end of one, the beginning of the next. */
static void emit_turn(emit_t *e, pool_t *pool, const openapi_t *doc)
{
    switch (doc->part) {
    case OPENAPI_FRONT:
        emit_front(e, pool, doc);
        break;
    case OPENAPI_TABLES:
        break;
    case OPENAPI_ROUTINES:
        emit_object_end(e);
        emit_key(e, STR("definitions"));
        emit_object_begin(e);
        break;
    case OPENAPI_DEFINITIONS:
        emit_object_end(e);
        emit_key(e, STR("parameters"));
        emit_object_begin(e);
        emit_common_parameters(e);
        break;
    case OPENAPI_PARAMETERS:
        emit_object_end(e);
        if (doc->settings->has_openapi_security)
            emit_security(e);
        emit_object_end(e);
    }
}

static void emit_item(emit_t *e, pool_t *pool, const openapi_t *doc)
{
    static void (*const EMIT[])(emit_t * e, pool_t * pool, const schema_table_t *table) = {
        [OPENAPI_TABLES] = openapi_table_path,
        [OPENAPI_DEFINITIONS] = openapi_definition,
        [OPENAPI_PARAMETERS] = openapi_table_parameters};
    if (doc->part == OPENAPI_ROUTINES) {
        emit_routine(e, pool, doc, doc->snapshot->overloads[doc->at]);
        return;
    }
    const schema_table_t *table = doc->snapshot->tables[doc->at];
    if (str_eq(table->schema, doc->schema) && openapi_shows(doc, table->oid))
        EMIT[doc->part](e, pool, table);
}

static size_t item_count(const openapi_t *doc)
{
    switch (doc->part) {
    case OPENAPI_FRONT:
        return 0;
    case OPENAPI_ROUTINES:
        return doc->snapshot->overload_count;
    default:
        return doc->snapshot->table_count;
    }
}

void rest_openapi_begin(rest_plan_t *plan, str_t host, bool is_tls)
{
    openapi_t *doc = plan->openapi;
    doc->host = host;
    doc->is_tls = is_tls;
    doc->part = OPENAPI_FRONT;
    doc->at = 0;
    emit_init(&doc->emit, NULL);
}

bool rest_openapi_write(rest_plan_t *plan, buf_t *out)
{
    openapi_t *doc = plan->openapi;
    pool_t *pool = pool_create();
    bool is_last = false;
    doc->emit.out = out;
    if (doc->at < item_count(doc)) {
        emit_item(&doc->emit, pool, doc);
        doc->at++;
    } else {
        emit_turn(&doc->emit, pool, doc);
        is_last = doc->part++ == OPENAPI_PARAMETERS;
        doc->at = 0;
    }
    pool_destroy(pool);
    return !is_last;
}
