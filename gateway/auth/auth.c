#include "auth/auth.h"

#include "api/respond.h"
#include "api/route.h"
#include "auth/cleanup.h"
#include "auth/endpoints.h"
#include "auth/limits.h"
#include "auth/signup.h"
#include "base/read_json.h"

#include <sys/resource.h>

#define BODY_DEPTH_MAX 64
/* Some four seconds of hashing on two threads: who would wait longer is better told to come back. */
#define HASHES_WAITING_MAX 128
#define HASHING_NICENESS 8

#define ANY "*" /* every method */

/* clang-format off */
static const auth_endpoint_t ENDPOINTS[] = {
    {"POST", "/signup", AUTH_BODY | AUTH_HASHES | AUTH_MAILS, AUTH_LIMIT_NONE, signup_endpoint},
    {"POST", "/token", AUTH_BODY, AUTH_LIMIT_NONE, token_endpoint},
    {"GET", "/user", AUTH_USER, AUTH_LIMIT_NONE, user_get_endpoint},
    {"PUT", "/user", AUTH_USER | AUTH_BODY | AUTH_HASHES | AUTH_MAILS, AUTH_LIMIT_OTP, user_put_endpoint},
    {"POST", "/logout", AUTH_USER, AUTH_LIMIT_NONE, logout_endpoint},
    {"POST", "/recover", AUTH_BODY | AUTH_MAILS, AUTH_LIMIT_OTP, recover_endpoint},
    {"POST", "/otp", AUTH_BODY | AUTH_HASHES | AUTH_MAILS, AUTH_LIMIT_OTP, otp_endpoint},
    {"POST", "/magiclink", AUTH_BODY | AUTH_HASHES | AUTH_MAILS, AUTH_LIMIT_OTP, magic_link_endpoint},
    {"POST", "/resend", AUTH_BODY | AUTH_MAILS, AUTH_LIMIT_OTP, resend_endpoint},
    {"GET", "/reauthenticate", AUTH_USER | AUTH_MAILS, AUTH_LIMIT_NONE, reauthenticate_endpoint},
    {"GET", "/verify", AUTH_PUBLIC, AUTH_LIMIT_VERIFY, verify_get_endpoint},
    {"POST", "/verify", AUTH_BODY, AUTH_LIMIT_VERIFY, verify_post_endpoint},
    {"GET", "/health", AUTH_PUBLIC, AUTH_LIMIT_NONE, health_endpoint},
    {"GET", "/settings", AUTH_PUBLIC, AUTH_LIMIT_NONE, settings_endpoint},
    {"GET", "/.well-known/jwks.json", AUTH_PUBLIC, AUTH_LIMIT_NONE, jwks_endpoint},
    {"POST", "/invite", AUTH_ADMIN | AUTH_BODY | AUTH_MAILS, AUTH_LIMIT_NONE, invite_endpoint},
    {"GET", "/admin/users", AUTH_ADMIN, AUTH_LIMIT_NONE, admin_list_endpoint},
    {"POST", "/admin/users", AUTH_ADMIN | AUTH_BODY | AUTH_HASHES, AUTH_LIMIT_NONE, admin_create_endpoint},
    {"GET", "/admin/users/{}", AUTH_ADMIN, AUTH_LIMIT_NONE, admin_get_endpoint},
    {"PUT", "/admin/users/{}", AUTH_ADMIN | AUTH_BODY | AUTH_HASHES, AUTH_LIMIT_NONE, admin_update_endpoint},
    {"DELETE", "/admin/users/{}", AUTH_ADMIN | AUTH_BODY_OPTIONAL, AUTH_LIMIT_NONE, admin_delete_endpoint},
    {"POST", "/admin/generate_link", AUTH_ADMIN | AUTH_BODY | AUTH_HASHES, AUTH_LIMIT_NONE, generate_link_endpoint},
    {"GET", "/admin/users/{}/factors", AUTH_ADMIN, AUTH_LIMIT_NONE, admin_factors_endpoint},
    {"DELETE", "/admin/users/{}/factors/{}", AUTH_ADMIN, AUTH_LIMIT_NONE, admin_factor_delete_endpoint},
    {"PUT", "/admin/users/{}/factors/{}", AUTH_ADMIN | AUTH_BODY, AUTH_LIMIT_NONE, admin_factor_update_endpoint},
    {"GET", "/admin/audit", AUTH_ADMIN, AUTH_LIMIT_NONE, admin_audit_endpoint},
    {"POST", "/factors", AUTH_USER | AUTH_NOT_ANONYMOUS | AUTH_BODY, AUTH_LIMIT_NONE, factor_enroll_endpoint},
    {"POST", "/factors/{}/challenge", AUTH_USER | AUTH_NOT_ANONYMOUS | AUTH_BODY_OPTIONAL, AUTH_LIMIT_FACTOR, factor_challenge_endpoint},
    {"POST", "/factors/{}/verify", AUTH_USER | AUTH_NOT_ANONYMOUS | AUTH_BODY, AUTH_LIMIT_FACTOR, factor_verify_endpoint},
    {"DELETE", "/factors/{}", AUTH_USER | AUTH_NOT_ANONYMOUS, AUTH_LIMIT_NONE, factor_delete_endpoint},
    {"GET", "/authorize", AUTH_PUBLIC, AUTH_LIMIT_NONE, authorize_off_endpoint},
    {ANY, "/callback", AUTH_PUBLIC, AUTH_LIMIT_NONE, callback_off_endpoint},
    {ANY, "/sso", AUTH_PUBLIC, AUTH_LIMIT_NONE, saml_off_endpoint},
    {ANY, "/sso/**", AUTH_PUBLIC, AUTH_LIMIT_NONE, saml_off_endpoint},
    {ANY, "/admin/sso/**", AUTH_ADMIN, AUTH_LIMIT_NONE, saml_off_endpoint},
    {ANY, "/user/identities/**", AUTH_USER, AUTH_LIMIT_NONE, linking_off_endpoint},
    {ANY, "/user/oauth/**", AUTH_USER, AUTH_LIMIT_NONE, oauth_off_endpoint},
    {ANY, "/oauth/**", AUTH_PUBLIC, AUTH_LIMIT_NONE, oauth_off_endpoint},
    {ANY, "/admin/oauth/**", AUTH_ADMIN, AUTH_LIMIT_NONE, oauth_off_endpoint},
    {ANY, "/admin/custom-providers", AUTH_ADMIN, AUTH_LIMIT_NONE, custom_providers_off_endpoint},
    {ANY, "/admin/custom-providers/**", AUTH_ADMIN, AUTH_LIMIT_NONE, custom_providers_off_endpoint},
    {ANY, "/passkeys", AUTH_PUBLIC, AUTH_LIMIT_NONE, passkeys_off_endpoint},
    {ANY, "/passkeys/**", AUTH_PUBLIC, AUTH_LIMIT_NONE, passkeys_off_endpoint},
    {ANY, "/admin/users/{}/passkeys", AUTH_ADMIN, AUTH_LIMIT_NONE, passkeys_off_endpoint},
    {ANY, "/admin/users/{}/passkeys/**", AUTH_ADMIN, AUTH_LIMIT_NONE, passkeys_off_endpoint},
};
/* clang-format on */
#define ENDPOINT_COUNT (sizeof(ENDPOINTS) / sizeof(ENDPOINTS[0]))

/* What a task is given: the room and the row. */
typedef struct {
    auth_t *auth;
    const auth_endpoint_t *endpoint;
} job_t;

struct room {
    auth_t auth;
    job_t jobs[ENDPOINT_COUNT];
};

static bool path_matches(const char *pattern, str_t path, str_t *params)
{
    size_t param_count = 0;
    str_t left = str_from_c(pattern), right = path;
    if (right.len > 1 && right.base[right.len - 1] == '/')
        right.len--;
    while (!str_is_null(left) && !str_is_null(right)) {
        str_t want = str_split(&left, '/'), have = str_split(&right, '/');
        if (str_eq(want, STR("**")))
            return have.len > 0;
        if (str_eq(want, STR("{}")) && have.len > 0 && param_count < 2)
            params[param_count++] = have;
        else if (!str_eq(want, have))
            return false;
    }
    return str_is_null(left) && str_is_null(right);
}

/* `*is_path` tells whether the path exists under another method. */
static const job_t *find_job(const struct room *room, str_t method, str_t path, bool *is_path)
{
    str_t params[2];
    *is_path = false;
    for (size_t i = 0; i < ENDPOINT_COUNT; i++) {
        if (!path_matches(ENDPOINTS[i].path, path, params))
            continue;
        *is_path = true;
        if (strcmp(ENDPOINTS[i].method, ANY) == 0 || str_eq(method, str_from_c(ENDPOINTS[i].method)))
            return &room->jobs[i];
    }
    return NULL;
}

static err_t *read_body(auth_call_t *call, unsigned flags)
{
    json_t *json = NULL;
    str_t body = call->task->body, type = api_task_header(call->task, "content-type");
    bool is_form = str_starts_with(type, STR("application/x-www-form-urlencoded"));
    if ((flags & (AUTH_BODY | AUTH_BODY_OPTIONAL)) == 0 ||
        (body.len == 0 && (flags & AUTH_BODY_OPTIONAL) != 0))
        return NULL;
    read_json_limits_t limits = {.size_max = body.len, .depth_max = BODY_DEPTH_MAX};
    err_t *err = is_form || body.len == 0 ? err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "empty")
                                          : read_json(call->pool, body, &limits, &json);
    if (err == NULL && json_is_object(json)) {
        call->body = json;
        return NULL;
    }
    return call_error(call, 400, "bad_json", "Could not parse request body as JSON: %s",
                      body.len == 0 ? "unexpected end of JSON input" : "invalid JSON object");
}

static err_t *run_endpoint(auth_call_t *call, const auth_endpoint_t *endpoint)
{
    err_t *err = NULL;
    if ((endpoint->flags & AUTH_USER) != 0)
        err = call_authenticate(call);
    else if ((endpoint->flags & AUTH_ADMIN) != 0)
        err = call_require_admin(call);
    if (err == NULL && (endpoint->flags & AUTH_NOT_ANONYMOUS) != 0 && call->user->is_anonymous)
        err =
            call_error(call, 403, "no_authorization", "Anonymous user not allowed to perform these actions");
    if (err == NULL)
        err = call_limit(call, endpoint->limit);
    if (err == NULL)
        err = read_body(call, endpoint->flags);
    return err != NULL ? err : endpoint->run(call);
}

static bool is_new_api(str_t version)
{
    return version.len == 10 && str_cmp(version, STR("2024-01-01")) >= 0;
}

/* Errors that triggers and constraints raise: older clients get PostgreSQL's own words, status 500 or PTnnn.
 */
static bool reply_pg_error(auth_call_t *call, const err_t *err)
{
    static const char *const CODES[] = {"P0001", "23000", "23001", "23502",
                                        "23503", "23505", "23514", "23P01"};
    const err_t *pg = call->scope.pg_error;
    bool is_listed = false;
    int64_t status = 500;
    if (pg == NULL || err->status != 500 || is_new_api(api_task_header(call->task, "x-supabase-api-version")))
        return false;
    for (size_t i = 0; i < sizeof(CODES) / sizeof(CODES[0]); i++)
        is_listed |= str_eq(pg->code, str_from_c(CODES[i]));
    if (pg->code.len == 5 && str_starts_with(pg->code, STR("PT")))
        is_listed = str_to_int64(str_slice(pg->code, 2, 5), &status) && status >= 400 && status < 600;
    if (!is_listed)
        return false;
    buf_t out;
    emit_t emit;
    buf_init(&out, call->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "code", pg->code);
    emit_kv_string(&emit, "message", pg->message);
    if (!str_is_null(pg->hint))
        emit_kv_string(&emit, "hint", pg->hint);
    if (!str_is_null(pg->details))
        emit_kv_string(&emit, "detail", pg->details);
    emit_object_end(&emit);
    call_reply(call, (int)status, buf_str(&out));
    return true;
}

static void run_task(api_task_t *task)
{
    const job_t *job = task->arg;
    auth_call_t call = {.task = task, .auth = job->auth, .pool = task->pool};
    auth_scope_init(&call.scope, task->gateway, task->pool, task->client_addr,
                    api_task_header(task, "user-agent"));
    (void)path_matches(job->endpoint->path, task->path, call.path_params);
    err_t *err = run_endpoint(&call, job->endpoint);
    auth_rollback(&call.scope);
    err =
        auth_db_error(&call.scope, err, "Unexpected failure, please check server logs for more information");
    if (err != NULL && !reply_pg_error(&call, err))
        task->error = err;
}

/* On a hash worker: its thread gives way to the loop, whose answers take microseconds. */
static void run_hashing_task(api_task_t *task)
{
    (void)setpriority(PRIO_PROCESS, 0, HASHING_NICENESS);
    run_task(task);
}

static bool needs_hashing(const api_context_t *ctx, const auth_endpoint_t *endpoint)
{
    if ((endpoint->flags & AUTH_HASHES) != 0)
        return true;
    return endpoint->run == token_endpoint &&
           str_find(http_query(ctx->request), STR("grant_type=password"), 0) != SIZE_MAX;
}

/* A slow mail server must not hold up sign-ins, nor these each other's threads when no mail is due. */
static bool may_mail(const api_context_t *ctx, const auth_endpoint_t *endpoint)
{
    if ((endpoint->flags & AUTH_MAILS) == 0)
        return false;
    if (endpoint->run == signup_endpoint)
        return !config_bool(ctx->gateway->config, "GOTRUE_MAILER_AUTOCONFIRM");
    return endpoint->run != user_put_endpoint ||
           str_find(http_body(ctx->request), STR("\"email\""), 0) != SIZE_MAX;
}

static void submit(api_context_t *ctx, const job_t *job)
{
    bool hashes = needs_hashing(ctx, job->endpoint), mails = may_mail(ctx, job->endpoint);
    if (hashes && !mails && worker_waiting(ctx->gateway->hash_workers) >= HASHES_WAITING_MAX) {
        err_t *err = auth_error(ctx->pool, 429, "over_request_rate_limit", "Request rate limit reached");
        err->headers = STR("Retry-After: 3\r\n");
        api_respond_error(ctx, err);
        return;
    }
    worker_pool_t *workers = mails    ? ctx->gateway->mail_workers
                             : hashes ? ctx->gateway->hash_workers
                                      : ctx->gateway->workers;
    api_task_submit(ctx, workers, NULL, hashes ? run_hashing_task : run_task, (void *)job);
}

static void on_request(void *arg, api_context_t *ctx)
{
    struct room *room = arg;
    bool is_path = false;
    const job_t *job = find_job(room, http_method(ctx->request), ctx->path, &is_path);
    if (job == NULL) {
        http_send(ctx->request, is_path ? 405 : 404, STR("text/plain; charset=utf-8"),
                  is_path ? STR("") : STR("404 page not found\n"));
        return;
    }
    size_t body_max = (size_t)config_int(ctx->gateway->config, "BASALT_AUTH_MAX_BODY");
    if (http_body(ctx->request).len > body_max) {
        api_respond_error(ctx, auth_error(ctx->pool, 413, "request_entity_too_large",
                                          "Request body too large (max %zu bytes)", body_max));
        return;
    }
    submit(ctx, job);
}

static void dispose_limits(void *limits)
{
    auth_limits_destroy(limits);
}

void auth_register(gateway_t *gateway, pool_t *process_pool)
{
    struct room *room = POOL_NEW(process_pool, struct room);
    room->auth = (auth_t){.gateway = gateway, .limits = auth_limits_create()};
    pool_on_dispose(process_pool, dispose_limits, room->auth.limits);
    for (size_t i = 0; i < ENDPOINT_COUNT; i++)
        room->jobs[i] = (job_t){.auth = &room->auth, .endpoint = &ENDPOINTS[i]};
    api_route_add(
        gateway,
        &(api_route_t){.prefix = "/auth/v1",
                       .style = API_STYLE_AUTH,
                       .handler = on_request,
                       .arg = room,
                       .cors_expose = "x-total-count, link, x-supabase-api-version, x-sb-error-code"});
    auth_cleanup_start(gateway, process_pool);
}
