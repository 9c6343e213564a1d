#include "auth/signup.h"

#include "auth/address.h"
#include "auth/password.h"
#include "auth/send.h"
#include "base/clock.h"
#include "base/rand.h"
#include "base/read_json.h"

#define EMAIL_APP_METADATA "{\"provider\":\"email\",\"providers\":[\"email\"]}"

static str_t data_text(auth_call_t *call, const json_t *data)
{
    return data == NULL ? STR("{}") : read_json_dump(call->pool, data);
}

/* The identity's data: subject, address and two flags, then the members of `data` that collide with none of
 * them. */
static json_t *make_identity_data(str_t user_id, str_t email, const json_t *data, bool with_nulls)
{
    const char *key;
    json_t *value;
    json_t *out = json_pack("{s:s%, s:s%, s:b, s:b}", "sub", user_id.base, user_id.len, "email", email.base,
                            email.len, "email_verified", 0, "phone_verified", 0);
    json_object_foreach((json_t *)data, key, value)
    {
        if (json_object_get(out, key) == NULL && (with_nulls || !json_is_null(value)))
            json_object_set(out, key, value);
    }
    return out;
}

static err_t *insert_identity(auth_call_t *call, const auth_user_t *user, const json_t *data, bool is_self)
{
    json_t *identity = make_identity_data(user->id, user->email, is_self ? data : NULL, false);
    json_t *metadata = make_identity_data(user->id, user->email, data, true);
    err_t *err =
        auth_identity_insert(&call->scope, user->id, STR("email"), read_json_dump(call->pool, identity));
    if (err == NULL && is_self) /* nulls in `data` take their keys away */
        err = auth_user_merge_metadata(&call->scope, user->id, "raw_user_meta_data", metadata);
    json_decref(identity);
    json_decref(metadata);
    return err;
}

err_t *signup_insert(auth_call_t *call, str_t email, str_t hash, const json_t *data, bool is_self,
                     auth_user_t **out)
{
    auth_new_user_t fresh = {.id = STR_NULL,
                             .email = email,
                             .phone = STR_NULL,
                             .password_hash = hash,
                             .aud = call_audience(call),
                             .app_metadata = STR(EMAIL_APP_METADATA),
                             .user_metadata = data_text(call, data)};
    str_t role = config_str(call->scope.config, "GOTRUE_JWT_DEFAULT_GROUP_NAME");
    err_t *err = auth_user_insert(&call->scope, &fresh, str_is_null(role) ? STR("") : role, out);
    if (err == NULL)
        err = insert_identity(call, *out, data, is_self);
    return err != NULL ? err : auth_user_reload(&call->scope, out);
}

static err_t *mail_confirmation(auth_call_t *call, const signup_t *params, auth_user_t **user)
{
    auth_actor_t actor = auth_actor_of(call->pool, *user);
    err_t *err = auth_audit(&call->scope, &actor, "user_confirmation_requested",
                            auth_trait(call->pool, "provider", STR("email")));
    if (err == NULL)
        err = flow_create(call, &params->flow, (*user)->id, "email", "email/signup");
    if (err == NULL)
        err = send_confirmation(call, *user, params->flow.is_pkce);
    return err != NULL ? err : auth_user_reload(&call->scope, user);
}

static err_t *confirm_at_once(auth_call_t *call, auth_user_t **user)
{
    auth_actor_t actor = auth_actor_of(call->pool, *user);
    err_t *err =
        auth_audit(&call->scope, &actor, "user_signedup", auth_trait(call->pool, "provider", STR("email")));
    if (err == NULL)
        err = auth_user_confirm_email(&call->scope, (*user)->id);
    return err != NULL ? err : auth_user_reload(&call->scope, user);
}

static err_t *finish(auth_call_t *call, const signup_t *params, auth_user_t **user)
{
    bool is_autoconfirmed = config_bool(call->scope.config, "GOTRUE_MAILER_AUTOCONFIRM");
    err_t *err = is_autoconfirmed ? confirm_at_once(call, user) : mail_confirmation(call, params, user);
    return err != NULL ? err : auth_commit(&call->scope);
}

/* The address has an account. Unconfirmed and not autoconfirmed: the mail goes out again, nothing else
 * changes. Autoconfirmed: only who knows the password gets on with it (GoTrue hands out a session to
 * anybody). */
static err_t *meet_existing(auth_call_t *call, const signup_t *params, auth_user_t **user, bool *is_taken)
{
    bool is_autoconfirmed = config_bool(call->scope.config, "GOTRUE_MAILER_AUTOCONFIRM");
    *is_taken = auth_user_is_confirmed(*user);
    if (*is_taken || is_autoconfirmed) {
        auth_rollback(&call->scope);
        bool knows_password =
            password_verify(call->pool, params->password, (*user)->encrypted_password, NULL);
        *is_taken = *is_taken || !knows_password;
        err_t *err = auth_begin(&call->scope);
        if (err != NULL)
            return err;
    }
    if (!*is_taken)
        return finish(call, params, user);
    auth_actor_t actor = auth_actor_of(call->pool, *user);
    err_t *err = auth_audit(&call->scope, &actor, "user_repeated_signup",
                            auth_trait(call->pool, "provider", STR("email")));
    return err != NULL ? err : auth_commit(&call->scope);
}

static err_t *create(auth_call_t *call, const signup_t *params, auth_user_t **user, bool *is_taken)
{
    auth_rollback(&call->scope); /* hashing takes its time: not with a connection in hand */
    str_t hash = password_hash(call->pool, params->password);
    if (str_is_null(hash))
        return call_error(call, 500, "unexpected_failure", "Database error creating user");
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = signup_insert(call, params->email, hash, params->data, true, user);
    if (err == NULL)
        return finish(call, params, user);
    auth_rollback(&call->scope);
    *is_taken = str_eq(err->code, STR("23505")) &&
                str_find(err->message, STR("users_email_partial_key"), 0) != SIZE_MAX;
    return *is_taken ? NULL : auth_db_error(&call->scope, err, "Database error saving new user");
}

err_t *signup_run(auth_call_t *call, const signup_t *params, auth_user_t **user, bool *is_taken)
{
    *user = NULL;
    *is_taken = false;
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_EMAIL_IDENTITY,
                             DB_PARAMS(params->email, call_audience(call), STR("")), false, user);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Database error finding user");
    return *user != NULL ? meet_existing(call, params, user, is_taken) : create(call, params, user, is_taken);
}

/* An answer that looks like a fresh account, so that strangers cannot tell which addresses have one. */
static void reply_fake_user(auth_call_t *call, const signup_t *params)
{
    str_t now = clock_iso8601(call->pool, clock_unix_ms());
    auth_user_t fake = {.id = rand_uuid(call->pool),
                        .aud = call_audience(call),
                        .role = STR(""),
                        .email = params->email,
                        .phone = STR(""),
                        .confirmation_sent_at = now,
                        .created_at = now,
                        .updated_at = now,
                        .app_metadata = STR(EMAIL_APP_METADATA),
                        .user_metadata = data_text(call, params->data),
                        .identities = STR("[]")};
    call_reply(call, 200, auth_user_json(call->pool, &fake));
}

static err_t *reply_session(auth_call_t *call, auth_user_t *user)
{
    str_t json;
    auth_session_t session;
    auth_actor_t actor = auth_actor_of(call->pool, user);
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "login", auth_trait(call->pool, "provider", STR("email")));
    if (err == NULL)
        err = auth_session_open(&call->scope, user, "password", &session);
    if (err == NULL)
        err = auth_session_json(&call->scope, user, &session, STR_NULL, &json);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply_session(call, &session, json);
    return err;
}

static err_t *reply(auth_call_t *call, const signup_t *params, auth_user_t *user, bool is_taken)
{
    if (is_taken && config_bool(call->scope.config, "GOTRUE_MAILER_AUTOCONFIRM"))
        return call_error(call, 422, "user_already_exists", "User already registered");
    if (is_taken) {
        reply_fake_user(call, params);
        return NULL;
    }
    if (auth_user_is_confirmed(user))
        return reply_session(call, user);
    if (!str_is_null(user->invited_at)) {
        user->user_metadata = STR("{}");
        user->identities = STR("[]");
    }
    call_reply(call, 200, auth_user_json(call->pool, user));
    return NULL;
}

static err_t *sign_up_anonymously(auth_call_t *call)
{
    auth_user_t *user = NULL;
    str_t json, role = config_str(call->scope.config, "GOTRUE_JWT_DEFAULT_GROUP_NAME");
    const json_t *data = call_object(call, "data");
    auth_session_t session;
    err_t *err = call_body_error(call);
    if (err == NULL && !config_bool(call->scope.config, "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED"))
        err = call_error(call, 422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled");
    if (err == NULL)
        err = call_limit(call, AUTH_LIMIT_ANONYMOUS);
    if (err == NULL && config_bool(call->scope.config, "GOTRUE_DISABLE_SIGNUP"))
        err = call_error(call, 422, "signup_disabled", "Signups not allowed for this instance");
    auth_new_user_t fresh = {.aud = call_audience(call),
                             .app_metadata = STR("{}"),
                             .user_metadata = data_text(call, data),
                             .is_anonymous = true};
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_db_error(&call->scope,
                            auth_user_insert(&call->scope, &fresh, str_is_null(role) ? STR("") : role, &user),
                            "Database error creating anonymous user");
    if (err == NULL)
        err = auth_session_open(&call->scope, user, "anonymous", &session);
    if (err == NULL)
        err = auth_session_json(&call->scope, user, &session, STR_NULL, &json);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply_session(call, &session, json);
    return err;
}

static err_t *read_params(auth_call_t *call, signup_t *out)
{
    str_t email = call_str(call, "email"), phone = call_str(call, "phone");
    *out = (signup_t){.password = call_str(call, "password"), .data = call_object(call, "data")};
    err_t *err = call_body_error(call);
    if (err == NULL && config_bool(call->scope.config, "GOTRUE_DISABLE_SIGNUP"))
        err = call_error(call, 422, "signup_disabled", "Signups not allowed for this instance");
    if (err == NULL && out->password.len == 0)
        err = call_error(call, 400, "validation_failed", "Signup requires a valid password");
    if (err == NULL)
        err = password_check_strength(&call->scope, out->password);
    if (err == NULL && email.len > 0 && phone.len > 0)
        err = call_error(call, 400, "validation_failed",
                         "Only an email address or phone number should be provided on signup.");
    if (err == NULL && phone.len > 0 && call_str(call, "code_challenge").len > 0)
        err = call_error(call, 400, "validation_failed", "PKCE not supported for phone signups");
    if (err == NULL)
        err = flow_read(call, &out->flow);
    if (err == NULL && phone.len > 0) /* no SMS driver: nobody could confirm the number */
        err = call_error(call, 400, "phone_provider_disabled", "Phone signups are disabled");
    if (err == NULL && !config_bool(call->scope.config, "GOTRUE_EXTERNAL_EMAIL_ENABLED"))
        err = call_error(call, 400, "email_provider_disabled", "Email signups are disabled");
    return err != NULL ? err : address_check_email(call->pool, email, &out->email);
}

err_t *signup_endpoint(auth_call_t *call)
{
    signup_t params;
    auth_user_t *user = NULL;
    bool is_taken = false;
    if (call_str(call, "email").len == 0 && call_str(call, "phone").len == 0 && call_body_error(call) == NULL)
        return sign_up_anonymously(call);
    err_t *err = call_limit(call, AUTH_LIMIT_OTP);
    if (err == NULL)
        err = read_params(call, &params);
    if (err == NULL)
        err = signup_run(call, &params, &user, &is_taken);
    return err != NULL ? err : reply(call, &params, user, is_taken);
}
