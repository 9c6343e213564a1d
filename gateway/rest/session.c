#include "base/emit.h"
#include "db/ident.h"
#include "rest/run.h"

/* ---- request.* ---- */

/* Header bytes are Latin-1 unless they are valid UTF-8. */
static str_t as_utf8(pool_t *pool, str_t value)
{
    if (str_is_utf8(value))
        return value;
    char *out = pool_alloc(pool, value.len * 2 + 1);
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        if (c >= 0x80) {
            out[len++] = (char)(0xC0 | c >> 6);
            out[len++] = (char)(0x80 | (c & 0x3F));
        } else {
            out[len++] = (char)c;
        }
    }
    return str_make(out, len);
}

static void emit_member(emit_t *emit, pool_t *pool, str_t name, str_t value)
{
    emit_key(emit, as_utf8(pool, name));
    emit_string(emit, as_utf8(pool, value.base != NULL ? value : STR("")));
}

static str_t headers_json(rest_run_t *run)
{
    buf_t out;
    emit_t emit;
    size_t cursor = 0;
    str_t name, value;
    buf_init(&out, run->pool, 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    while (http_next_header(run->ctx->request, &cursor, &name, &value))
        if (!str_eq(name, STR("cookie")))
            emit_member(&emit, run->pool, name, value);
    emit_object_end(&emit);
    return buf_str(&out);
}

static str_t cookies_json(rest_run_t *run)
{
    str_t cookies = http_header(run->ctx->request, "cookie");
    if (cookies.len == 0)
        return STR("{}");
    buf_t out;
    emit_t emit;
    buf_init(&out, run->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    while (!str_is_null(cookies)) {
        str_t value = str_trim(str_split(&cookies, ';'));
        str_t name = str_split(&value, '=');
        if (name.len > 0)
            emit_member(&emit, run->pool, name, value);
    }
    emit_object_end(&emit);
    return buf_str(&out);
}

static str_t search_path(rest_run_t *run)
{
    const rest_settings_t *settings = run->settings;
    buf_t out;
    buf_init(&out, run->pool, 64);
    ident_append(&out, run->request.schema);
    for (uint32_t i = 0; i < settings->extra_search_path_count; i++) {
        buf_append_lit(&out, ", ");
        ident_append(&out, settings->extra_search_path[i]);
    }
    return buf_str(&out);
}

/* ---- the list ---- */

#define OWN_SETTINGS 8 /* those that rest_session_fill names */

typedef struct {
    db_setting_t *items;
    size_t count;
} list_t;

static void add(list_t *list, str_t name, str_t value)
{
    list->items[list->count++] = (db_setting_t){name, value};
}

static void take_role_settings(rest_run_t *run, const schema_role_t *role)
{
    db_setting_t *settings = POOL_ARRAY(run->pool, db_setting_t, role->setting_count + 1);
    for (size_t i = 0; i < role->setting_count; i++)
        settings[i] = (db_setting_t){role->settings[i].name, role->settings[i].value};
    run->spec.role_settings = settings;
    run->spec.role_setting_count = role->setting_count;
}

static db_isolation_t isolation_of(schema_isolation_t isolation)
{
    return isolation == SCHEMA_ISOLATION_REPEATABLE     ? DB_ISOLATION_REPEATABLE_READ
           : isolation == SCHEMA_ISOLATION_SERIALIZABLE ? DB_ISOLATION_SERIALIZABLE
                                                        : DB_ISOLATION_DEFAULT;
}

void rest_session_fill(rest_run_t *run)
{
    const rest_settings_t *settings = run->settings;
    const rest_plan_t *plan = &run->plan;
    size_t count_max = OWN_SETTINGS + plan->setting_count + settings->app_setting_count;
    list_t list = {.items = pool_alloc(run->pool, count_max * sizeof(db_setting_t))};
    str_t path = run->ctx->path;
    add(&list, STR("search_path"), search_path(run));
    add(&list, STR("request.jwt.claims"), run->identity->session_claims);
    /* Where auth.uid() looks first: a policy that asks it for each row need not parse the claims each time.
     */
    add(&list, STR("request.jwt.claim.sub"), run->identity->sub);
    add(&list, STR("request.method"), run->request.method);
    add(&list, STR("request.path"), path.len > 0 ? as_utf8(run->pool, path) : STR("/"));
    add(&list, STR("request.headers"), headers_json(run));
    add(&list, STR("request.cookies"), cookies_json(run));
    if (!str_is_null(run->request.prefer.timezone))
        add(&list, STR("timezone"), run->request.prefer.timezone);
    for (uint32_t i = 0; i < plan->setting_count; i++)
        add(&list, plan->settings[i].name, plan->settings[i].value);
    for (uint32_t i = 0; i < settings->app_setting_count; i++)
        add(&list, settings->app_settings[i].name, settings->app_settings[i].value);
    run->spec.settings = list.items;
    run->spec.setting_count = list.count;
    run->spec.role = run->identity->role;
    run->spec.isolation = plan->isolation;
    const schema_role_t *role = schema_role(run->snapshot, run->identity->role);
    if (role == NULL)
        return;
    take_role_settings(run, role);
    if (plan->is_role_isolation)
        run->spec.isolation = isolation_of(role->isolation);
}
