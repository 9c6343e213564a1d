/* auth.audit_log_entries: one row per action, in GoTrue's payload. No secret ever goes in. */
#ifndef AUTH_AUDIT_H
#define AUTH_AUDIT_H

#include "auth/user.h"

/* Who acted: a user, or an administrator known only by role. */
typedef struct {
    str_t id, username, full_name; /* full_name may be null */
    bool is_sso;
} auth_actor_t;

auth_actor_t auth_actor_of(pool_t *pool, const auth_user_t *user);
auth_actor_t auth_actor_admin(str_t role);

/* `action` is GoTrue's ("login", "user_signedup", ...); `traits` a JSON object or the null string. */
err_t *auth_audit(auth_scope_t *scope, const auth_actor_t *actor, const char *action,
                  str_t traits) MUST_CHECK;

/* Shorthands for traits. */
str_t auth_trait(pool_t *pool, const char *name, str_t value);
str_t auth_traits_user(pool_t *pool, const auth_user_t *user); /* user_id, user_email, user_phone */

#endif
