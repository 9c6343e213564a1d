#include "auth/address.h"
#include "auth/endpoints.h"
#include "auth/one_time.h"
#include "auth/password.h"
#include "auth/redirect.h"
#include "auth/send.h"
#include "auth/signup.h"
#include "base/read_json.h"

typedef enum {
    LINK_SIGNUP,
    LINK_INVITE,
    LINK_MAGIC,
    LINK_RECOVERY,
    LINK_CHANGE_CURRENT,
    LINK_CHANGE_NEW,
    LINK_COUNT
} link_kind_t;

/* Name in the request, mail whose path the link takes, type inside the link, and which token it is. */
static const struct {
    const char *name;
    mail_kind_t mail;
    const char *link_type;
    one_time_kind_t token;
} LINKS[LINK_COUNT] = {
    [LINK_SIGNUP] = {"signup", MAIL_CONFIRMATION, "signup", ONE_TIME_CONFIRMATION},
    [LINK_INVITE] = {"invite", MAIL_INVITE, "invite", ONE_TIME_CONFIRMATION},
    [LINK_MAGIC] = {"magiclink", MAIL_RECOVERY, "magiclink", ONE_TIME_RECOVERY},
    [LINK_RECOVERY] = {"recovery", MAIL_RECOVERY, "recovery", ONE_TIME_RECOVERY},
    [LINK_CHANGE_CURRENT] = {"email_change_current", MAIL_EMAIL_CHANGE, "email_change",
                             ONE_TIME_EMAIL_CHANGE_CURRENT},
    [LINK_CHANGE_NEW] = {"email_change_new", MAIL_EMAIL_CHANGE, "email_change", ONE_TIME_EMAIL_CHANGE_NEW},
};

typedef struct {
    link_kind_t kind;
    str_t email, new_email, password, redirect_to, hash;
    bool is_random; /* nobody chose the password: no rules for it */
    const json_t *data;
} link_params_t;

static err_t *read_link(auth_call_t *call, link_params_t *out)
{
    str_t type = call_str(call, "type"), wanted = call_str(call, "redirect_to");
    const config_t *config = call->scope.config;
    *out = (link_params_t){.kind = LINK_COUNT,
                           .email = call_str(call, "email"),
                           .new_email = call_str(call, "new_email"),
                           .password = call_str(call, "password"),
                           .data = call_object(call, "data")};
    err_t *err = call_body_error(call);
    if (err == NULL)
        err = address_check_email(call->pool, out->email, &out->email);
    for (size_t i = 0; i < LINK_COUNT; i++)
        if (str_eq(type, str_from_c(LINKS[i].name)))
            out->kind = (link_kind_t)i;
    if (err == NULL && out->kind == LINK_COUNT)
        err = call_error(call, 400, "validation_failed", "Invalid email action link type requested: %.*s",
                         STR_ARG(type));
    bool is_allowed = redirect_is_allowed(call->pool, config_str(config, "GOTRUE_SITE_URL"),
                                          config_str(config, "GOTRUE_URI_ALLOW_LIST"), wanted);
    out->redirect_to = is_allowed ? wanted : send_redirect(call);
    return err;
}

static err_t *find_account(auth_call_t *call, link_params_t *params, auth_user_t **user)
{
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_EMAIL, DB_PARAMS(params->email, call_audience(call)),
                             false, user);
    auth_rollback(&call->scope);
    if (err != NULL || *user != NULL)
        return auth_db_error(&call->scope, err, "Database error finding user");
    if (params->kind == LINK_MAGIC) { /* whoever follows it signs up */
        params->kind = LINK_SIGNUP;
        params->password = password_random(call->pool);
        params->is_random = true;
    } else if (params->kind != LINK_SIGNUP && params->kind != LINK_INVITE) {
        return call_error(call, 404, "user_not_found", "User with this email not found");
    }
    return NULL;
}

/* A new account for signup and invite: the password is checked and hashed before a connection is taken. */
static err_t *prepare_password(auth_call_t *call, link_params_t *params, const auth_user_t *user)
{
    if (params->kind != LINK_SIGNUP || user != NULL)
        return NULL;
    if (params->password.len == 0)
        return call_error(call, 400, "validation_failed", "Signup requires a valid password");
    err_t *err = params->is_random ? NULL : password_check_strength(&call->scope, params->password);
    if (err == NULL)
        params->hash = password_hash(call->pool, params->password);
    return err;
}

static err_t *ensure_account(auth_call_t *call, const link_params_t *params, auth_user_t **user)
{
    bool creates = params->kind == LINK_SIGNUP || params->kind == LINK_INVITE;
    if (!creates)
        return NULL;
    if (*user == NULL)
        return signup_insert(call, params->email, params->hash, params->data, false, user);
    if (auth_user_is_confirmed(*user))
        return call_error(call, 422, "email_exists",
                          "A user with this email address has already been registered");
    return params->kind == LINK_SIGNUP && params->data != NULL
               ? auth_user_merge_metadata(&call->scope, (*user)->id, "raw_user_meta_data", params->data)
               : NULL;
}

static err_t *prepare_change(auth_call_t *call, link_params_t *params, const auth_user_t *user)
{
    auth_user_t *other = NULL;
    if (params->kind != LINK_CHANGE_CURRENT && params->kind != LINK_CHANGE_NEW)
        return NULL;
    if (params->kind == LINK_CHANGE_CURRENT &&
        !config_bool(call->scope.config, "GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED"))
        return call_error(call, 400, "validation_failed",
                          "Enable secure email change to generate link for current email");
    err_t *err = address_check_email(call->pool, params->new_email, &params->new_email);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_EMAIL_IDENTITY,
                             DB_PARAMS(params->new_email, user->aud, user->id), false, &other);
    if (err == NULL && other != NULL)
        err = call_error(call, 422, "email_exists",
                         "A user with this email address has already been registered");
    if (err == NULL)
        err = auth_query(&call->scope,
                         STR("update auth.users set email_change = $2, email_change_confirm_status = 0 where "
                             "id = $1::uuid"),
                         DB_PARAMS(user->id, params->new_email), NULL);
    return err;
}

static err_t *audit_link(auth_call_t *call, const link_params_t *params, const auth_user_t *user)
{
    auth_actor_t admin = call_admin(call), actor = auth_actor_of(call->pool, user);
    if (params->kind == LINK_INVITE)
        return auth_audit(&call->scope, &admin, "user_invited", auth_traits_user(call->pool, user));
    if (params->kind == LINK_MAGIC || params->kind == LINK_RECOVERY)
        return auth_audit(&call->scope, &actor, "user_recovery_requested", STR_NULL);
    return NULL;
}

/* The code is hashed with the address that the link will prove. */
static err_t *make_link(auth_call_t *call, link_params_t *params, auth_user_t **user, str_t code, str_t *hash)
{
    str_t address = params->kind == LINK_CHANGE_NEW ? params->new_email : params->email;
    err_t *err = ensure_account(call, params, user);
    if (err == NULL)
        err = prepare_change(call, params, *user);
    if (err == NULL)
        err = audit_link(call, params, *user);
    *hash = one_time_hash(call->pool, address, code);
    if (err == NULL)
        err = one_time_store(&call->scope, *user, LINKS[params->kind].token, *hash, address);
    if (err == NULL && params->kind == LINK_INVITE)
        err = auth_query(&call->scope, STR("update auth.users set invited_at = now() where id = $1::uuid"),
                         &(*user)->id, 1, NULL);
    if (err == NULL)
        err = auth_user_reload(&call->scope, user);
    return err != NULL ? err : auth_commit(&call->scope);
}

static void reply_link(auth_call_t *call, const link_params_t *params, const auth_user_t *user, str_t code,
                       str_t hash)
{
    buf_t out;
    emit_t emit;
    str_t link = mail_action_link(&call->scope, LINKS[params->kind].mail, LINKS[params->kind].link_type, hash,
                                  params->redirect_to);
    buf_init(&out, call->pool, 2048);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    auth_user_emit_members(&emit, user);
    emit_kv_string(&emit, "action_link", link);
    emit_kv_string(&emit, "email_otp", code);
    emit_kv_string(&emit, "hashed_token", hash);
    emit_kv_string(&emit, "verification_type", str_from_c(LINKS[params->kind].name));
    emit_kv_string(&emit, "redirect_to", params->redirect_to);
    emit_object_end(&emit);
    call_reply(call, 200, buf_str(&out));
}

err_t *generate_link_endpoint(auth_call_t *call)
{
    str_t hash, code = one_time_code(&call->scope);
    link_params_t params;
    auth_user_t *user = NULL;
    err_t *err = read_link(call, &params);
    if (err == NULL)
        err = find_account(call, &params, &user);
    if (err == NULL)
        err = prepare_password(call, &params, user);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = make_link(call, &params, &user, code, &hash);
    if (err == NULL)
        reply_link(call, &params, user, code, hash);
    return auth_db_error(&call->scope, err, "Database error generating the link");
}

err_t *invite_endpoint(auth_call_t *call)
{
    str_t email = call_str(call, "email");
    const json_t *data = call_object(call, "data");
    auth_user_t *user = NULL;
    auth_actor_t admin = call_admin(call);
    err_t *err = call_body_error(call);
    if (err == NULL)
        err = address_check_email(call->pool, email, &email);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_EMAIL_IDENTITY,
                             DB_PARAMS(email, call_audience(call), STR("")), false, &user);
    if (err == NULL && user != NULL && auth_user_is_confirmed(user))
        err = call_error(call, 422, "email_exists",
                         "A user with this email address has already been registered");
    if (err == NULL && user == NULL)
        err = signup_insert(call, email, STR_NULL, data, false, &user);
    if (err == NULL)
        err = auth_audit(&call->scope, &admin, "user_invited", auth_traits_user(call->pool, user));
    if (err == NULL)
        err = send_invite(call, user);
    if (err == NULL)
        err = auth_user_reload(&call->scope, &user);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply(call, 200, auth_user_json(call->pool, user));
    return auth_db_error(&call->scope, err, "Database error inviting user");
}
