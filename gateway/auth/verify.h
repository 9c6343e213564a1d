/* What POST and GET /verify share: from a code or its hash to a proven user. */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include "auth/call.h"

typedef struct {
    str_t type;       /* becomes "signup" or "magiclink" when it was "email" */
    str_t token_hash; /* as the link has it, or made from address and code */
    str_t email;      /* set when an address and a code were given */
    bool is_by_code;
} verify_t;

/* In the open transaction: finds the user, checks the code, does what its type means. `*is_half` is true (and
 * the user NULL) when only one of the two addresses of a secure change is confirmed yet. Errors: 403
 * otp_expired, user_banned. */
err_t *verify_run(auth_call_t *call, verify_t *verify, auth_user_t **user, bool *is_half) MUST_CHECK;

#define VERIFY_HALF_MESSAGE                                                                                  \
    "Confirmation link accepted. Please proceed to confirm link sent to the other email"

#endif
