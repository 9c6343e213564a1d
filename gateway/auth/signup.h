/* Creating accounts: the steps that sign-up, magic links, invites and administrators share. */
#ifndef AUTH_SIGNUP_H
#define AUTH_SIGNUP_H

#include "auth/call.h"
#include "auth/flow.h"

typedef struct {
    str_t email, password; /* checked, lower case */
    const json_t *data;    /* may be NULL */
    flow_params_t flow;
} signup_t;

/* A new e-mail account in the open transaction: plain insert, role, identity and the metadata of a self
 * sign-up
 * (`is_self`) or just the given data. `hash` may be the null string (invites). */
err_t *signup_insert(auth_call_t *call, str_t email, str_t hash, const json_t *data, bool is_self,
                     auth_user_t **out) MUST_CHECK;

/* What POST /signup does up to the answer. `*user` afterwards: the created (or unconfirmed, mailed again)
 * account;
 * `*is_taken`: the address belongs to a confirmed one. */
err_t *signup_run(auth_call_t *call, const signup_t *params, auth_user_t **user, bool *is_taken) MUST_CHECK;

/* Endpoint. */
err_t *signup_endpoint(auth_call_t *call) MUST_CHECK;

#endif
