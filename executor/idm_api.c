#include "executor/idm_api.h"

#include "base/crypt.h"
#include "base/read_json.h"
#include "base/token_bucket.h"
#include "executor/api_work.h"
#include "executor/idm_login.h"

#include <stdlib.h>

/* A whole company signs in within minutes, not within a second. */
#define PER_SECOND 5
#define BURST 25
enum { WORKERS = 4, WAITING_MAX = 64, BODY_MAX = 16384, NAMES_MAX = 10000 };

struct idm_api {
    executor_t *executor;
    loop_t *loop;
    worker_pool_t *workers;
    try_limit_t *limit;
    token_bucket_t bucket;
};

typedef struct {
    idm_api_t *api;
    str_t username, password;
} attempt_t;

idm_api_t *idm_api_create(executor_t *executor, loop_t *loop)
{
    idm_api_t *api = calloc(1, sizeof(*api));
    if (api == NULL)
        abort();
    *api = (idm_api_t){.executor = executor,
                       .loop = loop,
                       .workers = worker_pool_create("idm", WORKERS, WAITING_MAX),
                       .limit = try_limit_create(NAMES_MAX)};
    token_bucket_init(&api->bucket, PER_SECOND, BURST);
    return api;
}

void idm_api_destroy(idm_api_t *api)
{
    if (api == NULL)
        return;
    worker_pool_destroy(api->workers);
    try_limit_destroy(api->limit);
    free(api);
}

static void wipe(void *arg)
{
    const attempt_t *attempt = arg;
    crypt_wipe((char *)attempt->password.base, attempt->password.len);
}

static void run(api_work_t *work)
{
    attempt_t *attempt = work->arg;
    idm_answer_t answer = {0};
    idm_login(work->executor, attempt->api->limit, work->pool, work->client_addr, attempt->username,
              attempt->password, &answer);
    work->status = answer.status;
    work->reply = answer.body;
}

static void submit(idm_api_t *api, http_request_t *request, str_t username, str_t password)
{
    api_work_t *work = api_work_create(api->executor, request);
    attempt_t *attempt = POOL_NEW(work->pool, attempt_t);
    *attempt = (attempt_t){
        .api = api, .username = pool_str(work->pool, username), .password = pool_str(work->pool, password)};
    pool_on_dispose(work->pool, wipe, attempt);
    work->arg = attempt;
    api_work_submit(work, api->workers, api->loop, run);
}

void idm_api_handle(idm_api_t *api, http_request_t *request)
{
    json_t *body = NULL;
    pool_t *pool = http_pool(request);
    read_json_limits_t limits = {.size_max = BODY_MAX, .depth_max = 8};
    if (!token_bucket_take(&api->bucket, 1, NULL)) {
        api_send(request, 429, api_error_json(pool, STR("Too many sign-ins, try again in a moment")));
        return;
    }
    err_t *err = read_json(pool, http_body(request), &limits, &body);
    str_t username = err == NULL ? read_json_str(body, "username") : STR_NULL,
          password = err == NULL ? read_json_str(body, "password") : STR_NULL;
    if (err != NULL)
        api_send(request, err->status == 413 ? 413 : 500, api_error_json(pool, STR("The body is not JSON")));
    else if (username.len == 0 || password.len == 0)
        api_send(request, 400, api_error_json(pool, STR("username and password are required")));
    else
        submit(api, request, username, password);
}
