/* Second factors in auth.mfa_factors. */
#ifndef AUTH_FACTOR_H
#define AUTH_FACTOR_H

#include "auth/call.h"

typedef struct {
    str_t id, friendly_name, type, secret;
    str_t json; /* GoTrue's Factor object */
    bool is_verified;
} auth_factor_t;

/* The factor that the path's second (administrators) or first segment names, of this user, locked. Opens no
 * transaction. Errors: 404. */
err_t *factor_load(auth_call_t *call, str_t factor_id, str_t user_id, auth_factor_t *out) MUST_CHECK;

/* Removes it; sessions that were raised by it fall back to aal1. */
err_t *factor_remove(auth_scope_t *scope, str_t factor_id) MUST_CHECK;

#endif
