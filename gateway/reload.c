#include "reload.h"

#include "api/access_log.h"
#include "api/events.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/ident.h"
#include "db/session.h"
#include "db/tx.h"
#include "options.h"
#include "options_check.h"

#include <stdlib.h>
#include <unistd.h>

/* What was replaced is freed when no worker can still be reading it. */
#define RETIRED_MS 300000
#define RETRY_MS 1000
#define APART_MS 50 /* a storm of reloads becomes one so often */
#define PREFIX "PGRST_"

/* A configuration and key set that are no longer in force. */
typedef struct retired {
    struct retired *next;
    reload_t *reload;
    loop_timer_t timer;
    config_t *config;
    token_verifier_t *tokens;
} retired_t;

/* One question to the database; lives in a pool of its own. */
typedef struct {
    reload_t *reload;
    pool_t *pool;
    config_t *fresh; /* from file and environment, waiting for the answer; NULL at start */
    db_stmt_t stmts[2];
    buf_t overrides; /* name NUL value NUL ... */
} question_t;

struct reload {
    gateway_t *gateway;
    question_t *question; /* under way */
    db_tx_t *tx;
    const char *config_file;
    loop_timer_t retry, soon;
    int64_t reloaded_us;
    retired_t *retired;
    char *overrides; /* the database's last word, as in question_t */
    size_t overrides_len;
    bool must_ask_again;
};

void reload_apply_log_level(const config_t *config)
{
    log_level_t level;
    if (log_level_parse(config_str(config, "BASALT_LOG_LEVEL"), &level))
        log_set_level(level);
    access_log_configure(config);
}

/* --- replacing
 * ----------------------------------------------------------------------------------------------- */

static void retired_free(retired_t *retired)
{
    loop_timer_stop(&retired->timer);
    config_destroy(retired->config);
    token_verifier_destroy(retired->tokens);
    free(retired);
}

static void on_retired(void *arg)
{
    retired_t *retired = arg;
    retired_t **link = &retired->reload->retired;
    while (*link != retired)
        link = &(*link)->next;
    *link = retired->next;
    retired_free(retired);
}

static void retire(reload_t *reload, config_t *config, token_verifier_t *tokens)
{
    retired_t *retired = calloc(1, sizeof(*retired));
    if (retired == NULL)
        abort();
    *retired = (retired_t){.next = reload->retired, .reload = reload, .config = config, .tokens = tokens};
    reload->retired = retired;
    loop_timer_start(reload->gateway->loop, &retired->timer, RETIRED_MS, on_retired, retired);
}

static void apply_overrides(config_t *config, str_t overrides)
{
    while (overrides.len > 0) {
        str_t name = str_split(&overrides, '\0'), value = str_split(&overrides, '\0');
        if (!config_override(config, name, value))
            observe(LOG_WARN, "db_setting_ignored", F_STR("name", name));
    }
}

static void finish(gateway_t *gateway, pool_t *pool)
{
    err_t *err = http_server_reload_tls(gateway->server, pool);
    if (err != NULL)
        observe(LOG_ERROR, "tls_reload_failed", F_STR("message", err->message));
    observe(LOG_INFO, "config_reloaded", F_INT("pid", getpid()));
    pool_destroy(pool);
}

/* Takes `fresh`. Most reloads change nothing: they make up for what may have been notified while nobody
 * listened. Whatever is replaced costs memory for minutes, and the tokens known so far. */
static void apply(reload_t *reload, config_t *fresh)
{
    gateway_t *gateway = reload->gateway;
    pool_t *pool = pool_create();
    token_verifier_t *tokens = NULL;
    apply_overrides(fresh, str_make(reload->overrides, reload->overrides_len));
    if (config_equals(fresh, gateway->config)) {
        schema_cache_reload(gateway->schema); /* settings of roles are read with it */
        config_destroy(fresh);
        finish(gateway, pool);
        return;
    }
    token_options_t token_options = options_token(fresh);
    err_t *err = options_check(pool, fresh);
    if (err == NULL)
        err = token_verifier_create(pool, &token_options, &tokens);
    if (err != NULL) {
        observe(LOG_ERROR, "config_reload_failed", F_STR("message", err->message));
        config_destroy(fresh);
        pool_destroy(pool);
        return;
    }
    reload_apply_log_level(fresh);
    http_limits_t limits = options_http_limits(fresh);
    db_pool_options_t pool_options = options_db_pool(fresh, "request", "PGRST_DB_URI", "PGRST_DB_POOL");
    schema_cache_options_t schema_options = options_schema(pool, fresh);
    retire(reload, gateway->config, gateway->tokens);
    gateway->config = fresh;
    gateway->tokens = tokens;
    http_server_set_limits(gateway->server, &limits);
    db_pool_set_options(gateway->request_pool, &pool_options);
    schema_cache_set_options(gateway->schema, &schema_options);
    api_event_emit(gateway, API_EVENT_KEYS_CHANGED, STR_NULL);
    api_event_emit(gateway, API_EVENT_CONFIG_RELOADED, STR_NULL);
    finish(gateway, pool);
}

static config_t *load_fresh(reload_t *reload)
{
    const config_t *old = reload->gateway->config;
    pool_t *pool = pool_create();
    config_t *fresh = NULL;
    err_t *err = config_load(pool, config_keys(old), reload->config_file, &fresh);
    if (err == NULL) {
        config_keep_fixed(fresh, old);
        err = options_read_files(pool, fresh);
    }
    if (err != NULL) {
        observe(LOG_ERROR, "config_reload_failed", F_STR("message", err->message));
        config_destroy(fresh);
        fresh = NULL;
    }
    pool_destroy(pool);
    return fresh;
}

/* --- what the database says
 * ---------------------------------------------------------------------------------- */

static void ask(reload_t *reload, config_t *fresh);

static void question_free(question_t *question)
{
    buf_dispose(&question->overrides);
    pool_destroy(question->pool);
}

/* db_schemas -> PGRST_DB_SCHEMAS; a name with other characters than a setting's is no setting. */
static void add_override(buf_t *overrides, str_t name, str_t value)
{
    buf_append_lit(overrides, PREFIX);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];
        buf_append_char(overrides, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
    }
    buf_append_char(overrides, '\0');
    buf_append_str(overrides, value);
    buf_append_char(overrides, '\0');
}

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    question_t *question = arg;
    if (count == 2 && question->stmts[stmt].param_count != 0) /* not the pre-config function's own result */
        add_override(&question->overrides, values[0], values[1]);
}

static void on_retry(void *arg)
{
    ask(arg, NULL);
}

static void on_answer(void *arg, const err_t *error)
{
    question_t *question = arg;
    reload_t *reload = question->reload;
    config_t *fresh = question->fresh;
    bool is_first = fresh == NULL;
    reload->question = NULL;
    if (error != NULL) {
        observe(LOG_WARN, "db_config_unread", F_STR("code", error->code), F_STR("message", error->message));
        if (is_first && error->status == 503)
            loop_timer_start(reload->gateway->loop, &reload->retry, RETRY_MS, on_retry, reload);
    } else {
        free(reload->overrides);
        reload->overrides = buf_take(&question->overrides, &reload->overrides_len);
    }
    if (is_first && error == NULL && reload->overrides_len > 0)
        fresh = load_fresh(reload);
    if (fresh != NULL)
        apply(reload, fresh);
    question_free(question);
    if (reload->must_ask_again) {
        reload->must_ask_again = false;
        reload_now(reload);
    }
}

/* '{db_schemas,jwt_aud,...}' of every reloadable PGRST key. */
static str_t setting_names(pool_t *pool)
{
    buf_t out;
    buf_init(&out, pool, 1024);
    buf_append_char(&out, '{');
    for (const config_key_t *key = GATEWAY_CONFIG_KEYS; key->names != NULL; key++) {
        str_t rest = str_from_c(key->names);
        str_t name = str_split(&rest, ' ');
        if (!key->is_reloadable || !str_starts_with(name, STR(PREFIX)))
            continue;
        if (out.len > 1)
            buf_append_char(&out, ',');
        for (size_t i = sizeof(PREFIX) - 1; i < name.len; i++)
            buf_append_char(&out, name.base[i] >= 'A' && name.base[i] <= 'Z'
                                      ? (char)(name.base[i] - 'A' + 'a')
                                      : name.base[i]);
    }
    buf_append_char(&out, '}');
    return buf_str(&out);
}

/* In the order in which they are applied, the last one wins: what the pre-config function set, settings of
 * the role, those of it in this database. */
static const char SETTINGS_SQL[] =
    "select name, value from ("
    "    select substr(s.setting, 7, strpos(s.setting, '=') - 7) as name,"
    "           substr(s.setting, strpos(s.setting, '=') + 1) as value, r.setdatabase <> 0 as is_here, 1 as "
    "rank"
    "      from pg_catalog.pg_db_role_setting r, unnest(r.setconfig) as s (setting)"
    "     where r.setrole = pg_catalog.quote_ident(current_user)::regrole and s.setting like 'pgrst.%'"
    "       and r.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = "
    "current_database()))"
    "    union all"
    "    select name, current_setting('pgrst.' || name, true), true, 0 from unnest($1::text[]) as k (name)"
    "     where $2::boolean) settings"
    " where value is not null and name = any ($1::text[])"
    " order by rank, is_here";

/* The call of the pre-config function, or the null string. */
static str_t pre_config_call(pool_t *pool, const config_t *config)
{
    str_t function = config_str(config, "PGRST_DB_PRE_CONFIG");
    if (function.len == 0)
        return STR_NULL;
    buf_t call;
    str_t schema = str_split(&function, '.');
    buf_init(&call, pool, 128);
    buf_append_lit(&call, "select ");
    if (str_is_null(function))
        ident_append(&call, schema);
    else
        ident_append_qualified(&call, schema, function);
    buf_append_lit(&call, "()");
    return buf_str(&call);
}

static void ask(reload_t *reload, config_t *fresh)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_done = on_answer};
    pool_t *pool = pool_create();
    question_t *question = POOL_NEW(pool, question_t);
    str_t call = pre_config_call(pool, fresh != NULL ? fresh : reload->gateway->config);
    size_t count = 0;
    *question = (question_t){.reload = reload, .pool = pool, .fresh = fresh};
    buf_init(&question->overrides, NULL, 256);
    if (!str_is_null(call))
        question->stmts[count++] = (db_stmt_t){.sql = call, .is_unprepared = true};
    str_t *params = POOL_ARRAY(pool, str_t, 2);
    params[0] = setting_names(pool);
    params[1] = count > 0 ? STR("true") : STR("false");
    question->stmts[count++] = (db_stmt_t){.sql = str_make(SETTINGS_SQL, sizeof(SETTINGS_SQL) - 1),
                                           .params = params,
                                           .param_count = 2,
                                           .is_unprepared = true};
    db_tx_spec_t *spec = POOL_NEW(pool, db_tx_spec_t);
    *spec = (db_tx_spec_t){.stmts = question->stmts, .stmt_count = count, .is_exclusive = true};
    reload->question = question;
    reload->tx = db_tx_submit(reload->gateway->request_pool, spec, &handlers, question);
}

/* --- without a loop
 * -------------------------------------------------------------------------------------------- */

/* In one transaction: what the pre-config function sets ends with it. */
static err_t *ask_session(db_session_t *session, pool_t *pool, const config_t *config, db_rows_t *out)
{
    str_t call = pre_config_call(pool, config);
    err_t *err = str_is_null(call) ? NULL : db_session_query(session, call, NULL, 0, NULL);
    if (err != NULL)
        return err;
    return db_session_query(session, str_make(SETTINGS_SQL, sizeof(SETTINGS_SQL) - 1),
                            DB_PARAMS(setting_names(pool), str_is_null(call) ? STR("false") : STR("true")),
                            out);
}

void reload_read_blocking(config_t *config)
{
    if (!config_bool(config, "PGRST_DB_CONFIG"))
        return;
    pool_t *pool = pool_create();
    db_sessions_t *sessions = db_sessions_create(config_str(config, "PGRST_DB_URI"), 1, 0);
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    buf_t overrides;
    buf_init(&overrides, pool, 256);
    err_t *err = db_session_begin(sessions, pool, &(db_session_who_t){0}, &session);
    if (err == NULL)
        err = ask_session(session, pool, config, &rows);
    db_session_rollback(session);
    if (err != NULL)
        observe(LOG_WARN, "db_config_unread", F_STR("message", err->message), F_STR("details", err->details));
    for (size_t i = 0; err == NULL && i < rows.row_count; i++)
        add_override(&overrides, db_value(&rows, i, 0), db_value(&rows, i, 1));
    apply_overrides(config, buf_str(&overrides));
    pool_destroy(pool);
    db_sessions_destroy(sessions);
}

/* --- door
 * ---------------------------------------------------------------------------------------------------- */

static void dispose(void *arg)
{
    reload_t *reload = arg;
    loop_timer_stop(&reload->retry);
    loop_timer_stop(&reload->soon);
    if (reload->question != NULL) {
        db_tx_cancel(reload->tx);
        config_destroy(reload->question->fresh);
        question_free(reload->question);
    }
    while (reload->retired != NULL) {
        retired_t *next = reload->retired->next;
        retired_free(reload->retired);
        reload->retired = next;
    }
    free(reload->overrides);
}

reload_t *reload_create(gateway_t *gateway, const char *config_file, pool_t *pool)
{
    reload_t *reload = POOL_NEW(pool, reload_t);
    reload->gateway = gateway;
    reload->config_file = config_file;
    pool_on_dispose(pool, dispose, reload);
    return reload;
}

void reload_start(reload_t *reload)
{
    if (config_bool(reload->gateway->config, "PGRST_DB_CONFIG"))
        ask(reload, NULL);
}

static void on_soon(void *arg)
{
    reload_now(arg);
}

void reload_now(reload_t *reload)
{
    if (reload->question != NULL) {
        reload->must_ask_again = true;
        return;
    }
    int64_t now = clock_mono_us();
    if (now - reload->reloaded_us < APART_MS * 1000) {
        if (!loop_timer_is_running(&reload->soon))
            loop_timer_start(reload->gateway->loop, &reload->soon, APART_MS, on_soon, reload);
        return;
    }
    reload->reloaded_us = now;
    config_t *fresh = load_fresh(reload);
    if (fresh == NULL)
        return;
    if (config_bool(fresh, "PGRST_DB_CONFIG"))
        ask(reload, fresh);
    else
        apply(reload, fresh);
}
