#include "auth/address.h"
#include "auth/endpoints.h"
#include "auth/flow.h"
#include "auth/one_time.h"
#include "auth/redirect.h"
#include "auth/send.h"
#include "auth/verify.h"

static err_t *read_post(auth_call_t *call, verify_t *out)
{
    str_t token = call_str(call, "token"), hash = call_str(call, "token_hash");
    str_t email = call_str(call, "email"), phone = call_str(call, "phone");
    *out = (verify_t){.type = call_str(call, "type"), .token_hash = hash};
    err_t *err = call_body_error(call);
    if (err != NULL)
        return err;
    if (out->type.len == 0)
        return call_error(call, 400, "validation_failed", "Verify requires a verification type");
    if ((token.len > 0) == (hash.len > 0))
        return call_error(call, 400, "validation_failed", "Verify requires either a token or a token hash");
    if (hash.len > 0) {
        bool has_more = email.len > 0 || phone.len > 0 || call_str(call, "redirect_to").len > 0;
        return has_more ? call_error(call, 400, "validation_failed",
                                     "Only the token_hash and type should be provided")
                        : NULL;
    }
    if ((email.len > 0) == (phone.len > 0))
        return call_error(call, 400, "validation_failed",
                          "Only an email address or phone number should be provided on verify");
    if (phone.len > 0) { /* no SMS was ever sent */
        err = address_check_phone(call->pool, phone, &phone);
        return err != NULL ? err : call_error(call, 403, "otp_expired", "Token has expired or is invalid");
    }
    if (address_check_email(call->pool, email, &out->email) != NULL)
        return call_error(call, 422, "validation_failed", "Invalid email format");
    out->is_by_code = true;
    out->token_hash = one_time_hash(call->pool, out->email, token);
    return NULL;
}

static err_t *sign_in(auth_call_t *call, auth_user_t *user, auth_session_t *session, str_t *json)
{
    err_t *err = auth_session_open(&call->scope, user, "otp", session);
    return err != NULL ? err : auth_session_json(&call->scope, user, session, STR_NULL, json);
}

err_t *verify_post_endpoint(auth_call_t *call)
{
    str_t json;
    verify_t verify;
    bool is_half = false;
    auth_session_t session;
    auth_user_t *user = NULL;
    err_t *err = read_post(call, &verify);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = verify_run(call, &verify, &user, &is_half);
    if (err == NULL && !is_half)
        err = sign_in(call, user, &session, &json);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Error confirming user");
    if (is_half)
        call_reply(call, 200, STR("{\"msg\":\"" VERIFY_HALF_MESSAGE "\",\"code\":\"200\"}"));
    else
        call_reply_session(call, &session, json);
    return NULL;
}

static void see_other(auth_call_t *call, str_t url)
{
    api_task_add_header(call->task, STR("location"), url);
    call->task->content_type = STR("text/html; charset=utf-8");
    call_reply(call, 303, STR(""));
}

static const char *oauth_error_of(uint16_t status)
{
    switch (status) {
    case 400:
        return "invalid_request";
    case 401:
        return "unauthorized_client";
    case 403:
        return "access_denied";
    case 500:
        return "server_error";
    case 503:
        return "temporarily_unavailable";
    default:
        return NULL;
    }
}

static void redirect_error(auth_call_t *call, const err_t *err, str_t target, bool is_pkce)
{
    redirect_pair_t pairs[4];
    size_t count = 0;
    const char *name = oauth_error_of(err->status);
    if (name != NULL)
        pairs[count++] = (redirect_pair_t){STR("error"), str_from_c(name)};
    pairs[count++] = (redirect_pair_t){STR("error_code"), err->code};
    pairs[count++] = (redirect_pair_t){STR("error_description"), err->message};
    str_t query = is_pkce ? redirect_encode_pairs(call->pool, pairs, count) : STR("");
    pairs[count++] = (redirect_pair_t){STR("sb"), STR("")};
    see_other(call,
              redirect_build(call->pool, target, query, redirect_encode_pairs(call->pool, pairs, count)));
}

static void redirect_half(auth_call_t *call, str_t target, bool is_pkce)
{
    const redirect_pair_t pairs[] = {{STR("message"), STR(VERIFY_HALF_MESSAGE)}, {STR("sb"), STR("")}};
    str_t query = is_pkce ? redirect_encode_pairs(call->pool, pairs, 1) : STR("");
    see_other(call, redirect_build(call->pool, target, query, redirect_encode_pairs(call->pool, pairs, 2)));
}

static void redirect_session(auth_call_t *call, const auth_session_t *session, const verify_t *verify,
                             str_t target)
{
    int64_t life = config_int(call->scope.config, "GOTRUE_JWT_EXP");
    const redirect_pair_t pairs[] = {
        {STR("access_token"), session->access_token},
        {STR("expires_at"), pool_printf(call->pool, "%lld", (long long)session->expires_at)},
        {STR("expires_in"), pool_printf(call->pool, "%lld", (long long)life)},
        {STR("refresh_token"), session->refresh_token},
        {STR("sb"), STR("")},
        {STR("token_type"), STR("bearer")},
        {STR("type"), verify->type},
    };
    str_t fragment = redirect_encode_pairs(call->pool, pairs, sizeof(pairs) / sizeof(pairs[0]));
    call_reply_session(call, session, STR(""));
    see_other(call, redirect_build(call->pool, target, STR(""), fragment));
}

/* What the exchange of the code will record: the flow's method. */
static const char *flow_method_of(str_t type)
{
    if (str_eq(type, STR("recovery")))
        return "recovery";
    if (str_eq(type, STR("magiclink")))
        return "magiclink";
    if (str_eq(type, STR("invite")))
        return "invite";
    return str_eq(type, STR("email_change")) ? "email_change" : "email/signup";
}

/* The outcome of a followed link, committed. */
typedef struct {
    auth_session_t session;
    str_t code; /* PKCE */
    bool is_half, is_pkce;
} outcome_t;

static err_t *follow_link(auth_call_t *call, verify_t *verify, outcome_t *out)
{
    str_t json;
    auth_user_t *user = NULL;
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = verify_run(call, verify, &user, &out->is_half);
    if (err == NULL && !out->is_half)
        err = out->is_pkce ? flow_issue_code(call, user->id, flow_method_of(verify->type), &out->code)
                           : sign_in(call, user, &out->session, &json);
    if (err == NULL)
        err = auth_commit(&call->scope);
    auth_rollback(&call->scope);
    return auth_db_error(&call->scope, err, "Error confirming user");
}

err_t *verify_get_endpoint(auth_call_t *call)
{
    outcome_t outcome = {0};
    verify_t verify = {.type = call_param(call, "type"), .token_hash = call_param(call, "token")};
    str_t target = send_redirect(call);
    if (verify.type.len == 0)
        return call_error(call, 400, "validation_failed", "Verify requires a verification type");
    if (verify.token_hash.len == 0)
        return call_error(call, 400, "validation_failed", "Verify requires a token or a token hash");
    outcome.is_pkce = str_starts_with(verify.token_hash, STR("pkce_"));
    err_t *err = follow_link(call, &verify, &outcome);
    if (err != NULL)
        redirect_error(call, err, target, outcome.is_pkce);
    else if (outcome.is_half)
        redirect_half(call, target, outcome.is_pkce);
    else if (outcome.is_pkce)
        see_other(call, redirect_build(call->pool, target,
                                       redirect_encode_pairs(
                                           call->pool, &(redirect_pair_t){STR("code"), outcome.code}, 1),
                                       STR("")));
    else
        redirect_session(call, &outcome.session, &verify, target);
    return NULL;
}
