#include "auth/endpoints.h"
#include "auth/factor.h"

static err_t *load_user(auth_call_t *call, auth_user_t **user)
{
    str_t id = call->path_params[0];
    if (!str_is_uuid(id))
        return call_error(call, 404, "validation_failed", "user_id must be an UUID");
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_user_find(&call->scope, AUTH_BY_ID, &id, 1, false, user);
    if (err == NULL && *user == NULL)
        err = call_error(call, 404, "user_not_found", "User not found");
    return err;
}

static err_t *load_factor(auth_call_t *call, auth_factor_t *factor)
{
    auth_user_t *user = NULL;
    err_t *err = load_user(call, &user);
    return err != NULL ? err : factor_load(call, call->path_params[1], user->id, factor);
}

err_t *admin_factors_endpoint(auth_call_t *call)
{
    auth_user_t *user = NULL;
    err_t *err = load_user(call, &user);
    if (err == NULL)
        call_reply(call, 200, user->factors);
    return err;
}

err_t *admin_factor_delete_endpoint(auth_call_t *call)
{
    auth_factor_t factor;
    auth_actor_t actor = call_admin(call);
    err_t *err = load_factor(call, &factor);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "factor_deleted",
                         auth_trait(call->pool, "factor_id", factor.id));
    if (err == NULL)
        err = factor_remove(&call->scope, factor.id);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply(call, 200, factor.json);
    return auth_db_error(&call->scope, err, "Database error deleting factor");
}

err_t *admin_factor_update_endpoint(auth_call_t *call)
{
    auth_factor_t factor;
    str_t name = call_str(call, "friendly_name"), id = call->path_params[1];
    auth_actor_t actor = call_admin(call);
    err_t *err = call_body_error(call);
    if (err == NULL)
        err = load_factor(call, &factor);
    if (err == NULL && name.len > 0)
        err = auth_query(
            &call->scope,
            STR("update auth.mfa_factors set friendly_name = $2, updated_at = now() where id = $1::uuid"),
            DB_PARAMS(id, name), NULL);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "factor_updated", auth_trait(call->pool, "factor_id", id));
    if (err == NULL)
        err = factor_load(call, id, call->path_params[0], &factor);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply(call, 200, factor.json);
    return auth_db_error(&call->scope, err, "Database error updating factor");
}

err_t *admin_audit_endpoint(auth_call_t *call)
{
    db_rows_t rows;
    int64_t page = 1;
    str_t text = call_param(call, "page");
    if (text.len > 0 && (!str_to_int64(text, &page) || page < 1 || page > INT32_MAX))
        return call_error(call, 400, "validation_failed", "Bad Pagination Parameters: page must be a number");
    str_t offset = pool_printf(call->pool, "%lld", (long long)((page - 1) * 50));
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err =
            auth_query(&call->scope,
                       STR("select coalesce(json_agg(json_build_object('id', a.id, 'payload', a.payload, "
                           "'created_at', " AUTH_SQL_TIME(
                               "a.created_at") ", 'ip_address', a.ip_address)), '[]'), (select count(*) from "
                                               "auth.audit_log_entries) from (select * from "
                                               "auth.audit_log_entries order by created_at desc, id "
                                               "limit 50 offset $1::bigint) a"),
                       &offset, 1, &rows);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Error searching for audit logs");
    api_task_add_header(call->task, STR("x-total-count"), db_value(&rows, 0, 1));
    call_reply(call, 200, db_value(&rows, 0, 0));
    return NULL;
}
