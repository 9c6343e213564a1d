#include "auth/session.h"

#include "auth/audit.h"
#include "base/clock.h"
#include "base/rand.h"

#define REFRESH_TOKEN_LEN 12

/* 12 characters of a-z and 0-9, as GoTrue's first format. */
static str_t make_refresh_token(pool_t *pool)
{
    static const char ALPHABET[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char token[REFRESH_TOKEN_LEN];
    for (size_t i = 0; i < sizeof(token); i++) {
        uint8_t byte;
        do
            rand_bytes(&byte, 1);
        while (byte >= 252); /* 7 x 36 */
        token[i] = ALPHABET[byte % 36];
    }
    return pool_str(pool, str_make(token, sizeof(token)));
}

static str_t make_amr(pool_t *pool, const char *method)
{
    return pool_printf(pool, "[{\"method\":\"%s\",\"timestamp\":%lld}]", method, (long long)clock_unix());
}

err_t *auth_session_open(auth_scope_t *scope, auth_user_t *user, const char *method, auth_session_t *out)
{
    db_rows_t rows;
    *out = (auth_session_t){.session_id = rand_uuid(scope->pool),
                            .refresh_token = make_refresh_token(scope->pool),
                            .aal = STR("aal1"),
                            .amr = make_amr(scope->pool, method)};
    err_t *err = auth_query(
        scope,
        STR("with s as (insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip) "
            "values ($1::uuid, $2::uuid, now(), now(), 'aal1', $3, $4::inet)), "
            "r as (insert into auth.refresh_tokens (instance_id, token, user_id, revoked, session_id, "
            "created_at, updated_at) "
            "values ('" AUTH_ZERO_UUID "', $5, ($2::uuid)::text, false, $1::uuid, now(), now())), "
            "a as (insert into auth.mfa_amr_claims (id, session_id, authentication_method, created_at, "
            "updated_at) "
            "values (gen_random_uuid(), $1::uuid, $6, now(), now())) "
            "update auth.users u set last_sign_in_at = now(), updated_at = now() where id = $2::uuid "
            "returning " AUTH_SQL_TIME("u.last_sign_in_at")),
        DB_PARAMS(out->session_id, user->id, scope->user_agent, scope->client_addr, out->refresh_token,
                  str_from_c(method)),
        &rows);
    if (err == NULL && rows.row_count == 1)
        user->last_sign_in_at = user->updated_at = db_value(&rows, 0, 0);
    return err;
}

err_t *auth_session_read(auth_scope_t *scope, str_t session_id, auth_session_t *out)
{
    db_rows_t rows;
    err_t *err = auth_query(
        scope,
        STR("select coalesce(json_agg(json_build_object('method', a.authentication_method, 'timestamp', "
            "extract(epoch from a.updated_at)::bigint) order by a.updated_at desc), '[]'), "
            "coalesce(bool_or(a.authentication_method in ('totp', 'mfa/phone', 'mfa/webauthn')), false) "
            "from auth.mfa_amr_claims a where a.session_id = $1::uuid"),
        &session_id, 1, &rows);
    if (err != NULL)
        return err;
    out->session_id = session_id;
    out->amr = db_value(&rows, 0, 0);
    out->aal = str_eq(db_value(&rows, 0, 1), STR("t")) ? STR("aal2") : STR("aal1");
    return NULL;
}

err_t *auth_session_add_method(auth_scope_t *scope, str_t session_id, const char *method)
{
    return auth_query(
        scope,
        STR("insert into auth.mfa_amr_claims (id, session_id, authentication_method, created_at, updated_at) "
            "values (gen_random_uuid(), $1::uuid, $2, now(), now()) on conflict (session_id, "
            "authentication_method) do update set updated_at = excluded.updated_at"),
        DB_PARAMS(session_id, str_from_c(method)), NULL);
}

err_t *auth_refresh_token_insert(auth_scope_t *scope, str_t user_id, str_t session_id, str_t parent,
                                 str_t *token)
{
    *token = make_refresh_token(scope->pool);
    err_t *err = NULL;
    if (!str_is_null(parent))
        err = auth_query(
            scope, STR("update auth.refresh_tokens set revoked = true, updated_at = now() where token = $1"),
            &parent, 1, NULL);
    if (err == NULL)
        err = auth_query(
            scope,
            STR("insert into auth.refresh_tokens (instance_id, token, user_id, revoked, parent, session_id, "
                "created_at, updated_at) values ('" AUTH_ZERO_UUID
                "', $1, $2, false, $3, $4::uuid, now(), now())"),
            DB_PARAMS(*token, user_id, parent, session_id), NULL);
    return err;
}

static str_t issuer_of(auth_scope_t *scope)
{
    str_t issuer = config_str(scope->config, "GOTRUE_JWT_ISSUER");
    if (!str_is_null(issuer))
        return issuer;
    str_t external = config_str(scope->config, "API_EXTERNAL_URL");
    while (str_ends_with(external, STR("/")))
        external = str_slice(external, 0, external.len - 1);
    return pool_concat(scope->pool, 2, external, STR("/auth/v1"));
}

static str_t make_claims(auth_scope_t *scope, const auth_user_t *user, const auth_session_t *session,
                         int64_t issued_at, int64_t expires_at)
{
    buf_t out;
    emit_t emit;
    str_t issuer = issuer_of(scope);
    buf_init(&out, scope->pool, 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    if (issuer.len > 0)
        emit_kv_string(&emit, "iss", issuer);
    emit_kv_string(&emit, "sub", user->id);
    emit_kv_string(&emit, "aud", user->aud);
    emit_kv_int(&emit, "exp", expires_at);
    emit_kv_int(&emit, "iat", issued_at);
    emit_kv_string(&emit, "email", user->email);
    emit_kv_string(&emit, "phone", user->phone);
    emit_kv_raw(&emit, "app_metadata", user->app_metadata);
    emit_kv_raw(&emit, "user_metadata", user->user_metadata);
    emit_kv_string(&emit, "role", user->role);
    emit_kv_string(&emit, "aal", session->aal);
    emit_kv_raw(&emit, "amr", session->amr);
    emit_kv_string(&emit, "session_id", session->session_id);
    emit_kv_bool(&emit, "is_anonymous", user->is_anonymous);
    emit_object_end(&emit);
    return buf_str(&out);
}

err_t *auth_session_json(auth_scope_t *scope, const auth_user_t *user, auth_session_t *session,
                         str_t weak_password, str_t *json)
{
    buf_t out;
    emit_t emit;
    int64_t now = clock_unix(), life = config_int(scope->config, "GOTRUE_JWT_EXP");
    str_t claims = make_claims(scope, user, session, now, now + life);
    session->access_token = token_sign(scope->gateway->tokens, scope->pool, claims);
    if (str_is_null(session->access_token))
        return auth_error(scope->pool, 500, "unexpected_failure", "error generating jwt token");
    session->expires_at = now + life;
    buf_init(&out, scope->pool, 2048);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "access_token", session->access_token);
    emit_kv_string(&emit, "token_type", STR("bearer"));
    emit_kv_int(&emit, "expires_in", life);
    emit_kv_int(&emit, "expires_at", now + life);
    emit_kv_string(&emit, "refresh_token", session->refresh_token);
    emit_kv_raw(&emit, "user", auth_user_json(scope->pool, user));
    if (!str_is_null(weak_password))
        emit_kv_raw(&emit, "weak_password", weak_password);
    emit_object_end(&emit);
    *json = buf_str(&out);
    return NULL;
}

err_t *auth_session_start(auth_scope_t *scope, auth_user_t *user, const char *method, str_t *json)
{
    auth_session_t session;
    err_t *err = auth_session_open(scope, user, method, &session);
    return err != NULL ? err : auth_session_json(scope, user, &session, STR_NULL, json);
}

static err_t *start_for_id(auth_scope_t *scope, str_t user_id, const char *method, str_t *json)
{
    auth_user_t *user = NULL;
    err_t *err = auth_user_find(scope, AUTH_BY_ID, &user_id, 1, false, &user);
    if (err != NULL)
        return err;
    if (user == NULL)
        return auth_error(scope->pool, 404, "user_not_found", "User not found");
    if (user->is_banned)
        return auth_error(scope->pool, 403, "user_banned", "User is banned");
    auth_actor_t actor = auth_actor_of(scope->pool, user);
    err = auth_audit(scope, &actor, "login", auth_trait(scope->pool, "provider", str_from_c(method)));
    if (err == NULL)
        err = auth_session_start(scope, user, method, json);
    return err != NULL ? err : auth_commit(scope);
}

err_t *auth_session_for_user(gateway_t *gateway, pool_t *pool, str_t user_id, const char *method,
                             str_t client_addr, str_t user_agent, str_t *json)
{
    auth_scope_t scope;
    auth_scope_init(&scope, gateway, pool, client_addr, user_agent);
    if (!str_is_uuid(user_id))
        return auth_error(pool, 404, "user_not_found", "User not found");
    err_t *err = auth_begin(&scope);
    if (err == NULL)
        err = start_for_id(&scope, user_id, method, json);
    auth_rollback(&scope);
    return auth_db_error(&scope, err, "Database error granting user");
}

static void add_cookie(api_task_t *task, str_t access_token, int64_t max_age)
{
    str_t value = pool_printf(task->pool,
                              AUTH_SESSION_COOKIE
                              "=%.*s; Path=/executor/v1/; Max-Age=%lld; HttpOnly; SameSite=Strict%s",
                              STR_ARG(access_token), (long long)max_age, task->is_tls ? "; Secure" : "");
    api_task_add_header(task, STR("set-cookie"), value);
}

void auth_session_mark_reply(api_task_t *task, const auth_session_t *session)
{
    add_cookie(task, session->access_token, config_int(task->gateway->config, "GOTRUE_JWT_EXP"));
    api_task_add_header(task, STR("cache-control"), STR("no-store"));
}

void auth_session_clear_cookie(api_task_t *task)
{
    add_cookie(task, STR(""), 0);
}
