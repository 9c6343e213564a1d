#include "auth/endpoints.h"
#include "token/token.h"

#define AUTH_VERSION "v2.185.0-basalt"

err_t *health_endpoint(auth_call_t *call)
{
    call_reply(call, 200,
               STR("{\"version\":\"" AUTH_VERSION "\",\"name\":\"GoTrue\","
                   "\"description\":\"Basalt's user registration and authentication API\"}"));
    return NULL;
}

err_t *jwks_endpoint(auth_call_t *call)
{
    api_task_add_header(call->task, STR("cache-control"), STR("public, max-age=600"));
    call_reply(call, 200, token_public_jwks(call->auth->gateway->tokens, call->pool));
    return NULL;
}

err_t *settings_endpoint(auth_call_t *call)
{
    static const char *const OFF[] = {
        "apple",   "azure",  "bitbucket",  "discord",  "facebook", "snapchat", "figma",         "fly",
        "github",  "gitlab", "google",     "keycloak", "kakao",    "linkedin", "linkedin_oidc", "notion",
        "spotify", "slack",  "slack_oidc", "workos",   "twitch",   "twitter",  "zoom"};
    buf_t out;
    emit_t emit;
    const config_t *config = call->scope.config;
    buf_init(&out, call->pool, 1024);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_key(&emit, STR("external"));
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "anonymous_users", config_bool(config, "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED"));
    for (size_t i = 0; i < sizeof(OFF) / sizeof(OFF[0]); i++) {
        emit_key(&emit, str_from_c(OFF[i]));
        emit_bool(&emit, false);
    }
    emit_kv_bool(&emit, "email", config_bool(config, "GOTRUE_EXTERNAL_EMAIL_ENABLED"));
    emit_kv_bool(&emit, "phone", config_bool(config, "GOTRUE_EXTERNAL_PHONE_ENABLED"));
    emit_object_end(&emit);
    emit_kv_bool(&emit, "disable_signup", config_bool(config, "GOTRUE_DISABLE_SIGNUP"));
    emit_kv_bool(&emit, "mailer_autoconfirm", config_bool(config, "GOTRUE_MAILER_AUTOCONFIRM"));
    emit_kv_bool(&emit, "phone_autoconfirm", false);
    emit_kv_string(&emit, "sms_provider", STR(""));
    emit_kv_bool(&emit, "saml_enabled", false);
    emit_kv_bool(&emit, "saml_private_key_next_configured", false);
    emit_kv_bool(&emit, "passkeys_enabled", false);
    emit_object_end(&emit);
    call_reply(call, 200, buf_str(&out));
    return NULL;
}
