#include "api/events.h"
#include "auth/endpoints.h"

typedef struct {
    const char *scope, *where;
} scope_t;

/* What each scope ends; $1 the user, $2 the token's session. */
static const scope_t SCOPES[] = {
    {"global", "user_id = $1::uuid and ($2::uuid is null or true)"},
    {"local", "user_id = $1::uuid and id = $2::uuid"},
    {"others", "user_id = $1::uuid and id <> $2::uuid"},
};

static const scope_t *find_scope(str_t name)
{
    for (size_t i = 0; i < sizeof(SCOPES) / sizeof(SCOPES[0]); i++)
        if (name.len == 0 || str_eq(name, str_from_c(SCOPES[i].scope)))
            return &SCOPES[i];
    return NULL;
}

err_t *logout_endpoint(auth_call_t *call)
{
    db_rows_t rows;
    auth_actor_t actor = auth_actor_of(call->pool, call->user);
    const scope_t *scope = find_scope(call_param(call, "scope"));
    if (scope == NULL)
        return call_error(call, 400, "validation_failed", "Unsupported logout scope \"%.*s\"",
                          STR_ARG(call_param(call, "scope")));
    if (str_is_null(call->session_id)) /* a token without a session cannot mean one */
        scope = &SCOPES[0];
    err_t *err = auth_audit(&call->scope, &actor, "logout", STR_NULL);
    if (err == NULL)
        err = auth_query(
            &call->scope,
            pool_printf(call->pool, "delete from auth.sessions where %s returning id", scope->where),
            DB_PARAMS(call->user->id, call->session_id), &rows);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Error logging out user");
    for (size_t i = 0; i < rows.row_count; i++)
        api_event_post(call->auth->gateway, API_EVENT_SESSION_ENDED, db_value(&rows, i, 0));
    if (strcmp(scope->scope, "others") != 0)
        auth_session_clear_cookie(call->task);
    call_reply(call, 204, STR(""));
    return NULL;
}
