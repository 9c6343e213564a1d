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

/* Makes a code for `address` and puts code and hash into the mail. */
static void make_code(auth_call_t *call, str_t address, bool is_pkce, mail_t *mail)
{
    mail->code = one_time_code(&call->scope);
    mail->token_hash = one_time_prefix(call->pool, one_time_hash(call->pool, address, mail->code), is_pkce);
}

/* First the mail, then the row: while the mail server takes its time nobody waits for a lock on the account.
 */
static err_t *send_and_store(auth_call_t *call, const auth_user_t *user, one_time_kind_t kind,
                             const mail_t *mail, const char *failure)
{
    err_t *err = mail_send(call, mail, failure);
    return err != NULL ? err : one_time_store(&call->scope, user, kind, mail->token_hash, mail->to);
}

err_t *send_confirmation(auth_call_t *call, const auth_user_t *user, bool is_pkce)
{
    mail_t mail = mail_for(call, user, MAIL_CONFIRMATION);
    err_t *err = one_time_check_frequency(&call->scope, user->confirmation_sent_ms);
    if (err != NULL)
        return err;
    make_code(call, user->email, is_pkce, &mail);
    return send_and_store(call, user, ONE_TIME_CONFIRMATION, &mail, "Error sending confirmation email");
}

err_t *send_recovery(auth_call_t *call, const auth_user_t *user, mail_kind_t kind, bool is_pkce)
{
    const char *failure =
        kind == MAIL_RECOVERY ? "Error sending recovery email" : "Error sending magic link email";
    mail_t mail = mail_for(call, user, kind);
    err_t *err = one_time_check_frequency(&call->scope, user->recovery_sent_ms);
    if (err != NULL)
        return err;
    make_code(call, user->email, is_pkce, &mail);
    return send_and_store(call, user, ONE_TIME_RECOVERY, &mail, failure);
}

err_t *send_invite(auth_call_t *call, const auth_user_t *user)
{
    mail_t mail = mail_for(call, user, MAIL_INVITE);
    make_code(call, user->email, false, &mail);
    err_t *err = send_and_store(call, user, ONE_TIME_CONFIRMATION, &mail, "Error sending invite email");
    if (err == NULL)
        err = auth_query(&call->scope, STR("update auth.users set invited_at = now() where id = $1::uuid"),
                         &user->id, 1, NULL);
    return err;
}

err_t *send_email_change(auth_call_t *call, const auth_user_t *user, str_t new_email, bool is_pkce)
{
    const char *failure = "Error sending email change email";
    mail_t to_new = mail_for(call, user, MAIL_EMAIL_CHANGE), to_old = to_new;
    bool asks_both =
        config_bool(call->scope.config, "GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED") && user->email.len > 0;
    to_new.to = to_new.new_email = to_old.new_email = new_email;
    make_code(call, new_email, is_pkce, &to_new);
    make_code(call, user->email, is_pkce, &to_old);
    err_t *err = one_time_check_frequency(&call->scope, user->email_change_sent_ms);
    if (err == NULL && asks_both)
        err = mail_send(call, &to_old, failure);
    if (err == NULL)
        err = mail_send(call, &to_new, failure);
    if (err == NULL)
        err = auth_query(&call->scope,
                         STR("update auth.users set email_change = $2, email_change_confirm_status = 0, "
                             "email_change_token_current = '' where id = $1::uuid"),
                         DB_PARAMS(user->id, new_email), NULL);
    if (err == NULL)
        err = one_time_store(&call->scope, user, ONE_TIME_EMAIL_CHANGE_NEW, to_new.token_hash, new_email);
    if (err == NULL && asks_both)
        err =
            one_time_store(&call->scope, user, ONE_TIME_EMAIL_CHANGE_CURRENT, to_old.token_hash, user->email);
    return err;
}

err_t *send_reauthentication(auth_call_t *call, const auth_user_t *user)
{
    mail_t mail = mail_for(call, user, MAIL_REAUTHENTICATION);
    err_t *err = one_time_check_frequency(&call->scope, user->reauthentication_sent_ms);
    if (err != NULL)
        return err;
    make_code(call, user->email, false, &mail);
    return send_and_store(call, user, ONE_TIME_REAUTHENTICATION, &mail,
                          "Error sending reauthentication email");
}
