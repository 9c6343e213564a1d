#include "auth/endpoints.h"
#include "auth/redirect.h"

err_t *authorize_off_endpoint(auth_call_t *call)
{
    return call_error(call, 400, "validation_failed", "Unsupported provider: provider is not enabled");
}

/* Nobody was sent to a provider, so there is no state to come back with. */
err_t *callback_off_endpoint(auth_call_t *call)
{
    const redirect_pair_t pairs[] = {{STR("error"), STR("invalid_request")},
                                     {STR("error_code"), STR("bad_oauth_state")},
                                     {STR("error_description"), STR("OAuth state parameter is invalid")},
                                     {STR("sb"), STR("")}};
    str_t site = config_str(call->scope.config, "GOTRUE_SITE_URL");
    str_t query = redirect_encode_pairs(call->pool, pairs, 3);
    api_task_add_header(call->task, STR("location"),
                        redirect_build(call->pool, site, query, redirect_encode_pairs(call->pool, pairs, 4)));
    call_reply(call, 303, STR(""));
    return NULL;
}

err_t *saml_off_endpoint(auth_call_t *call)
{
    return call_error(call, 404, "saml_provider_disabled", "SAML 2.0 is disabled");
}

err_t *linking_off_endpoint(auth_call_t *call)
{
    return call_error(call, 404, "manual_linking_disabled", "Manual linking is disabled");
}

err_t *oauth_off_endpoint(auth_call_t *call)
{
    return call_error(call, 404, "feature_disabled", "OAuth server is disabled");
}

err_t *custom_providers_off_endpoint(auth_call_t *call)
{
    return call_error(call, 404, "feature_disabled", "Custom OAuth/OIDC providers are disabled");
}

err_t *passkeys_off_endpoint(auth_call_t *call)
{
    return call_error(call, 404, "passkey_disabled", "Passkeys are disabled");
}
