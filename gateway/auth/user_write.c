#include "auth/user.h"
#include "base/rand.h"
#include "base/read_json.h"

#define ZERO "'" AUTH_ZERO_UUID "'"

err_t *auth_user_insert(auth_scope_t *scope, const auth_new_user_t *fresh, str_t role, auth_user_t **out)
{
    str_t id = str_is_null(fresh->id) ? rand_uuid(scope->pool) : fresh->id;
    /* Token columns are '' and never NULL: GoTrue cannot read NULL there. */
    err_t *err = auth_query(
        scope,
        STR("insert into auth.users (instance_id, id, aud, role, email, phone, encrypted_password, "
            "raw_app_meta_data, "
            "raw_user_meta_data, is_anonymous, is_sso_user, confirmation_token, recovery_token, "
            "email_change, "
            "email_change_token_new, email_change_token_current, phone_change, phone_change_token, "
            "reauthentication_token, email_change_confirm_status, created_at, updated_at) values (" ZERO
            ", $1::uuid, $2, '', "
            "nullif($3, ''), nullif($4, ''), $5, $6::jsonb, $7::jsonb, $8::boolean, false, '', '', '', '', "
            "'', '', '', '', "
            "0, now(), now())"),
        DB_PARAMS(id, fresh->aud, fresh->email, fresh->phone, fresh->password_hash, fresh->app_metadata,
                  fresh->user_metadata, fresh->is_anonymous ? STR("true") : STR("false")),
        NULL);
    if (err == NULL)
        err =
            auth_query(scope, STR("update auth.users set role = $2, updated_at = now() where id = $1::uuid"),
                       DB_PARAMS(id, role), NULL);
    if (err == NULL)
        err = auth_user_find(scope, AUTH_BY_ID, &id, 1, false, out);
    if (err == NULL && *out == NULL) /* a trigger took the row away */
        err = auth_error(scope->pool, 500, "unexpected_failure", "Database error loading user after sign-up");
    return err;
}

err_t *auth_identity_insert(auth_scope_t *scope, str_t user_id, str_t provider, str_t data)
{
    return auth_query(scope,
                      STR("insert into auth.identities (id, provider_id, user_id, identity_data, provider, "
                          "last_sign_in_at, created_at, updated_at) values (gen_random_uuid(), $1::text, "
                          "$1::text::uuid, $3::jsonb, $2, "
                          "now(), now(), now())"),
                      DB_PARAMS(user_id, provider, data), NULL);
}

err_t *auth_identity_merge(auth_scope_t *scope, str_t user_id, str_t provider, str_t data)
{
    return auth_query(
        scope,
        STR("insert into auth.identities as i (id, provider_id, user_id, identity_data, provider, "
            "last_sign_in_at, created_at, updated_at) values (gen_random_uuid(), $1::text, $1::text::uuid, "
            "jsonb_build_object('sub', $1::text, 'email_verified', false, 'phone_verified', false) || "
            "$3::jsonb, "
            "$2, now(), now(), now()) on conflict (provider_id, provider) do update "
            "set identity_data = i.identity_data || $3::jsonb, updated_at = now()"),
        DB_PARAMS(user_id, provider, data), NULL);
}

err_t *auth_user_confirm_email(auth_scope_t *scope, str_t user_id)
{
    return auth_query(
        scope,
        STR("with cleared as (delete from auth.one_time_tokens where user_id = $1::uuid) "
            "update auth.users set confirmation_token = '', email_confirmed_at = now(), "
            "raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{\"email_verified\": true}', "
            "updated_at = now() where id = $1::uuid"),
        &user_id, 1, NULL);
}

err_t *auth_user_confirm_phone(auth_scope_t *scope, str_t user_id)
{
    return auth_query(scope,
                      STR("with cleared as (delete from auth.one_time_tokens where user_id = $1::uuid) "
                          "update auth.users set confirmation_token = '', phone_confirmed_at = now(), "
                          "updated_at = now() where id = $1::uuid"),
                      &user_id, 1, NULL);
}

err_t *auth_user_merge_metadata(auth_scope_t *scope, str_t user_id, const char *column, const json_t *changes)
{
    /* Nulls at the top level delete, so they are taken out by key and the rest is merged. */
    str_t sql =
        pool_printf(scope->pool,
                    "update auth.users set %s = (coalesce(%s, '{}') || $2::jsonb) - array(select key from "
                    "jsonb_each($2::jsonb) where value = 'null'), updated_at = now() where id = $1::uuid",
                    column, column);
    return auth_query(scope, sql, DB_PARAMS(user_id, read_json_dump(scope->pool, changes)), NULL);
}

err_t *auth_user_set_password(auth_scope_t *scope, str_t user_id, str_t hash, str_t keep_session)
{
    return auth_query(
        scope,
        STR("with tokens as (delete from auth.one_time_tokens where user_id = $1::uuid), "
            "ended as (delete from auth.sessions where user_id = $1::uuid and ($3::uuid is null or id <> "
            "$3::uuid)) "
            "update auth.users set encrypted_password = $2, confirmation_token = '', confirmation_sent_at = "
            "null, "
            "recovery_token = '', recovery_sent_at = null, email_change_token_current = '', "
            "email_change_token_new = '', "
            "email_change_sent_at = null, phone_change_token = '', phone_change_sent_at = null, "
            "reauthentication_token = '', reauthentication_sent_at = null, updated_at = now() where id = "
            "$1::uuid"),
        DB_PARAMS(user_id, hash, keep_session), NULL);
}

err_t *auth_user_refresh_providers(auth_scope_t *scope, str_t user_id)
{
    return auth_query(
        scope,
        STR("update auth.users u set raw_app_meta_data = coalesce(u.raw_app_meta_data, '{}') || p.change, "
            "updated_at = now() "
            "from (select jsonb_build_object('providers', coalesce(jsonb_agg(q.provider order by "
            "q.first_at), '[]')) || "
            "case when count(*) > 0 then jsonb_build_object('provider', (array_agg(q.provider order by "
            "q.first_at))[1]) "
            "else '{}' end as change from (select provider, min(created_at) as first_at from auth.identities "
            "where user_id = $1::uuid group by provider) q) p where u.id = $1::uuid"),
        &user_id, 1, NULL);
}
