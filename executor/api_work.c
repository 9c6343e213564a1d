#include "executor/api_work.h"

#include "base/emit.h"

api_work_t *api_work_create(executor_t *executor, http_request_t *request)
{
    pool_t *pool = pool_create();
    api_work_t *work = POOL_NEW(pool, api_work_t);
    *work = (api_work_t){.executor = executor,
                         .pool = pool,
                         .client_addr = pool_str(pool, http_client_addr(request)),
                         .authorization = pool_str(pool, http_header(request, "authorization")),
                         .status = 500,
                         .client = http_handle_create(request)};
    return work;
}

void api_work_drop(api_work_t *work)
{
    http_handle_release(work->client);
    pool_destroy(work->pool);
}

static void run(void *arg)
{
    api_work_t *work = arg;
    work->run(work);
}

static void done(void *arg)
{
    api_work_t *work = arg;
    http_request_t *request = http_handle_get(work->client);
    if (request != NULL)
        api_send(request, work->status, pool_str(http_pool(request), work->reply));
    api_work_drop(work);
}

void api_work_submit(api_work_t *work, worker_pool_t *workers, loop_t *loop, void (*fn)(api_work_t *work))
{
    work->run = fn;
    if (worker_submit(workers, loop, run, done, work))
        return;
    http_request_t *request = http_handle_get(work->client);
    api_send(request, 503, api_error_json(http_pool(request), STR("Too many calls at once")));
    api_work_drop(work);
}

void api_send(http_request_t *request, int status, str_t json)
{
    http_set_header(request, STR("Cache-Control"), STR("no-store"));
    http_send(request, status, STR("application/json"), json);
}

str_t api_error_json(pool_t *pool, str_t text)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "error", text);
    emit_kv_bool(&emit, "success", false);
    emit_object_end(&emit);
    return buf_str(&out);
}
