/* A row of auth.users as the endpoints need it, how it is found, changed and shown. */
#ifndef AUTH_USER_H
#define AUTH_USER_H

#include "auth/scope.h"
#include "base/emit.h"

#include <jansson.h>

/* Texts live in the scope's pool; timestamps are RFC 3339 or the null string; *_ms are 0 when unset. */
typedef struct {
    str_t id, aud, role, email, phone, encrypted_password;
    str_t email_confirmed_at, phone_confirmed_at, confirmed_at, invited_at;
    str_t confirmation_sent_at, recovery_sent_at, email_change_sent_at, phone_change_sent_at,
        reauthentication_sent_at;
    str_t last_sign_in_at, banned_until, deleted_at, created_at, updated_at;
    str_t email_change, phone_change;
    str_t confirmation_token, recovery_token, email_change_token_new, email_change_token_current,
        reauthentication_token;
    str_t app_metadata, user_metadata; /* JSON objects */
    str_t identities, factors;         /* JSON arrays */
    int64_t confirmation_sent_ms, recovery_sent_ms, email_change_sent_ms, reauthentication_sent_ms;
    int64_t email_change_status;
    bool is_anonymous, is_sso, is_banned, has_verified_factor;
} auth_user_t;

/* How a user is looked up; the comment names the parameters. */
typedef enum {
    AUTH_BY_ID,                 /* id */
    AUTH_BY_EMAIL,              /* lower-case address, aud */
    AUTH_BY_PHONE,              /* phone without '+', aud */
    AUTH_BY_EMAIL_IDENTITY,     /* lower-case address, aud, id of a user to leave out or '' */
    AUTH_BY_CONFIRMATION,       /* token hash */
    AUTH_BY_RECOVERY,           /* token hash */
    AUTH_BY_CONFIRM_OR_RECOVER, /* token hash */
    AUTH_BY_EMAIL_CHANGE,       /* token hash */
    AUTH_BY_EMAIL_CHANGE_NEW    /* token hash */
} auth_user_by_t;

/* `*out` is NULL when there is no such user. `for_update` locks the row until the end of the transaction. */
err_t *auth_user_find(auth_scope_t *scope, auth_user_by_t by, const str_t *params, size_t count,
                      bool for_update, auth_user_t **out) MUST_CHECK;

/* What a token's session says; `id` is the null string when there is no such session of the user. */
typedef struct {
    str_t id, aal;
    int64_t created_ms;
} auth_session_facts_t;

/* User and session in one round trip: every request of a signed-in user begins with it. `session_id` may be
 * null. */
err_t *auth_user_find_in_session(auth_scope_t *scope, str_t id, str_t session_id, auth_user_t **out,
                                 auth_session_facts_t *session) MUST_CHECK;

/* The user by id, which must exist (read again after a change). */
err_t *auth_user_reload(auth_scope_t *scope, auth_user_t **user) MUST_CHECK;

/* GoTrue's User object. Members only, without the braces, so that generate_link can add its own. */
void auth_user_emit_members(emit_t *emit, const auth_user_t *user);
str_t auth_user_json(pool_t *pool, const auth_user_t *user);

/* One page of users for the admin list. `filter` may be empty; texts of `total` and users in `*json` (an
 * array). */
typedef struct {
    str_t aud, filter;
    int64_t page, per_page;
    bool is_ascending;
} auth_user_page_t;
err_t *auth_user_list(auth_scope_t *scope, const auth_user_page_t *page, str_t *json,
                      int64_t *total) MUST_CHECK;

typedef struct {
    str_t id;                               /* null string: a new one */
    str_t email, phone, password_hash, aud; /* null string: NULL */
    str_t app_metadata, user_metadata;
    bool is_anonymous;
} auth_new_user_t;

/* A plain INSERT, so that applications' triggers see it; role comes with its own UPDATE, then the row is read
 * back. */
err_t *auth_user_insert(auth_scope_t *scope, const auth_new_user_t *fresh, str_t role,
                        auth_user_t **out) MUST_CHECK;

/* Adds an identity; `data` is its identity_data. For e-mail and phone the provider id is the user id. */
err_t *auth_identity_insert(auth_scope_t *scope, str_t user_id, str_t provider, str_t data) MUST_CHECK;
/* Merges members into the identity's data; creates it with them when the user has none of that provider. */
err_t *auth_identity_merge(auth_scope_t *scope, str_t user_id, str_t provider, str_t data) MUST_CHECK;

/* Confirms the address now: email_verified in the metadata, one-time tokens cleared. */
err_t *auth_user_confirm_email(auth_scope_t *scope, str_t user_id) MUST_CHECK;
err_t *auth_user_confirm_phone(auth_scope_t *scope, str_t user_id) MUST_CHECK;

/* Shallow merge, a null deletes the key. `column` is raw_user_meta_data or raw_app_meta_data (a literal). */
err_t *auth_user_merge_metadata(auth_scope_t *scope, str_t user_id, const char *column,
                                const json_t *changes) MUST_CHECK;

/* Stores a hash, clears every pending token and ends the user's sessions but `keep_session` (null string:
 * all). */
err_t *auth_user_set_password(auth_scope_t *scope, str_t user_id, str_t hash, str_t keep_session) MUST_CHECK;

/* provider and providers in the app metadata, from the identities there are. */
err_t *auth_user_refresh_providers(auth_scope_t *scope, str_t user_id) MUST_CHECK;

static inline bool auth_user_is_confirmed(const auth_user_t *user)
{
    return !str_is_null(user->email_confirmed_at);
}

static inline bool auth_user_has_password(const auth_user_t *user)
{
    return user->encrypted_password.len > 0;
}

#endif
