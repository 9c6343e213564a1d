/* Confirmed changes of an address, wherever the proof came from. */
#ifndef AUTH_EMAIL_CHANGE_H
#define AUTH_EMAIL_CHANGE_H

#include "auth/user.h"

/* The pending address becomes the address: identity, users row, anonymous flag, confirmation, tokens. */
err_t *email_change_apply(auth_scope_t *scope, const auth_user_t *user, str_t new_email) MUST_CHECK;

#endif
