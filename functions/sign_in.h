/* What the sign-in functions share: one transaction that sees auth's tables and the product's, the account
 * behind an address, and the session at its end. */
#ifndef FUNCTIONS_SIGN_IN_H
#define FUNCTIONS_SIGN_IN_H

#include "auth/session.h"
#include "functions/fn.h"

/* From here on (until the other is called) the transaction acts as the service role on the product's tables,
 * or as auth on its own. It begins as auth (auth_begin). */
err_t *sign_in_as_service(auth_scope_t *scope) MUST_CHECK;
err_t *sign_in_as_auth(auth_scope_t *scope) MUST_CHECK;

/* A confirmed user without a password; `metadata` is a JSON object. Applications' triggers make the profile.
 * Error 422 email_exists when the address is taken. */
err_t *sign_in_create_user(auth_scope_t *scope, str_t email, str_t metadata, auth_user_t **user) MUST_CHECK;

/* The user of auth.users, refused (403 user_banned) when banned; NULL when there is none. */
err_t *sign_in_find_user(auth_scope_t *scope, str_t user_id, auth_user_t **user) MUST_CHECK;
err_t *sign_in_find_email(auth_scope_t *scope, str_t email, auth_user_t **user) MUST_CHECK;

/* Opens the session and signs its access token; `method` as in auth/session.h. */
err_t *sign_in_open(auth_scope_t *scope, auth_user_t *user, const char *method,
                    auth_session_t *out) MUST_CHECK;

/* A row of audit_logs outside of any transaction, for what failed; `details` is a JSON object without
 * secrets. */
void sign_in_audit_failure(api_task_t *task, const char *action, str_t details_json);

#endif
