#include "functions/sign_in.h"

#include "auth/audit.h"
#include "base/observe.h"

static err_t *set_role(auth_scope_t *scope, const char *role)
{
    return auth_query(scope, STR("select set_config('role', $1, true)"), DB_PARAMS(str_from_c(role)), NULL);
}

err_t *sign_in_as_service(auth_scope_t *scope)
{
    return set_role(scope, "service_role");
}

err_t *sign_in_as_auth(auth_scope_t *scope)
{
    return set_role(scope, "supabase_auth_admin");
}

static str_t identity_data(pool_t *pool, str_t user_id, str_t email)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 192);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "sub", user_id);
    emit_kv_string(&emit, "email", email);
    emit_kv_bool(&emit, "email_verified", false);
    emit_kv_bool(&emit, "phone_verified", false);
    emit_object_end(&emit);
    return buf_str(&out);
}

err_t *sign_in_create_user(auth_scope_t *scope, str_t email, str_t metadata, auth_user_t **user)
{
    auth_user_t *other = NULL;
    str_t address = pool_lower(scope->pool, email),
          role = config_str(scope->config, "GOTRUE_JWT_DEFAULT_GROUP_NAME");
    auth_new_user_t fresh = {.email = address,
                             .aud = config_str(scope->config, "GOTRUE_JWT_AUD"),
                             .app_metadata = STR("{\"provider\":\"email\",\"providers\":[\"email\"]}"),
                             .user_metadata = metadata};
    err_t *err = sign_in_find_email(scope, address, &other);
    if (err != NULL)
        return err;
    if (other != NULL)
        return auth_error(scope->pool, 422, "email_exists", "The e-mail address is taken");
    err = auth_user_insert(scope, &fresh, role, user);
    if (err == NULL)
        err = auth_identity_insert(scope, (*user)->id, STR("email"),
                                   identity_data(scope->pool, (*user)->id, address));
    if (err == NULL)
        err = auth_user_confirm_email(scope, (*user)->id);
    if (err == NULL)
        err = auth_user_reload(scope, user);
    return err;
}

static err_t *refuse_banned(auth_scope_t *scope, auth_user_t *user)
{
    return user != NULL && user->is_banned
               ? auth_error(scope->pool, 403, "user_banned", "Account is disabled")
               : NULL;
}

err_t *sign_in_find_user(auth_scope_t *scope, str_t user_id, auth_user_t **user)
{
    err_t *err = auth_user_find(scope, AUTH_BY_ID, &user_id, 1, false, user);
    return err != NULL ? err : refuse_banned(scope, *user);
}

err_t *sign_in_find_email(auth_scope_t *scope, str_t email, auth_user_t **user)
{
    str_t params[] = {pool_lower(scope->pool, email), config_str(scope->config, "GOTRUE_JWT_AUD")};
    err_t *err = auth_user_find(scope, AUTH_BY_EMAIL, params, 2, false, user);
    return err != NULL ? err : refuse_banned(scope, *user);
}

err_t *sign_in_open(auth_scope_t *scope, auth_user_t *user, const char *method, auth_session_t *out)
{
    str_t json;
    auth_actor_t actor = auth_actor_of(scope->pool, user);
    err_t *err = auth_audit(scope, &actor, "login", auth_trait(scope->pool, "provider", str_from_c(method)));
    if (err == NULL)
        err = auth_session_open(scope, user, method, out);
    return err != NULL ? err : auth_session_json(scope, user, out, STR_NULL, &json);
}

void sign_in_audit_failure(api_task_t *task, const char *action, str_t details_json)
{
    db_session_t *session = NULL;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = fn_audit(session, STR_NULL, action, details_json, task->client_addr);
    err = fn_end(session, err);
    if (err != NULL)
        observe(LOG_WARN, "sign_in_not_audited", F_STR("code", err->code), F_STR("message", err->message));
}
