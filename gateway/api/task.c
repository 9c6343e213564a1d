#include "api/task.h"

#include "api/respond.h"
#include "base/clock.h"
#include "base/rand.h"

typedef struct {
    api_task_t task;
    void (*run)(api_task_t *task);
    api_style_t style;
    http_handle_t *handle;
    api_context_t *ctx; /* belongs to the request: only touched when the handle still has it */
} task_run_t;

static identity_t copy_identity(pool_t *pool, const identity_t *from)
{
    identity_t to = *from;
    to.role = pool_str(pool, from->role);
    to.claims_json = pool_str(pool, from->claims_json);
    to.session_claims = pool_str(pool, from->session_claims);
    to.sub = str_is_null(from->sub) ? STR_NULL : pool_str(pool, from->sub);
    to.session_id = str_is_null(from->session_id) ? STR_NULL : pool_str(pool, from->session_id);
    return to;
}

static void copy_headers(api_task_t *task, const http_request_t *request)
{
    size_t cursor = 0, count = 0;
    str_t name, value;
    while (http_next_header(request, &cursor, &name, &value))
        count++;
    api_header_t *headers = POOL_ARRAY(task->pool, api_header_t, count);
    cursor = 0;
    for (size_t i = 0; i < count && http_next_header(request, &cursor, &name, &value); i++)
        headers[i] = (api_header_t){pool_str(task->pool, name), pool_str(task->pool, value)};
    task->headers = headers;
    task->header_count = count;
}

static task_run_t *task_create(api_context_t *ctx, const identity_t *identity)
{
    pool_t *pool = pool_create();
    task_run_t *run = POOL_NEW(pool, task_run_t);
    api_task_t *task = &run->task;
    http_request_t *request = ctx->request;
    str_t query = http_query(request);
    task->pool = pool;
    task->gateway = ctx->gateway;
    task->method = pool_str(pool, http_method(request));
    task->path = pool_str(pool, ctx->path);
    task->query = str_is_null(query) ? STR_NULL : pool_str(pool, query);
    task->body = pool_str(pool, http_body(request));
    task->client_addr = pool_str(pool, http_client_addr(request));
    task->authority = pool_str(pool, http_authority(request));
    task->request_id = pool_str(pool, ctx->request_id);
    task->is_tls = http_is_tls(request);
    task->bearer = str_is_null(ctx->bearer) ? STR_NULL : pool_str(pool, ctx->bearer);
    task->has_authorization = ctx->has_authorization;
    task->submitted_us = clock_mono_us();
    task->status = 200;
    task->content_type = STR("application/json");
    copy_headers(task, request);
    if (identity != NULL)
        task->identity = copy_identity(pool, identity);
    run->style = ctx->style;
    run->ctx = ctx;
    run->handle = http_handle_create(request);
    return run;
}

static void task_dispose(task_run_t *run)
{
    http_handle_release(run->handle);
    pool_destroy(run->task.pool);
}

static void task_run(void *arg)
{
    task_run_t *run = arg;
    run->run(&run->task);
}

static void task_done(void *arg)
{
    task_run_t *run = arg;
    api_task_t *task = &run->task;
    http_request_t *request = http_handle_get(run->handle);
    if (request != NULL) {
        for (size_t i = 0; i < task->reply_header_count; i++)
            http_add_header(request, task->reply_headers[i].name, task->reply_headers[i].value);
        if (task->error != NULL)
            api_respond_error(run->ctx, err_copy(http_pool(request), task->error));
        else
            http_send(request, task->status, pool_str(http_pool(request), task->content_type),
                      pool_str(http_pool(request), task->reply));
    }
    task_dispose(run);
}

void api_task_submit(api_context_t *ctx, worker_pool_t *workers, const identity_t *identity,
                     void (*run)(api_task_t *task), void *arg)
{
    task_run_t *task = task_create(ctx, identity);
    task->run = run;
    task->task.arg = arg;
    if (worker_submit(workers, ctx->gateway->loop, task_run, task_done, task))
        return;
    task_dispose(task);
    api_respond_error(ctx, err_make(ctx->pool, 503, ERR_FAMILY_OVERLOAD, "overloaded",
                                    "The server is busy, try again in a moment"));
}

/* --- without a request --- */

typedef struct {
    api_task_t task;
    void (*run)(api_task_t *task);
    void (*done)(void *arg, const api_task_t *task);
    void *arg;
} internal_run_t;

static void internal_run(void *arg)
{
    internal_run_t *run = arg;
    run->run(&run->task);
}

static void internal_done(void *arg)
{
    internal_run_t *run = arg;
    run->done(run->arg, &run->task);
    pool_destroy(run->task.pool);
}

bool api_task_submit_internal(gateway_t *gateway, str_t body, void (*run)(api_task_t *task), void *row,
                              void (*done)(void *arg, const api_task_t *task), void *arg)
{
    pool_t *pool = pool_create();
    internal_run_t *internal = POOL_NEW(pool, internal_run_t);
    *internal = (internal_run_t){.run = run, .done = done, .arg = arg};
    internal->task = (api_task_t){
        .pool = pool,
        .gateway = gateway,
        .method = STR("POST"),
        .path = STR(""),
        .query = STR_NULL,
        .body = pool_str(pool, body),
        .client_addr = STR_NULL,
        .request_id = rand_uuid(pool),
        .identity = {.role = STR("service_role"),
                     .claims_json = STR("{\"role\":\"service_role\"}"),
                     .has_token = true},
        .submitted_us = clock_mono_us(),
        .arg = row,
        .status = 200,
        .content_type = STR("application/json"),
    };
    if (worker_submit(gateway->workers, gateway->loop, internal_run, internal_done, internal))
        return true;
    pool_destroy(pool);
    return false;
}

str_t api_task_header(const api_task_t *task, const char *lower_name)
{
    str_t wanted = str_from_c(lower_name);
    for (size_t i = 0; i < task->header_count; i++) {
        if (str_eq(task->headers[i].name, wanted))
            return task->headers[i].value;
    }
    return STR_NULL;
}

void api_task_add_header(api_task_t *task, str_t name, str_t value)
{
    api_header_t *headers = POOL_ARRAY(task->pool, api_header_t, task->reply_header_count + 1);
    if (task->reply_header_count > 0)
        memcpy(headers, task->reply_headers, task->reply_header_count * sizeof(*headers));
    headers[task->reply_header_count++] =
        (api_header_t){pool_str(task->pool, name), pool_str(task->pool, value)};
    task->reply_headers = headers;
}

str_t api_task_query(api_task_t *task, const char *name)
{
    str_t rest = task->query, wanted = str_from_c(name);
    while (!str_is_null(rest)) {
        str_t value = str_split(&rest, '&');
        str_t key = str_split(&value, '=');
        if (str_eq(api_url_decode(task->pool, key, true), wanted))
            return str_is_null(value) ? STR("") : api_url_decode(task->pool, value, true);
    }
    return STR_NULL;
}
