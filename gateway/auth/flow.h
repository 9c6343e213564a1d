/* PKCE: flow states in auth.flow_state, from the challenge to the exchange of the code. */
#ifndef AUTH_FLOW_H
#define AUTH_FLOW_H

#include "auth/call.h"

/* The pair as the body has it; null strings: the implicit flow. */
typedef struct {
    str_t challenge, method;
    bool is_pkce;
} flow_params_t;

/* Reads and checks code_challenge and code_challenge_method. Errors: 400 validation_failed. */
err_t *flow_read(auth_call_t *call, flow_params_t *out) MUST_CHECK;

/* A flow state for the user; `method` is what the exchange records ("recovery", "magiclink", "email/signup"
 * ...). No-op in the implicit flow. */
err_t *flow_create(auth_call_t *call, const flow_params_t *params, str_t user_id, const char *provider,
                   const char *method) MUST_CHECK;

/* The newest flow of (user, method): stamps it and gives its code. Error: 400 flow_state_not_found. */
err_t *flow_issue_code(auth_call_t *call, str_t user_id, const char *method, str_t *code) MUST_CHECK;

/* POST /token?grant_type=pkce */
err_t *flow_exchange(auth_call_t *call) MUST_CHECK;

/* True when base64url(sha256(verifier)) (s256) or the verifier (plain) is the challenge. */
bool flow_verifier_fits(pool_t *pool, str_t method, str_t challenge, str_t verifier);

#endif
