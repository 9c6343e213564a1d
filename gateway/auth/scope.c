#include "auth/scope.h"

#include "base/observe.h"

#include <arpa/inet.h>

#define STATEMENT_TIMEOUT_MS 8000

static bool is_address(pool_t *pool, str_t text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    if (text.len == 0 || text.len > INET6_ADDRSTRLEN)
        return false;
    const char *address = pool_cstr(pool, text);
    return inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1;
}

void auth_scope_init(auth_scope_t *scope, gateway_t *gateway, pool_t *pool, str_t client_addr,
                     str_t user_agent)
{
    *scope =
        (auth_scope_t){.gateway = gateway, .config = gateway->config, .pool = pool, .user_agent = user_agent};
    scope->client_addr = is_address(pool, client_addr) ? client_addr : STR_NULL;
}

err_t *auth_begin(auth_scope_t *scope)
{
    /* public and extensions follow auth so that triggers of applications find what they name without a
     * schema. */
    static const str_t SETTINGS[] = {
        {"search_path", 11}, {"auth, public, extensions", 24}, {"TimeZone", 8}, {"UTC", 3}};
    if (scope->db != NULL)
        return err_bug(scope->pool, "a transaction is open already");
    if (scope->gateway->internal_sessions == NULL)
        return auth_error(scope->pool, 503, "unexpected_failure",
                          "Auth is not available: no internal database login is configured");
    db_session_who_t who = {.role = STR("supabase_auth_admin"),
                            .claims_json = STR_NULL,
                            .settings = SETTINGS,
                            .setting_count = sizeof(SETTINGS) / sizeof(SETTINGS[0]) / 2,
                            .timeout_ms = STATEMENT_TIMEOUT_MS,
                            .deadline_us = scope->deadline_us};
    return db_session_begin(scope->gateway->internal_sessions, scope->pool, &who, &scope->db);
}

err_t *auth_commit(auth_scope_t *scope)
{
    db_session_t *db = scope->db;
    scope->db = NULL;
    return db_session_commit(db);
}

void auth_rollback(auth_scope_t *scope)
{
    if (scope->db != NULL)
        db_session_rollback(scope->db);
    scope->db = NULL;
}

err_t *auth_query(auth_scope_t *scope, str_t sql, const str_t *params, size_t count, db_rows_t *out)
{
    return db_session_query(scope->db, sql, params, count, out);
}

err_t *auth_error(pool_t *pool, uint16_t status, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    str_t message = pool_vprintf(pool, format, args);
    va_end(args);
    err_family_t family = status >= 500   ? ERR_FAMILY_DATABASE
                          : status == 429 ? ERR_FAMILY_OVERLOAD
                                          : ERR_FAMILY_AUTH;
    return err_make(pool, status, family, code, "%.*s", STR_ARG(message));
}

/* Locks, deadlocks, resources, shutdown, lost connections, our statement timeout: worth another try. */
static bool is_passing_trouble(const err_t *err)
{
    static const char *const CODES[] = {"40001", "40P01", "55P03", "57014", "25P03", "PGRST"};
    static const char *const CLASSES[] = {"08", "53", "57"};
    if (err->status == 503 || err->status == 504)
        return true;
    for (size_t i = 0; i < sizeof(CODES) / sizeof(CODES[0]); i++)
        if (str_starts_with(err->code, str_from_c(CODES[i])))
            return true;
    for (size_t i = 0; i < sizeof(CLASSES) / sizeof(CLASSES[0]); i++)
        if (err->code.len == 5 && str_starts_with(err->code, str_from_c(CLASSES[i])))
            return true;
    return false;
}

err_t *auth_db_error(auth_scope_t *scope, err_t *err, const char *message)
{
    /* Our own refusals pass; what is left comes from the database room. */
    bool is_pool =
        err != NULL && err->family == ERR_FAMILY_OVERLOAD && str_starts_with(err->code, STR("PGRST"));
    bool is_database =
        err != NULL && err->family == ERR_FAMILY_DATABASE && !str_eq(err->code, STR("unexpected_failure"));
    if (!is_pool && !is_database)
        return err;
    if (is_passing_trouble(err))
        return auth_error(scope->pool, 503, "unexpected_failure",
                          "The database is not available, try again in a moment");
    observe(LOG_WARN, "auth_database_error", F_STR("code", err->code), F_STR("message", err->message));
    scope->pg_error = err;
    return auth_error(scope->pool, 500, "unexpected_failure", "%s", message);
}
