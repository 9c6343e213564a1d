/* The handlers that the route table in auth.c names, one family a file. */
#ifndef AUTH_ENDPOINTS_H
#define AUTH_ENDPOINTS_H

#include "auth/call.h"

err_t *token_endpoint(auth_call_t *call);          /* POST /token, by grant_type */
err_t *user_get_endpoint(auth_call_t *call);       /* GET /user */
err_t *user_put_endpoint(auth_call_t *call);       /* PUT /user */
err_t *logout_endpoint(auth_call_t *call);         /* POST /logout */
err_t *recover_endpoint(auth_call_t *call);        /* POST /recover */
err_t *otp_endpoint(auth_call_t *call);            /* POST /otp */
err_t *magic_link_endpoint(auth_call_t *call);     /* POST /magiclink */
err_t *resend_endpoint(auth_call_t *call);         /* POST /resend */
err_t *reauthenticate_endpoint(auth_call_t *call); /* GET /reauthenticate */
err_t *verify_post_endpoint(auth_call_t *call);    /* POST /verify */
err_t *verify_get_endpoint(auth_call_t *call);     /* GET /verify */
err_t *invite_endpoint(auth_call_t *call);         /* POST /invite */
err_t *generate_link_endpoint(auth_call_t *call);  /* POST /admin/generate_link */

err_t *admin_list_endpoint(auth_call_t *call);
err_t *admin_create_endpoint(auth_call_t *call);
err_t *admin_get_endpoint(auth_call_t *call);
err_t *admin_update_endpoint(auth_call_t *call);
err_t *admin_delete_endpoint(auth_call_t *call);
err_t *admin_factors_endpoint(auth_call_t *call);
err_t *admin_factor_delete_endpoint(auth_call_t *call);
err_t *admin_factor_update_endpoint(auth_call_t *call);
err_t *admin_audit_endpoint(auth_call_t *call);

err_t *factor_enroll_endpoint(auth_call_t *call);
err_t *factor_challenge_endpoint(auth_call_t *call);
err_t *factor_verify_endpoint(auth_call_t *call);
err_t *factor_delete_endpoint(auth_call_t *call);

err_t *health_endpoint(auth_call_t *call);
err_t *settings_endpoint(auth_call_t *call);
err_t *jwks_endpoint(auth_call_t *call);

/* What is not enabled, each with the answer that clients know. */
err_t *authorize_off_endpoint(auth_call_t *call);
err_t *callback_off_endpoint(auth_call_t *call);
err_t *saml_off_endpoint(auth_call_t *call);
err_t *linking_off_endpoint(auth_call_t *call);
err_t *oauth_off_endpoint(auth_call_t *call);
err_t *custom_providers_off_endpoint(auth_call_t *call);
err_t *passkeys_off_endpoint(auth_call_t *call);

#endif
