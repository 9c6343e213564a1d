#include "functions/functions.h"

#include "api/respond.h"
#include "api/route.h"
#include "base/clock.h"
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

static str_t text_or_default(const char *text)
{
    return text != NULL ? str_from_c(text) : STR("Unauthorized");
}

/* A signed-in user who still exists, with one of the roles where the row names some. False after having
 * replied. */
static bool admit_user(api_task_t *task, const fn_entry_t *entry)
{
    fn_caller_t caller = FN_CALLER_GONE;
    if (!is_signed_in(task)) {
        fn_fail(task, 401, text_or_default(entry->no_token));
        return false;
    }
    err_t *err = fn_caller_check(task, entry->auth == FN_AUTH_ROLE ? entry->roles : NULL, &caller);
    if (err != NULL)
        fn_fail_lookup(task, err, fn_fail);
    else if (caller == FN_CALLER_GONE)
        fn_fail(task, 401, text_or_default(entry->bad_token));
    else if (caller == FN_CALLER_LACKS_ROLE)
        fn_fail(task, 403, str_from_c(entry->forbidden));
    return err == NULL && caller == FN_CALLER_FINE;
}

/* False after having replied. */
static bool admit(api_task_t *task, const fn_entry_t *entry)
{
    if (entry->auth == FN_AUTH_USER || entry->auth == FN_AUTH_ROLE)
        return admit_user(task, entry);
    fn_proof_t proof = FN_PROOF_NONE;
    return entry->auth != FN_AUTH_EXECUTOR ||
           fn_admit_executor(task, entry->roles, "Unauthorized", fn_fail, &proof);
}

static void start_clock(api_task_t *task)
{
    const fn_entry_t *entry = task->arg;
    int64_t cap_ms = config_int(task->gateway->config, "BASALT_FUNCTION_TIMEOUT_MAX");
    int64_t limit_ms = cap_ms > 0 && cap_ms < entry->timeout_ms ? cap_ms : entry->timeout_ms;
    task->deadline_us = task->submitted_us + limit_ms * 1000;
}

/* What failed after the time was up, failed for want of time: the function's own shape with that status. */
static void stop_clock(api_task_t *task)
{
    if (task->status >= 500 && clock_mono_us() >= task->deadline_us)
        task->status = 504;
}

void fn_run(api_task_t *task)
{
    const fn_entry_t *entry = task->arg;
    start_clock(task);
    entry->run(task);
    stop_clock(task);
}

static void run_entry(api_task_t *task)
{
    const fn_entry_t *entry = task->arg;
    start_clock(task);
    if (admit(task, entry))
        entry->run(task);
    stop_clock(task);
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
    return err_make(ctx->pool, 401, ERR_FAMILY_AUTH, "", "%s",
                    entry->bad_token != NULL ? entry->bad_token : "Unauthorized");
}

static err_t *wrong_method(pool_t *pool, const char *methods)
{
    str_t rest = str_from_c(methods);
    buf_t allow;
    buf_init(&allow, pool, 48);
    buf_append_lit(&allow, "Allow: OPTIONS");
    while (!str_is_null(rest)) {
        buf_append_lit(&allow, ", ");
        buf_append_str(&allow, str_split(&rest, ' '));
    }
    buf_append_lit(&allow, "\r\n");
    err_t *err = err_make(pool, 405, ERR_FAMILY_REQUEST, "", "Method not allowed");
    err->headers = buf_str(&allow);
    return err;
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
        err = wrong_method(ctx->pool, entry->methods);
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
