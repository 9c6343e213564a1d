#include "auth/email_change.h"

err_t *email_change_apply(auth_scope_t *scope, const auth_user_t *user, str_t new_email)
{
    buf_t data;
    emit_t emit;
    buf_init(&data, scope->pool, 128);
    emit_init(&emit, &data);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "email", new_email);
    emit_kv_bool(&emit, "email_verified", true);
    emit_object_end(&emit);
    err_t *err = auth_identity_merge(scope, user->id, STR("email"), buf_str(&data));
    if (err == NULL)
        err = auth_query(
            scope,
            STR("with gone as (delete from auth.one_time_tokens where user_id = $1::uuid) "
                "update auth.users set email = $2, email_change = '', email_change_token_current = '', "
                "email_change_token_new = '', email_change_confirm_status = 0, is_anonymous = false, "
                "updated_at = now() where id = $1::uuid"),
            DB_PARAMS(user->id, new_email), NULL);
    if (err == NULL && !auth_user_is_confirmed(user))
        err = auth_user_confirm_email(scope, user->id);
    return err;
}
