#include "auth/factor.h"

err_t *factor_load(auth_call_t *call, str_t factor_id, str_t user_id, auth_factor_t *out)
{
    db_rows_t rows;
    if (!str_is_uuid(factor_id))
        return call_error(call, 404, "validation_failed", "factor_id must be an UUID");
    err_t *err = auth_query(
        &call->scope,
        STR("select f.id, coalesce(f.friendly_name, ''), f.factor_type, coalesce(f.secret, ''), f.status "
            "= 'verified', "
            "jsonb_build_object('id', f.id, 'created_at', " AUTH_SQL_TIME(
                "f.created_at") ", 'updated_at', " AUTH_SQL_TIME("f.updated_at") ", 'status', f.status, "
                                                                                 "'friendly_name', "
                                                                                 "coalesce(f.friendly_"
                                                                                 "name, ''), "
                                                                                 "'factor_type', "
                                                                                 "f.factor_type, "
                                                                                 "'phone', "
                                                                                 "coalesce(f.phone, ''), "
                                                                                 "'last_challenged_at',"
                                                                                 " " AUTH_SQL_TIME(
                                                                                     "f.last_challenged_"
                                                                                     "at") ") from "
                                                                                           "auth.mfa_"
                                                                                           "factors f "
                                                                                           "where f.id = "
                                                                                           "$1::uuid and "
                                                                                           "f.user_id = "
                                                                                           "$2::uuid "
                                                                                           "for update"),
        DB_PARAMS(factor_id, user_id), &rows);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Database error loading factor");
    if (rows.row_count == 0)
        return call_error(call, 404, "mfa_factor_not_found", "Factor not found");
    *out = (auth_factor_t){.id = db_value(&rows, 0, 0),
                           .friendly_name = db_value(&rows, 0, 1),
                           .type = db_value(&rows, 0, 2),
                           .secret = db_value(&rows, 0, 3),
                           .is_verified = str_eq(db_value(&rows, 0, 4), STR("t")),
                           .json = db_value(&rows, 0, 5)};
    return NULL;
}

err_t *factor_remove(auth_scope_t *scope, str_t factor_id)
{
    err_t *err = auth_query(
        scope,
        STR("with raised as (update auth.sessions set aal = 'aal1', factor_id = null, updated_at = now() "
            "where factor_id = $1::uuid returning id) delete from auth.mfa_amr_claims where session_id in "
            "(select id from raised) and authentication_method in ('totp', 'mfa/phone', 'mfa/webauthn')"),
        &factor_id, 1, NULL);
    if (err == NULL)
        err = auth_query(scope, STR("delete from auth.mfa_factors where id = $1::uuid"), &factor_id, 1, NULL);
    return err;
}
