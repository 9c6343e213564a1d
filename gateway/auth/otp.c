#include "auth/address.h"
#include "auth/endpoints.h"
#include "auth/password.h"
#include "auth/send.h"
#include "auth/signup.h"

static err_t *find_account(auth_call_t *call, str_t email, auth_user_t **user)
{
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_EMAIL, DB_PARAMS(email, call_audience(call)), false, user);
    auth_rollback(&call->scope);
    return auth_db_error(&call->scope, err, "Database error finding user");
}

/* No confirmed account yet: signs up with a password that nobody knows. The confirmation mail serves as the
 * link; with autoconfirm the link follows in a mail of its own. No session comes of this: the caller has
 * proved nothing. */
static err_t *sign_up(auth_call_t *call, str_t email, const flow_params_t *flow, auth_user_t **user)
{
    bool is_taken = false;
    signup_t params = {.email = email, .data = call_object(call, "data"), .flow = *flow};
    params.password = str_slice(password_random(call->pool), 0, 33);
    if (config_bool(call->scope.config, "GOTRUE_DISABLE_SIGNUP"))
        return call_error(call, 422, "signup_disabled", "Signups not allowed for this instance");
    return signup_run(call, &params, user, &is_taken);
}

static err_t *send_link(auth_call_t *call, auth_user_t *user, const flow_params_t *flow)
{
    auth_actor_t actor = auth_actor_of(call->pool, user);
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = flow_create(call, flow, user->id, "magiclink", "magiclink");
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "user_recovery_requested", STR_NULL);
    if (err == NULL)
        err = send_recovery(call, user, MAIL_MAGIC_LINK, flow->is_pkce);
    return err != NULL ? err : auth_commit(&call->scope);
}

err_t *magic_link_endpoint(auth_call_t *call)
{
    str_t email = call_str(call, "email");
    flow_params_t flow;
    auth_user_t *user = NULL;
    err_t *err = call_body_error(call);
    if (err == NULL && !config_bool(call->scope.config, "GOTRUE_EXTERNAL_EMAIL_ENABLED"))
        err = call_error(call, 422, "email_provider_disabled", "Email logins are disabled");
    if (err == NULL && !config_bool(call->scope.config, "GOTRUE_EXTERNAL_EMAIL_MAGIC_LINK_ENABLED"))
        err = call_error(call, 422, "email_provider_disabled", "Login with magic link is disabled");
    if (err == NULL)
        err = address_check_email(call->pool, email, &email);
    if (err == NULL)
        err = flow_read(call, &flow);
    if (err == NULL)
        err = find_account(call, email, &user);
    bool is_autoconfirmed = config_bool(call->scope.config, "GOTRUE_MAILER_AUTOCONFIRM");
    if (err == NULL && (user == NULL || (!auth_user_is_confirmed(user) && !is_autoconfirmed)))
        err = sign_up(call, email, &flow, &user);
    if (err == NULL && user != NULL && (auth_user_is_confirmed(user) || is_autoconfirmed))
        err = send_link(call, user, &flow);
    if (err == NULL)
        call_reply(call, 200, STR("{}"));
    return err;
}

err_t *otp_endpoint(auth_call_t *call)
{
    str_t email = call_str(call, "email"), phone = call_str(call, "phone"),
          channel = call_str(call, "channel");
    bool creates = call_bool(call, "create_user", true);
    auth_user_t *user = NULL;
    err_t *err = call_body_error(call);
    if (err != NULL)
        return err;
    if (email.len > 0 && phone.len > 0)
        return call_error(call, 400, "validation_failed",
                          "Only an email address or phone number should be provided");
    if (email.len > 0 && channel.len > 0)
        return call_error(call, 400, "validation_failed", "Channel should only be specified with Phone OTP");
    if (phone.len > 0)
        return call_error(call, 400, "phone_provider_disabled", "Unsupported phone provider");
    if (email.len == 0)
        return call_error(call, 400, "validation_failed", "One of email or phone must be set");
    if (!creates) {
        err = address_check_email(call->pool, email, &email);
        if (err == NULL)
            err = find_account(call, email, &user);
        if (err == NULL && user == NULL)
            err = call_error(call, 422, "otp_disabled", "Signups not allowed for otp");
    }
    return err != NULL ? err : magic_link_endpoint(call);
}
