#include "auth/address.h"
#include "auth/endpoints.h"
#include "auth/flow.h"
#include "auth/send.h"

err_t *recover_endpoint(auth_call_t *call)
{
    str_t email = call_str(call, "email");
    flow_params_t flow;
    auth_user_t *user = NULL;
    err_t *err = call_body_error(call);
    if (err == NULL && !config_bool(call->scope.config, "GOTRUE_EXTERNAL_EMAIL_ENABLED"))
        err = call_error(call, 400, "email_provider_disabled", "Email logins are disabled");
    if (err == NULL && email.len == 0)
        err = call_error(call, 400, "validation_failed", "Password recovery requires an email");
    if (err == NULL)
        err = address_check_email(call->pool, email, &email);
    if (err == NULL)
        err = flow_read(call, &flow);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err =
            auth_user_find(&call->scope, AUTH_BY_EMAIL, DB_PARAMS(email, call_audience(call)), false, &user);
    if (err == NULL && user != NULL) {
        auth_actor_t actor = auth_actor_of(call->pool, user);
        err = flow_create(call, &flow, user->id, "recovery", "recovery");
        if (err == NULL)
            err = auth_audit(&call->scope, &actor, "user_recovery_requested", STR_NULL);
        if (err == NULL)
            err = send_recovery(call, user, MAIL_RECOVERY, flow.is_pkce);
        if (err == NULL)
            err = auth_commit(&call->scope);
    }
    if (err == NULL)
        call_reply(call, 200, STR("{}"));
    return auth_db_error(&call->scope, err, "Unable to process request");
}

/* What may be sent once more, and whether there is something to send. */
static err_t *resend(auth_call_t *call, str_t type, const auth_user_t *user, const flow_params_t *flow)
{
    auth_actor_t actor = auth_actor_of(call->pool, user);
    bool is_signup = str_eq(type, STR("signup"));
    if (is_signup ? auth_user_is_confirmed(user) : user->email_change.len == 0)
        return NULL;
    err_t *err = flow_create(call, flow, user->id, is_signup ? "email" : "email_change",
                             is_signup ? "email/signup" : "email_change");
    if (err == NULL && is_signup)
        err = auth_audit(&call->scope, &actor, "user_recovery_requested", STR_NULL);
    if (err == NULL)
        err = is_signup ? send_confirmation(call, user, flow->is_pkce)
                        : send_email_change(call, user, user->email_change, flow->is_pkce);
    return err != NULL ? err : auth_commit(&call->scope);
}

static err_t *check_resend(auth_call_t *call, str_t type, str_t email, str_t phone)
{
    bool is_phone_type = str_eq(type, STR("sms")) || str_eq(type, STR("phone_change"));
    if (!is_phone_type && !str_eq(type, STR("signup")) && !str_eq(type, STR("email_change")))
        return call_error(call, 400, "validation_failed",
                          "Missing one of these types: signup, email_change, sms, phone_change");
    if (email.len > 0 && phone.len > 0)
        return call_error(call, 400, "validation_failed",
                          "Only an email address or phone number should be provided.");
    if (email.len == 0 && phone.len == 0)
        return call_error(call, 400, "validation_failed", "Missing email address or phone number");
    if (email.len == 0 && !is_phone_type)
        return call_error(call, 400, "validation_failed", "Type provided requires an email address");
    if (phone.len > 0)
        return call_error(call, 400, "phone_provider_disabled", "Phone logins are disabled");
    if (!config_bool(call->scope.config, "GOTRUE_EXTERNAL_EMAIL_ENABLED"))
        return call_error(call, 400, "email_provider_disabled", "Email logins are disabled");
    return is_phone_type ? call_error(call, 400, "validation_failed", "Type provided requires a phone number")
                         : NULL;
}

err_t *resend_endpoint(auth_call_t *call)
{
    str_t type = call_str(call, "type"), email = call_str(call, "email"), phone = call_str(call, "phone");
    flow_params_t flow;
    auth_user_t *user = NULL;
    err_t *err = call_body_error(call);
    if (err == NULL)
        err = check_resend(call, type, email, phone);
    if (err == NULL)
        err = flow_read(call, &flow);
    if (err == NULL)
        err = address_check_email(call->pool, email, &email);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err =
            auth_user_find(&call->scope, AUTH_BY_EMAIL, DB_PARAMS(email, call_audience(call)), false, &user);
    if (err == NULL && user != NULL)
        err = resend(call, type, user, &flow);
    if (err == NULL)
        call_reply(call, 200, STR("{}"));
    return auth_db_error(&call->scope, err, "Unable to process request");
}

err_t *reauthenticate_endpoint(auth_call_t *call)
{
    const auth_user_t *user = call->user;
    if (user->email.len == 0)
        return call_error(call, 400, "validation_failed",
                          "Reauthentication requires the user to have an email or a phone number");
    if (!auth_user_is_confirmed(user))
        return call_error(call, 422, "email_not_confirmed", "Please verify your email first.");
    auth_actor_t actor = auth_actor_of(call->pool, user);
    err_t *err = auth_audit(&call->scope, &actor, "user_reauthenticate_requested", STR_NULL);
    if (err == NULL)
        err = send_reauthentication(call, user);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply(call, 200, STR("{}"));
    return err;
}
