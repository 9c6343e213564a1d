/* Sessions and refresh token families, as Supabase stores them; also a service for edge functions.
 *
 * A function that has proved by itself who somebody is calls auth_session_for_user. One that also changes
 * accounts: auth_scope_t scope; auth_scope_init(&scope, gateway, pool, client_addr, user_agent); err =
 * auth_begin(&scope);                        then auth_user_find / auth_user_insert ... err =
 * auth_session_start(&scope, user, "otp", &json); err = auth_commit(&scope);                       on any
 * error: auth_rollback(&scope) */
#ifndef AUTH_SESSION_H
#define AUTH_SESSION_H

#include "api/task.h"
#include "auth/user.h"

/* Name of the cookie that carries the access token to /executor/v1/ and nowhere else. */
#define AUTH_SESSION_COOKIE "basalt-session"

/* What a session's access token says about how the user came in. */
typedef struct {
    str_t session_id, refresh_token;
    str_t aal;          /* "aal1" or "aal2" */
    str_t amr;          /* JSON array, newest first */
    str_t access_token; /* set by auth_session_json, as is: */
    int64_t expires_at;
} auth_session_t;

/* New session, refresh token and amr claim of `method` ("password", "otp", ...), users.last_sign_in_at; the
 * user must exist and may be out of date afterwards except for last_sign_in_at. */
err_t *auth_session_open(auth_scope_t *scope, auth_user_t *user, const char *method,
                         auth_session_t *out) MUST_CHECK;

/* The Session object of the answer: access token signed with the gateway's key, expires_in, user.
 * `weak_password` is a JSON object or the null string. Error 500 when no key can sign. */
err_t *auth_session_json(auth_scope_t *scope, const auth_user_t *user, auth_session_t *session,
                         str_t weak_password, str_t *json) MUST_CHECK;

/* Both in one: the usual end of a sign-in. */
err_t *auth_session_start(auth_scope_t *scope, auth_user_t *user, const char *method, str_t *json) MUST_CHECK;

/* A session for an existing user in a transaction of its own, audited as a login; `method` is the amr method
 * ("otp"). For edge functions that proved the identity themselves. Errors: 404 user_not_found, 403
 * user_banned, 503. */
err_t *auth_session_for_user(gateway_t *gateway, pool_t *pool, str_t user_id, const char *method,
                             str_t client_addr, str_t user_agent, str_t *json) MUST_CHECK;

/* aal and amr of an existing session; refresh_token of `out` is left alone. */
err_t *auth_session_read(auth_scope_t *scope, str_t session_id, auth_session_t *out) MUST_CHECK;

/* Adds or moves an amr claim. */
err_t *auth_session_add_method(auth_scope_t *scope, str_t session_id, const char *method) MUST_CHECK;

/* A fresh token in the session's family; the parent is revoked (null string: the first token). */
err_t *auth_refresh_token_insert(auth_scope_t *scope, str_t user_id, str_t session_id, str_t parent,
                                 str_t *token) MUST_CHECK;

/* The refresh grant: rotation, reuse window, detection of stolen tokens. Commits or rolls back by itself, the
 * detection included. Serialised on the family by a row lock; a lock that cannot be had in time is 503, never
 * 409. */
err_t *auth_session_refresh(auth_scope_t *scope, str_t refresh_token, auth_session_t *session,
                            str_t *json) MUST_CHECK;

/* What goes with every answer that holds a session: the cookie for /executor/v1/, and that nobody keeps it.
 */
void auth_session_mark_reply(api_task_t *task, const auth_session_t *session);
/* Takes the cookie back. */
void auth_session_clear_cookie(api_task_t *task);

#endif
