#include "api/events.h"
#include "auth/endpoints.h"
#include "base/crypt.h"

/* What is left of a value once its user is gone: base64url(sha256(user id || value)). */
static str_t obfuscate(pool_t *pool, str_t user_id, str_t value)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    crypt_sha256(pool_concat(pool, 2, user_id, value), digest);
    return crypt_base64url(pool, str_make((const char *)digest, sizeof(digest)));
}

static err_t *obfuscate_identities(auth_call_t *call, const auth_user_t *user)
{
    db_rows_t rows;
    err_t *err = auth_query(
        &call->scope, STR("select id, provider, provider_id from auth.identities where user_id = $1::uuid"),
        &user->id, 1, &rows);
    for (size_t i = 0; err == NULL && i < rows.row_count; i++) {
        str_t name = pool_concat(call->pool, 3, db_value(&rows, i, 1), STR(":"), db_value(&rows, i, 2));
        err = auth_query(
            &call->scope,
            STR("update auth.identities set identity_data = '{}', provider_id = $2, updated_at = now() "
                "where id = $1::uuid"),
            DB_PARAMS(db_value(&rows, i, 0), obfuscate(call->pool, user->id, name)), NULL);
    }
    return err;
}

static err_t *delete_softly(auth_call_t *call, const auth_user_t *user)
{
    pool_t *pool = call->pool;
    if (!str_is_null(user->deleted_at))
        return NULL;
    err_t *err = auth_query(&call->scope,
                            STR("with tokens as (delete from auth.one_time_tokens where user_id = $1::uuid), "
                                "factors as (delete from auth.mfa_factors where user_id = $1::uuid), "
                                "ended as (delete from auth.sessions where user_id = $1::uuid) "
                                "update auth.users set email = $2, phone = $3, email_change = $4, "
                                "phone_change = $5, encrypted_password = null, "
                                "confirmation_token = '', recovery_token = '', email_change_token_current = "
                                "'', email_change_token_new = '', "
                                "phone_change_token = '', raw_user_meta_data = '{}', raw_app_meta_data = "
                                "'{}', deleted_at = now(), "
                                "updated_at = now() where id = $1::uuid"),
                            DB_PARAMS(user->id, obfuscate(pool, user->id, user->email),
                                      str_slice(obfuscate(pool, user->id, user->phone), 0, 15),
                                      obfuscate(pool, user->id, user->email_change),
                                      str_slice(obfuscate(pool, user->id, user->phone_change), 0, 15)),
                            NULL);
    return err != NULL ? err : obfuscate_identities(call, user);
}

static err_t *delete_user(auth_call_t *call, const auth_user_t *user, bool is_soft)
{
    auth_actor_t actor = call_admin(call);
    err_t *err = auth_audit(&call->scope, &actor, "user_deleted", auth_traits_user(call->pool, user));
    if (err == NULL && is_soft)
        err = delete_softly(call, user);
    else if (err == NULL)
        err = auth_query(&call->scope, STR("delete from auth.users where id = $1::uuid"), &user->id, 1, NULL);
    return err != NULL ? err : auth_commit(&call->scope);
}

err_t *admin_delete_endpoint(auth_call_t *call)
{
    str_t id = call->path_params[0];
    bool is_soft = call_bool(call, "should_soft_delete", false);
    auth_user_t *user = NULL;
    if (!str_is_uuid(id))
        return call_error(call, 404, "validation_failed", "user_id must be an UUID");
    err_t *err = call_body_error(call);
    if (err == NULL)
        err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_ID, &id, 1, true, &user);
    if (err == NULL && user == NULL)
        err = call_error(call, 404, "user_not_found", "User not found");
    if (err == NULL)
        err = delete_user(call, user, is_soft);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Database error deleting user");
    api_event_post(call->auth->gateway, API_EVENT_USER_CHANGED, user->id);
    call_reply(call, 200, STR("{}"));
    return NULL;
}
