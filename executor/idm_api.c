#include "executor/idm_api.h"

#include "base/crypt.h"
#include "base/read_json.h"
#include "base/token_bucket.h"
#include "executor/idm_login.h"
#include "loop/worker.h"

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

/* One sign-in: its own memory, since the client may leave. */
typedef struct {
    idm_api_t *api;
    pool_t *pool;
    http_handle_t *client;
    str_t client_addr, username, password;
    idm_answer_t answer;
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

static void attempt_destroy(attempt_t *attempt)
{
    crypt_wipe((char *)attempt->password.base, attempt->password.len);
    http_handle_release(attempt->client);
    pool_destroy(attempt->pool);
}

static void run(void *arg)
{
    attempt_t *attempt = arg;
    idm_login(attempt->api->executor, attempt->api->limit, attempt->pool, attempt->client_addr,
              attempt->username, attempt->password, &attempt->answer);
}

static void send(http_request_t *request, int status, str_t body)
{
    http_set_header(request, STR("Cache-Control"), STR("no-store"));
    http_send(request, status, STR("application/json"), body);
}

static void done(void *arg)
{
    attempt_t *attempt = arg;
    http_request_t *request = http_handle_get(attempt->client);
    if (request != NULL)
        send(request, attempt->answer.status, pool_str(http_pool(request), attempt->answer.body));
    attempt_destroy(attempt);
}

static void submit(idm_api_t *api, http_request_t *request, str_t username, str_t password)
{
    pool_t *pool = pool_create();
    attempt_t *attempt = POOL_NEW(pool, attempt_t);
    *attempt = (attempt_t){.api = api,
                           .pool = pool,
                           .client = http_handle_create(request),
                           .client_addr = pool_str(pool, http_client_addr(request)),
                           .username = pool_str(pool, username),
                           .password = pool_str(pool, password)};
    if (worker_submit(api->workers, api->loop, run, done, attempt))
        return;
    attempt_destroy(attempt);
    send(request, 503, STR("{\"success\":false,\"error\":\"Too many sign-ins at once\"}"));
}

void idm_api_handle(idm_api_t *api, http_request_t *request)
{
    json_t *body = NULL;
    pool_t *pool = http_pool(request);
    read_json_limits_t limits = {.size_max = BODY_MAX, .depth_max = 8};
    if (!token_bucket_take(&api->bucket, 1, NULL)) {
        send(request, 429, STR("{\"success\":false,\"error\":\"Too many sign-ins, try again in a moment\"}"));
        return;
    }
    err_t *err = read_json(pool, http_body(request), &limits, &body);
    str_t username = err == NULL ? read_json_str(body, "username") : STR_NULL,
          password = err == NULL ? read_json_str(body, "password") : STR_NULL;
    if (err != NULL)
        send(request, err->status == 413 ? 413 : 500,
             STR("{\"success\":false,\"error\":\"The body is not JSON\"}"));
    else if (username.len == 0 || password.len == 0)
        send(request, 400, STR("{\"success\":false,\"error\":\"username and password are required\"}"));
    else
        submit(api, request, username, password);
}
