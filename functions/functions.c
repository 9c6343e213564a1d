#include "functions/functions.h"

#include "api/respond.h"
#include "api/route.h"
#include "functions/fn.h"
#include "functions/notice_queue.h"

static const fn_entry_t *find_entry(str_t name)
{
    for (const fn_entry_t *entry = FN_TABLE; entry->name != NULL; entry++) {
        if (str_eq(name, str_from_c(entry->name)))
            return entry;
    }
    return NULL;
}

static bool is_in_list(const char *list, str_t word)
{
    str_t rest = str_from_c(list);
    while (!str_is_null(rest)) {
        if (str_eq(str_split(&rest, ' '), word))
            return true;
    }
    return false;
}

static bool is_signed_in(const api_task_t *task)
{
    return task->identity.has_token && str_is_uuid(task->identity.sub);
}

/* The scheduler (service role), the executor (signature), or a user with one of the roles. */
static bool is_internal(api_task_t *task, const char *roles)
{
    fn_proof_t proof = fn_executor_proof(task);
    return proof == FN_PROOF_JWT ? fn_caller_has_role(task, roles) : proof != FN_PROOF_NONE;
}

static void run_entry(api_task_t *task)
{
    const fn_entry_t *entry = task->arg;
    bool needs_user = entry->auth == FN_AUTH_USER || entry->auth == FN_AUTH_ROLE;
    if (needs_user && !is_signed_in(task))
        fn_fail(task, 401, STR("Unauthorized"));
    else if (entry->auth == FN_AUTH_ROLE && !fn_caller_has_role(task, entry->roles))
        fn_fail(task, 403, str_from_c(entry->forbidden));
    else if (entry->auth == FN_AUTH_SERVICE && !str_eq(task->identity.role, STR("service_role")))
        fn_fail(task, 401, STR("Unauthorized"));
    else if (entry->auth == FN_AUTH_EXECUTOR && !is_internal(task, entry->roles))
        fn_fail(task, 401, STR("Unauthorized"));
    else
        entry->run(task);
}

/* A bad token is refused only where a token counts: public functions and those with proofs of their own go
 * on. */
static err_t *identify(api_context_t *ctx, const fn_entry_t *entry, const identity_t **identity)
{
    static const identity_t nobody = {0};
    err_t *err = api_identity(ctx, identity);
    if (err == NULL)
        return NULL;
    *identity = &nobody;
    if (entry->auth == FN_AUTH_NONE || entry->auth == FN_AUTH_OWN || entry->auth == FN_AUTH_EXECUTOR)
        return NULL;
    return err_make(ctx->pool, 401, ERR_FAMILY_AUTH, "", "Unauthorized");
}

static void handle(void *arg, api_context_t *ctx)
{
    (void)arg;
    str_t name = str_slice(ctx->path, 1, ctx->path.len);
    const fn_entry_t *entry = find_entry(name);
    const identity_t *identity = NULL;
    err_t *err = NULL;
    if (entry == NULL)
        err = err_make(ctx->pool, 404, ERR_FAMILY_REQUEST, "NOT_FOUND", "Requested function was not found");
    else if (!is_in_list(entry->methods, http_method(ctx->request)))
        err = err_make(ctx->pool, 405, ERR_FAMILY_REQUEST, "", "Method not allowed");
    else if (http_body(ctx->request).len > entry->body_max)
        err = err_make(ctx->pool, 413, ERR_FAMILY_REQUEST, "", "Request body is too large");
    else
        err = identify(ctx, entry, &identity);
    if (err != NULL)
        api_respond_error(ctx, err);
    else
        api_task_submit(ctx, ctx->gateway->workers, identity, run_entry, (void *)entry);
}

void functions_register(gateway_t *gateway, pool_t *pool)
{
    api_route_add(gateway,
                  &(api_route_t){.prefix = "/functions/v1",
                                 .style = API_STYLE_FUNCTION,
                                 .handler = handle,
                                 .cors_headers = "x-api-token, x-executor-signature, x-executor-timestamp"});
    notice_queue_start(gateway, pool);
}
