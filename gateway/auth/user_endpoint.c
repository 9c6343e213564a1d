#include "auth/address.h"
#include "auth/email_change.h"
#include "auth/endpoints.h"
#include "auth/flow.h"
#include "auth/password.h"
#include "auth/send.h"
#include "base/clock.h"
#include "base/read_json.h"

#define RECENT_SIGN_IN_MS (24 * 3600 * 1000LL)

err_t *user_get_endpoint(auth_call_t *call)
{
    const json_t *aud = json_object_get(call->claims, "aud");
    if (json_is_array(aud))
        aud = json_array_get(aud, 0);
    if (!json_is_string(aud) || !str_eq(str_from_c(json_string_value(aud)), call_audience(call)))
        return call_error(call, 400, "validation_failed", "Token audience doesn't match request audience");
    call_reply(call, 200, auth_user_json(call->pool, call->user));
    return NULL;
}

/* The wished changes; null strings and NULL are absent. */
typedef struct {
    str_t email, phone, password, current_password, nonce, hash;
    bool has_password;
    const json_t *data;
    flow_params_t flow;
} change_t;

static err_t *read_change(auth_call_t *call, change_t *out)
{
    *out = (change_t){.email = call_str(call, "email"),
                      .phone = call_str(call, "phone"),
                      .password = call_str(call, "password"),
                      .current_password = call_str(call, "current_password"),
                      .nonce = call_str(call, "nonce"),
                      .data = call_object(call, "data")};
    bool has_app_data = call_object(call, "app_metadata") != NULL;
    out->has_password = !str_is_null(out->password);
    err_t *err = call_body_error(call);
    if (err == NULL && out->email.len > 0)
        err = address_check_email(call->pool, out->email, &out->email);
    if (err == NULL && out->phone.len > 0)
        err = address_check_phone(call->pool, out->phone, &out->phone);
    if (err == NULL && out->has_password)
        err = password_check_strength(&call->scope, out->password);
    if (err == NULL)
        err = flow_read(call, &out->flow);
    if (err == NULL && has_app_data)
        err = call_error(call, 403, "not_admin", "Updating app_metadata requires admin privileges");
    return err;
}

static err_t *check_rights(auth_call_t *call, const change_t *change)
{
    const auth_user_t *user = call->user;
    bool moves_email = change->email.len > 0 && !str_eq(change->email, user->email);
    bool moves_phone = change->phone.len > 0 && !str_eq(change->phone, user->phone);
    bool touches_login = change->has_password || moves_email || moves_phone;
    if (user->has_verified_factor && !str_eq(call->session_aal, STR("aal2")) && touches_login)
        return call_error(call, 401, "insufficient_aal",
                          "AAL2 session is required to update email or password when MFA is enabled.");
    if (user->is_anonymous && change->has_password && change->email.len == 0 && change->phone.len == 0)
        return call_error(call, 422, "validation_failed",
                          "Updating password of an anonymous user without an email or phone is not allowed");
    if (user->is_sso && (touches_login || change->nonce.len > 0))
        return call_error(call, 422, "user_sso_managed",
                          "Updating email, phone, password of a SSO account only possible via SSO");
    if (moves_phone) /* no SMS driver: nobody could confirm the number */
        return call_error(call, 400, "phone_provider_disabled", "Phone logins are disabled");
    return NULL;
}

static err_t *check_email_is_free(auth_call_t *call, const change_t *change)
{
    auth_user_t *other = NULL;
    if (change->email.len == 0 || str_eq(change->email, call->user->email))
        return NULL;
    err_t *err = auth_user_find(&call->scope, AUTH_BY_EMAIL_IDENTITY,
                                DB_PARAMS(change->email, call_audience(call), call->user->id), false, &other);
    if (err == NULL && other != NULL)
        err = call_error(call, 422, "email_exists",
                         "A user with this email address has already been registered");
    return err;
}

static err_t *check_nonce(auth_call_t *call, const change_t *change)
{
    const auth_user_t *user = call->user;
    bool is_recent =
        !str_is_null(call->session_id) && clock_unix_ms() <= call->session_created_ms + RECENT_SIGN_IN_MS;
    if (!config_bool(call->scope.config, "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION") ||
        is_recent)
        return NULL;
    if (change->nonce.len == 0)
        return call_error(call, 400, "reauthentication_needed", "Password update requires reauthentication");
    str_t hash = one_time_hash(call->pool, user->email, change->nonce);
    if (!one_time_is_fresh(&call->scope, user->reauthentication_sent_ms) ||
        !one_time_matches(user->reauthentication_token, hash)) {
        call_count_guess(call, call->user->id);
        return call_error(call, 422, "reauthentication_not_valid", "Nonce has expired or is invalid");
    }
    return one_time_clear(&call->scope, user->id, ONE_TIME_REAUTHENTICATION);
}

/* A session that came by a mailed code is how a forgotten password is replaced. */
static err_t *is_recovery_session(auth_call_t *call, bool *out)
{
    db_rows_t rows;
    *out = false;
    if (str_is_null(call->session_id))
        return NULL;
    err_t *err = auth_query(
        &call->scope,
        STR("select from auth.mfa_amr_claims where session_id = $1::uuid and authentication_method in "
            "('otp', 'magiclink', 'recovery') limit 1"),
        &call->session_id, 1, &rows);
    *out = err == NULL && rows.row_count > 0;
    return err;
}

static err_t *check_current_password(auth_call_t *call, const change_t *change, bool is_recovery)
{
    str_t stored = call->user->encrypted_password;
    if (stored.len == 0)
        return NULL;
    if (config_bool(call->scope.config, "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_CURRENT_PASSWORD") &&
        !is_recovery) {
        if (change->current_password.len == 0)
            return call_error(call, 400, "current_password_required",
                              "Current password required when setting new password.");
        if (!password_verify(call->pool, change->current_password, stored, NULL)) {
            call_count_guess(call, call->user->id);
            return call_error(call, 400, "current_password_invalid",
                              "Current password required when setting new password.");
        }
    }
    if (password_verify(call->pool, change->password, stored, NULL))
        return call_error(call, 422, "same_password",
                          "New password should be different from the old password.");
    return NULL;
}

/* Hashing happens without a connection in hand. */
static err_t *prepare_password(auth_call_t *call, change_t *change)
{
    bool is_recovery = false;
    if (!change->has_password)
        return NULL;
    err_t *err = call_check_guesses(call, call->user->id);
    if (err == NULL)
        err = check_nonce(call, change);
    if (err == NULL)
        err = is_recovery_session(call, &is_recovery);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        err = check_current_password(call, change, is_recovery);
    if (err != NULL)
        return err;
    change->hash = password_hash(call->pool, change->password);
    if (str_is_null(change->hash))
        return call_error(call, 500, "unexpected_failure", "Error during password storage");
    return auth_begin(&call->scope);
}

static err_t *change_email(auth_call_t *call, const change_t *change)
{
    const auth_user_t *user = call->user;
    if (change->email.len == 0 || str_eq(change->email, user->email))
        return NULL;
    if (user->is_anonymous && config_bool(call->scope.config, "GOTRUE_MAILER_AUTOCONFIRM"))
        return email_change_apply(&call->scope, user, change->email);
    err_t *err = flow_create(call, &change->flow, user->id, "email_change", "email_change");
    return err != NULL ? err : send_email_change(call, user, change->email, change->flow.is_pkce);
}

static err_t *apply(auth_call_t *call, const change_t *change)
{
    auth_scope_t *scope = &call->scope;
    auth_actor_t actor = auth_actor_of(call->pool, call->user);
    err_t *err = NULL;
    if (change->has_password) {
        err = auth_user_set_password(scope, call->user->id, change->hash, call->session_id);
        if (err == NULL)
            err = auth_audit(scope, &actor, "user_updated_password", STR_NULL);
    }
    if (err == NULL && change->data != NULL)
        err = auth_user_merge_metadata(scope, call->user->id, "raw_user_meta_data", change->data);
    if (err == NULL)
        err = change_email(call, change);
    if (err == NULL)
        err = auth_audit(scope, &actor, "user_modified", STR_NULL);
    if (err == NULL)
        err = auth_user_reload(scope, &call->user);
    return err != NULL ? err : auth_commit(scope);
}

err_t *user_put_endpoint(auth_call_t *call)
{
    change_t change;
    err_t *err = read_change(call, &change);
    if (err == NULL)
        err = check_rights(call, &change);
    if (err == NULL)
        err = check_email_is_free(call, &change);
    if (err == NULL)
        err = prepare_password(call, &change);
    if (err == NULL)
        err = apply(call, &change);
    if (err == NULL)
        call_reply(call, 200, auth_user_json(call->pool, call->user));
    return auth_db_error(&call->scope, err, "Error updating user");
}
