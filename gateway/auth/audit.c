#include "auth/audit.h"

#include "base/read_json.h"

static const struct {
    const char *action, *log_type;
} LOG_TYPES[] = {
    {"login", "account"},
    {"logout", "account"},
    {"user_signedup", "team"},
    {"user_invited", "team"},
    {"user_deleted", "team"},
    {"token_revoked", "token"},
    {"token_refreshed", "token"},
    {"factor_in_progress", "factor"},
    {"factor_unenrolled", "factor"},
    {"challenge_created", "factor"},
    {"verification_attempted", "factor"},
    {"factor_deleted", "factor"},
    {"factor_updated", "factor"},
};

static str_t log_type_of(const char *action)
{
    for (size_t i = 0; i < sizeof(LOG_TYPES) / sizeof(LOG_TYPES[0]); i++)
        if (strcmp(LOG_TYPES[i].action, action) == 0)
            return str_from_c(LOG_TYPES[i].log_type);
    return STR("user");
}

auth_actor_t auth_actor_of(pool_t *pool, const auth_user_t *user)
{
    json_t *metadata = NULL;
    auth_actor_t actor = {.id = user->id, .is_sso = user->is_sso};
    actor.username = user->phone.len > 0 ? user->phone : user->email;
    if (read_json(pool, user->user_metadata, NULL, &metadata) == NULL)
        actor.full_name = read_json_str(metadata, "full_name");
    return actor;
}

auth_actor_t auth_actor_admin(str_t role)
{
    return (auth_actor_t){.id = STR(AUTH_ZERO_UUID), .username = role};
}

err_t *auth_audit(auth_scope_t *scope, const auth_actor_t *actor, const char *action, str_t traits)
{
    if (config_bool(scope->config, "GOTRUE_AUDIT_LOG_DISABLE_POSTGRES"))
        return NULL;
    buf_t out;
    emit_t emit;
    buf_init(&out, scope->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "action", str_from_c(action));
    emit_kv_string(&emit, "actor_id", actor->id);
    if (!str_is_null(actor->full_name))
        emit_kv_string(&emit, "actor_name", actor->full_name);
    emit_kv_string(&emit, "actor_username", actor->username);
    emit_kv_bool(&emit, "actor_via_sso", actor->is_sso);
    emit_kv_string(&emit, "log_type", log_type_of(action));
    if (!str_is_null(traits))
        emit_kv_raw(&emit, "traits", traits);
    emit_object_end(&emit);
    return auth_query(
        scope,
        STR("insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address) "
            "values ('" AUTH_ZERO_UUID "', gen_random_uuid(), $1::json, now(), coalesce($2, ''))"),
        DB_PARAMS(buf_str(&out), scope->client_addr), NULL);
}

str_t auth_trait(pool_t *pool, const char *name, str_t value)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 64);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_key(&emit, str_from_c(name));
    emit_string(&emit, value);
    emit_object_end(&emit);
    return buf_str(&out);
}

str_t auth_traits_user(pool_t *pool, const auth_user_t *user)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "user_email", user->email);
    emit_kv_string(&emit, "user_id", user->id);
    emit_kv_string(&emit, "user_phone", user->phone);
    emit_object_end(&emit);
    return buf_str(&out);
}
