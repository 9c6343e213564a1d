/* The mails of auth: templates, links, and sending them. */
#ifndef AUTH_MAIL_H
#define AUTH_MAIL_H

#include "auth/call.h"

typedef enum {
    MAIL_CONFIRMATION,
    MAIL_RECOVERY,
    MAIL_MAGIC_LINK,
    MAIL_INVITE,
    MAIL_EMAIL_CHANGE,
    MAIL_REAUTHENTICATION
} mail_kind_t;

/* What a template may name: .ConfirmationURL .Token .TokenHash .SiteURL .Email .NewEmail .RedirectTo
 * .Data.<member> */
typedef struct {
    mail_kind_t kind;
    str_t to;
    str_t code, token_hash;
    str_t email, new_email;
    str_t redirect_to;
    str_t data; /* JSON object: the user's metadata */
} mail_t;

/* <API_EXTERNAL_URL><url path>?token=<hash>&type=<type>&redirect_to=<url>; `type` as in the link ("magiclink"
 * ...). */
str_t mail_action_link(const auth_scope_t *scope, mail_kind_t kind, const char *type, str_t token_hash,
                       str_t redirect_to);

/* Replaces {{ .Name }} by values, HTML-escaped when `is_html`; unknown names become nothing. */
str_t mail_render(const auth_scope_t *scope, str_t text, const mail_t *mail, bool is_html);

/* Counts against the mail limit, renders and sends. Errors: 429, or 500 `failure` when it could not be sent
 * (no server configured included). */
err_t *mail_send(auth_call_t *call, const mail_t *mail, const char *failure) MUST_CHECK;

#endif
