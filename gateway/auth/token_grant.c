#include "auth/address.h"
#include "auth/endpoints.h"
#include "auth/flow.h"
#include "auth/password.h"
#include "base/crypt.h"

/* Who signs in, and by which provider. */
typedef struct {
    str_t email, phone, password;
    const char *provider;
} login_t;

static str_t account_of(const login_t *login)
{
    return login->email.len > 0 ? login->email : login->phone;
}

static err_t *refuse_login(auth_call_t *call, const login_t *login)
{
    call_count_guess(call, account_of(login));
    return call_error(call, 400, "invalid_credentials", "Invalid login credentials");
}

static err_t *read_login(auth_call_t *call, login_t *out)
{
    const config_t *config = call->scope.config;
    *out = (login_t){.email = call_str(call, "email"),
                     .phone = call_str(call, "phone"),
                     .password = call_str(call, "password")};
    err_t *err = call_body_error(call);
    if (err != NULL)
        return err;
    if (out->email.len > 0 && out->phone.len > 0)
        return call_error(call, 400, "validation_failed",
                          "Only an email address or phone number should be provided on login.");
    if (out->email.len == 0 && out->phone.len == 0)
        return call_error(call, 400, "validation_failed", "missing email or phone");
    out->provider = out->email.len > 0 ? "email" : "phone";
    if (out->email.len > 0 && !config_bool(config, "GOTRUE_EXTERNAL_EMAIL_ENABLED"))
        return call_error(call, 422, "email_provider_disabled", "Email logins are disabled");
    if (out->phone.len > 0 && !config_bool(config, "GOTRUE_EXTERNAL_PHONE_ENABLED"))
        return call_error(call, 422, "phone_provider_disabled", "Phone logins are disabled");
    return NULL;
}

static err_t *find_login(auth_call_t *call, const login_t *login, auth_user_t **user)
{
    bool is_email = login->email.len > 0;
    str_t address =
        is_email ? address_lower(call->pool, login->email) : address_plain_phone(call->pool, login->phone);
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, is_email ? AUTH_BY_EMAIL : AUTH_BY_PHONE,
                             DB_PARAMS(address, call_audience(call)), false, user);
    auth_rollback(&call->scope); /* no connection in hand while hashing */
    return auth_db_error(&call->scope, err, "Database error querying schema");
}

static err_t *check_password(auth_call_t *call, const login_t *login, const auth_user_t *user)
{
    bool is_known = true;
    if (user == NULL || !auth_user_has_password(user)) {
        password_waste_time(call->pool, login->password);
        return refuse_login(call, login);
    }
    if (user->is_banned)
        return call_error(call, 400, "user_banned", "User is banned");
    bool is_right = password_verify(call->pool, login->password, user->encrypted_password, &is_known);
    if (!is_known)
        return call_error(call, 500, "unexpected_failure",
                          "The stored password has a format that is not supported");
    if (!is_right)
        return refuse_login(call, login);
    if (login->email.len > 0 && !auth_user_is_confirmed(user))
        return call_error(call, 400, "email_not_confirmed", "Email not confirmed");
    if (login->phone.len > 0 && str_is_null(user->phone_confirmed_at))
        return call_error(call, 400, "phone_not_confirmed", "Phone not confirmed");
    return NULL;
}

/* {"message","reasons"} when the right password is weak by today's rules, else the null string. */
static str_t weakness_of(auth_call_t *call, str_t password)
{
    buf_t out;
    emit_t emit;
    err_t *weak = password_check_strength(&call->scope, password);
    str_t prefix = STR("{\"weak_password\":{\"reasons\":");
    if (weak == NULL || !str_starts_with(weak->details_json, prefix))
        return STR_NULL;
    buf_init(&out, call->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "message", weak->message);
    emit_kv_raw(&emit, "reasons", str_slice(weak->details_json, prefix.len, weak->details_json.len - 2));
    emit_object_end(&emit);
    return buf_str(&out);
}

static err_t *open_session(auth_call_t *call, const login_t *login, auth_user_t *user)
{
    str_t json;
    auth_session_t session;
    auth_actor_t actor = auth_actor_of(call->pool, user);
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "login",
                         auth_trait(call->pool, "provider", str_from_c(login->provider)));
    if (err == NULL)
        err = auth_session_open(&call->scope, user, "password", &session);
    if (err == NULL)
        err = auth_session_json(&call->scope, user, &session, weakness_of(call, login->password), &json);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply_session(call, &session, json);
    return auth_db_error(&call->scope, err, "Database error granting user");
}

static err_t *grant_password(auth_call_t *call)
{
    login_t login;
    auth_user_t *user = NULL;
    err_t *err = read_login(call, &login);
    if (err == NULL)
        err = call_check_guesses(call, account_of(&login));
    if (err == NULL)
        err = find_login(call, &login, &user);
    if (err == NULL)
        err = check_password(call, &login, user);
    return err != NULL ? err : open_session(call, &login, user);
}

/* GoTrue's shape test: 12 characters of its alphabet, or base64url of its second format. */
static bool is_plausible(pool_t *pool, str_t token)
{
    str_t decoded;
    if (token.len < 12)
        return false;
    if (token.len > 12)
        return crypt_unbase64(pool, token, &decoded);
    for (size_t i = 0; i < token.len; i++)
        if (!((token.base[i] >= 'a' && token.base[i] <= 'z') ||
              (token.base[i] >= '0' && token.base[i] <= '9')))
            return false;
    return true;
}

static err_t *grant_refresh(auth_call_t *call)
{
    str_t json, token = call_str(call, "refresh_token");
    auth_session_t session;
    err_t *err = call_body_error(call);
    if (err == NULL && token.len == 0)
        err = call_error(call, 400, "validation_failed", "refresh_token required");
    if (err == NULL && !is_plausible(call->pool, token))
        err = call_error(call, 400, "validation_failed", "Refresh token is not valid");
    if (err == NULL)
        err = auth_session_refresh(&call->scope, token, &session, &json);
    if (err == NULL)
        call_reply_session(call, &session, json);
    return err;
}

err_t *token_endpoint(auth_call_t *call)
{
    str_t grant = call_param(call, "grant_type");
    bool is_refresh = str_eq(grant, STR("refresh_token"));
    /* A refused refresh ends the client's session, so this grant is not limited by an address that many may
     * share. */
    err_t *err = is_refresh ? NULL : call_limit(call, AUTH_LIMIT_TOKEN);
    if (err != NULL)
        return err;
    if (is_refresh)
        return grant_refresh(call);
    if (str_eq(grant, STR("password")))
        return grant_password(call);
    if (str_eq(grant, STR("pkce")))
        return flow_exchange(call);
    if (str_eq(grant, STR("id_token")))
        return call_error(call, 400, "provider_disabled", "Provider (issuer) is not enabled");
    if (str_eq(grant, STR("web3")))
        return call_error(call, 422, "web3_provider_disabled", "Web3 provider is disabled");
    return call_error(call, 400, "invalid_credentials", "unsupported_grant_type");
}
