/* The mails that endpoints send, and the codes in them, stored in the same transaction: when a mail cannot be
 * sent the whole request is rolled back, so that nobody waits for a mail that never comes. */
#ifndef AUTH_SEND_H
#define AUTH_SEND_H

#include "auth/call.h"
#include "auth/mail.h"
#include "auth/one_time.h"

/* Where the browser goes afterwards: header or parameter redirect_to, else Referer, else the site; allowed
 * ones only. */
str_t send_redirect(auth_call_t *call);

err_t *send_confirmation(auth_call_t *call, const auth_user_t *user, bool is_pkce) MUST_CHECK;
/* MAIL_RECOVERY or MAIL_MAGIC_LINK: both use the recovery token. */
err_t *send_recovery(auth_call_t *call, const auth_user_t *user, mail_kind_t kind, bool is_pkce) MUST_CHECK;
err_t *send_invite(auth_call_t *call, const auth_user_t *user) MUST_CHECK;
/* To the new address, and to the old one too when secure change is on. */
err_t *send_email_change(auth_call_t *call, const auth_user_t *user, str_t new_email,
                         bool is_pkce) MUST_CHECK;
err_t *send_reauthentication(auth_call_t *call, const auth_user_t *user) MUST_CHECK;

#endif
