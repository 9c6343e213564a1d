#include "auth/flow.h"

#include "base/clock.h"
#include "base/crypt.h"

#define FLOW_LIFE_MS 300000

static bool is_challenge(str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
        if (!is_fine)
            return false;
    }
    return text.len >= 43 && text.len <= 128;
}

err_t *flow_read(auth_call_t *call, flow_params_t *out)
{
    *out = (flow_params_t){.challenge = call_str(call, "code_challenge"),
                           .method = call_str(call, "code_challenge_method")};
    bool has_challenge = out->challenge.len > 0, has_method = out->method.len > 0;
    if (!has_challenge && !has_method)
        return NULL;
    if (has_challenge != has_method)
        return call_error(call, 400, "validation_failed",
                          "PKCE flow requires code_challenge_method and code_challenge");
    if (!str_eq_nocase(out->method, STR("s256")) && !str_eq_nocase(out->method, STR("plain")))
        return call_error(call, 400, "validation_failed", "code challenge method not supported");
    if (!is_challenge(out->challenge))
        return call_error(
            call, 400, "validation_failed",
            "code challenge has to be between 43 and 128 characters of letters, digits and -._~");
    out->method = str_eq_nocase(out->method, STR("s256")) ? STR("s256") : STR("plain");
    out->is_pkce = true;
    return NULL;
}

err_t *flow_create(auth_call_t *call, const flow_params_t *params, str_t user_id, const char *provider,
                   const char *method)
{
    if (!params->is_pkce)
        return NULL;
    return auth_query(
        &call->scope,
        STR("insert into auth.flow_state (id, user_id, auth_code, code_challenge_method, code_challenge, "
            "provider_type, authentication_method, created_at, updated_at) values (gen_random_uuid(), "
            "$1::uuid, "
            "gen_random_uuid()::text, $2::auth.code_challenge_method, $3, $4, $5, now(), now())"),
        DB_PARAMS(user_id, params->method, params->challenge, str_from_c(provider), str_from_c(method)),
        NULL);
}

err_t *flow_issue_code(auth_call_t *call, str_t user_id, const char *method, str_t *code)
{
    db_rows_t rows;
    err_t *err = auth_query(
        &call->scope,
        STR("update auth.flow_state set auth_code_issued_at = now(), updated_at = now() where id = (select "
            "id from auth.flow_state where user_id = $1::uuid and authentication_method = $2 order by "
            "created_at desc limit 1) returning auth_code"),
        DB_PARAMS(user_id, str_from_c(method)), &rows);
    if (err != NULL)
        return err;
    if (rows.row_count == 0)
        return call_error(call, 400, "flow_state_not_found", "No associated flow state found.");
    *code = db_value(&rows, 0, 0);
    return NULL;
}

bool flow_verifier_fits(pool_t *pool, str_t method, str_t challenge, str_t verifier)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    if (str_eq(method, STR("plain")))
        return crypt_equal(challenge, verifier);
    crypt_sha256(verifier, digest);
    return crypt_equal(challenge, crypt_base64url(pool, str_make((const char *)digest, sizeof(digest))));
}

/* A flow as the exchange needs it. */
typedef struct {
    str_t id, user_id, challenge, challenge_method, method, provider;
    int64_t started_ms;
} flow_t;

static err_t *find_flow(auth_call_t *call, str_t code, flow_t *out)
{
    db_rows_t rows;
    err_t *err = auth_query(
        &call->scope,
        STR("select id, user_id, code_challenge, code_challenge_method, authentication_method, "
            "provider_type, "
            "(extract(epoch from case when authentication_method = 'magiclink' then "
            "coalesce(auth_code_issued_at, created_at) "
            "else created_at end) * 1000)::bigint from auth.flow_state where auth_code = $1 for update"),
        &code, 1, &rows);
    if (err != NULL)
        return err;
    if (rows.row_count == 0 || str_is_null(db_value(&rows, 0, 1)))
        return call_error(call, 404, "flow_state_not_found", "invalid flow state, no valid flow state found");
    *out = (flow_t){.id = db_value(&rows, 0, 0),
                    .user_id = db_value(&rows, 0, 1),
                    .challenge = db_value(&rows, 0, 2),
                    .challenge_method = db_value(&rows, 0, 3),
                    .method = db_value(&rows, 0, 4),
                    .provider = db_value(&rows, 0, 5)};
    return str_to_int64(db_value(&rows, 0, 6), &out->started_ms) ? NULL
                                                                 : err_bug(call->pool, "flow without a time");
}

static err_t *exchange(auth_call_t *call, str_t code, str_t verifier, auth_session_t *session, str_t *json)
{
    flow_t flow;
    auth_user_t *user = NULL;
    err_t *err = find_flow(call, code, &flow);
    if (err != NULL)
        return err;
    if (clock_unix_ms() > flow.started_ms + FLOW_LIFE_MS)
        return call_error(call, 422, "flow_state_expired", "invalid flow state, flow state has expired");
    if (!flow_verifier_fits(call->pool, flow.challenge_method, flow.challenge, verifier))
        return call_error(call, 400, "bad_code_verifier",
                          "code challenge does not match previously saved code verifier");
    err = auth_user_find(&call->scope, AUTH_BY_ID, &flow.user_id, 1, false, &user);
    if (err == NULL && (user == NULL || user->is_banned))
        err = call_error(call, 404, "user_not_found", "User not found");
    if (err != NULL)
        return err;
    auth_actor_t actor = auth_actor_of(call->pool, user);
    err = auth_audit(&call->scope, &actor, "login", auth_trait(call->pool, "provider_type", flow.provider));
    if (err == NULL)
        err = auth_query(&call->scope, STR("delete from auth.flow_state where id = $1::uuid"), &flow.id, 1,
                         NULL);
    if (err == NULL)
        err = auth_session_open(&call->scope, user, pool_cstr(call->pool, flow.method), session);
    return err != NULL ? err : auth_session_json(&call->scope, user, session, STR_NULL, json);
}

err_t *flow_exchange(auth_call_t *call)
{
    str_t json, code = call_str(call, "auth_code"), verifier = call_str(call, "code_verifier");
    auth_session_t session;
    err_t *err = call_body_error(call);
    if (err == NULL && (code.len == 0 || verifier.len == 0))
        err = call_error(call, 400, "validation_failed",
                         "invalid request: both auth code and code verifier should be non-empty");
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = exchange(call, code, verifier, &session, &json);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply_session(call, &session, json);
    return err;
}
