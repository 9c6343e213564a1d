#include "auth/send.h"

#include "auth/redirect.h"

str_t send_redirect(auth_call_t *call)
{
    str_t site = config_str(call->scope.config, "GOTRUE_SITE_URL");
    str_t list = config_str(call->scope.config, "GOTRUE_URI_ALLOW_LIST");
    str_t wanted = api_task_header(call->task, "redirect_to");
    if (wanted.len == 0)
        wanted = call_param(call, "redirect_to");
    if (redirect_is_allowed(call->pool, site, list, wanted))
        return wanted;
    str_t referer = api_task_header(call->task, "referer");
    return redirect_is_allowed(call->pool, site, list, referer) ? referer
           : str_is_null(site)                                  ? STR("")
                                                                : site;
}

static mail_t mail_for(auth_call_t *call, const auth_user_t *user, mail_kind_t kind)
{
    return (mail_t){.kind = kind,
                    .to = user->email,
                    .email = user->email,
                    .new_email = user->email_change,
                    .redirect_to = send_redirect(call),
                    .data = user->user_metadata};
}

/* Makes a code for `address`, stores it as `kind` and puts code and hash into the mail. */
static err_t *issue_code(auth_call_t *call, const auth_user_t *user, one_time_kind_t kind, str_t address,
                         bool is_pkce, mail_t *mail)
{
    mail->code = one_time_code(&call->scope);
    mail->token_hash = one_time_prefix(call->pool, one_time_hash(call->pool, address, mail->code), is_pkce);
    return one_time_store(&call->scope, user, kind, mail->token_hash, address);
}

err_t *send_confirmation(auth_call_t *call, const auth_user_t *user, bool is_pkce)
{
    mail_t mail = mail_for(call, user, MAIL_CONFIRMATION);
    err_t *err = one_time_check_frequency(&call->scope, user->confirmation_sent_ms);
    if (err == NULL)
        err = issue_code(call, user, ONE_TIME_CONFIRMATION, user->email, is_pkce, &mail);
    return err != NULL ? err : mail_send(call, &mail, "Error sending confirmation email");
}

err_t *send_recovery(auth_call_t *call, const auth_user_t *user, mail_kind_t kind, bool is_pkce)
{
    mail_t mail = mail_for(call, user, kind);
    err_t *err = one_time_check_frequency(&call->scope, user->recovery_sent_ms);
    if (err == NULL)
        err = issue_code(call, user, ONE_TIME_RECOVERY, user->email, is_pkce, &mail);
    if (err != NULL)
        return err;
    return mail_send(call, &mail,
                     kind == MAIL_RECOVERY ? "Error sending recovery email"
                                           : "Error sending magic link email");
}

err_t *send_invite(auth_call_t *call, const auth_user_t *user)
{
    mail_t mail = mail_for(call, user, MAIL_INVITE);
    err_t *err = issue_code(call, user, ONE_TIME_CONFIRMATION, user->email, false, &mail);
    if (err == NULL)
        err = auth_query(&call->scope, STR("update auth.users set invited_at = now() where id = $1::uuid"),
                         &user->id, 1, NULL);
    return err != NULL ? err : mail_send(call, &mail, "Error sending invite email");
}

err_t *send_email_change(auth_call_t *call, const auth_user_t *user, str_t new_email, bool is_pkce)
{
    const char *failure = "Error sending email change email";
    mail_t to_new = mail_for(call, user, MAIL_EMAIL_CHANGE), to_old = to_new;
    bool asks_both =
        config_bool(call->scope.config, "GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED") && user->email.len > 0;
    to_new.to = to_new.new_email = to_old.new_email = new_email;
    err_t *err = one_time_check_frequency(&call->scope, user->email_change_sent_ms);
    if (err == NULL)
        err = auth_query(&call->scope,
                         STR("update auth.users set email_change = $2, email_change_confirm_status = 0, "
                             "email_change_token_current = '' where id = $1::uuid"),
                         DB_PARAMS(user->id, new_email), NULL);
    if (err == NULL)
        err = issue_code(call, user, ONE_TIME_EMAIL_CHANGE_NEW, new_email, is_pkce, &to_new);
    if (err == NULL && asks_both)
        err = issue_code(call, user, ONE_TIME_EMAIL_CHANGE_CURRENT, user->email, is_pkce, &to_old);
    if (err == NULL && asks_both)
        err = mail_send(call, &to_old, failure);
    return err != NULL ? err : mail_send(call, &to_new, failure);
}

err_t *send_reauthentication(auth_call_t *call, const auth_user_t *user)
{
    mail_t mail = mail_for(call, user, MAIL_REAUTHENTICATION);
    err_t *err = one_time_check_frequency(&call->scope, user->reauthentication_sent_ms);
    if (err == NULL)
        err = issue_code(call, user, ONE_TIME_REAUTHENTICATION, user->email, false, &mail);
    return err != NULL ? err : mail_send(call, &mail, "Error sending reauthentication email");
}
