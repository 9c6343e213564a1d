#include "executor/instant/instant_api.h"

#include "base/clock.h"
#include "base/read_json.h"
#include "executor/caller.h"
#include "executor/instant/routes.h"

#include <stdlib.h>

enum { WORKERS = 8, WAITING_MAX = 64, BODY_MAX = 65536 };

static const instant_route_t ROUTES[] = {
    {"/api/health-check", true, instant_health_check},
    {"/api/event-logs", true, instant_event_logs},
    {"/api/firmware-inventory", true, instant_firmware_inventory},
    {"/api/idrac-jobs", true, instant_idrac_jobs},
    {"/api/console-launch", true, instant_console_launch},
    {"/api/boot-config-read", true, instant_boot_config_read},
    {"/api/bios-config-read", true, instant_bios_config_read},
    {"/api/network-config-read", true, instant_network_config_read},
    {"/api/network-config-write", true, instant_network_config_write},
    {"/api/connectivity-test", false, instant_connectivity_test},
    {"/api/power-control", false, instant_power_control},
    {"/api/vcenter-sync", false, instant_vcenter_sync},
    {"/api/partial-vcenter-sync", false, instant_partial_vcenter_sync},
};

struct instant_api {
    executor_t *executor;
    loop_t *loop;
    worker_pool_t *workers;
    pthread_mutex_t mutex; /* everything below */
    bool is_stopping;
    job_t *running[WORKERS];
};

typedef struct {
    instant_api_t *api;
    const instant_route_t *route;
    str_t body;
} ask_t;

instant_api_t *instant_api_create(executor_t *executor, loop_t *loop)
{
    instant_api_t *api = calloc(1, sizeof(*api));
    if (api == NULL)
        abort();
    api->executor = executor;
    api->loop = loop;
    api->workers = worker_pool_create("instant", WORKERS, WAITING_MAX);
    pthread_mutex_init(&api->mutex, NULL);
    return api;
}

void instant_api_destroy(instant_api_t *api)
{
    if (api == NULL)
        return;
    pthread_mutex_lock(&api->mutex);
    api->is_stopping = true;
    for (size_t i = 0; i < WORKERS; i++)
        if (api->running[i] != NULL)
            api->running[i]->is_halted = true;
    pthread_mutex_unlock(&api->mutex);
    worker_pool_destroy(api->workers);
    pthread_mutex_destroy(&api->mutex);
    free(api);
}

/* Puts `to` where `from` stands among the running ones: a job instead of NULL, or NULL instead of a job. */
static void replace_running(instant_api_t *api, const job_t *from, job_t *to)
{
    pthread_mutex_lock(&api->mutex);
    for (size_t i = 0; i < WORKERS; i++) {
        if (api->running[i] == from) {
            api->running[i] = to;
            break;
        }
    }
    if (to != NULL && api->is_stopping)
        to->is_halted = true;
    pthread_mutex_unlock(&api->mutex);
}

static err_t *find_server(const instant_call_t *call, json_t **row)
{
    str_t id = read_json_str(call->input, "server_id");
    *row = NULL;
    if (id.len == 0)
        return err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "server_id is required");
    err_t *err = NULL;
    if (str_is_uuid(id))
        err = gateway_select_one(job_client(call->job), call->pool,
                                 pool_concat(call->pool, 2, STR("servers?select=*&id=eq."), id), row);
    if (err != NULL || *row != NULL)
        return err;
    return err_make(call->pool, 404, ERR_FAMILY_REQUEST, "", "Server %.*s not found",
                    STR_ARG(str_slice(id, 0, 64)));
}

static err_t *check_pause(const instant_call_t *call)
{
    json_t *row = NULL;
    err_t *err = gateway_select_one(job_client(call->job), call->pool,
                                    STR("activity_settings?select=pause_idrac_operations&limit=1"), &row);
    if (err == NULL && read_json_bool(row, "pause_idrac_operations", false))
        return err_make(call->pool, 503, ERR_FAMILY_REQUEST, "", "iDRAC operations are paused");
    return err;
}

err_t *instant_take_server(instant_call_t *call)
{
    json_t *server = NULL;
    err_t *err = find_server(call, &server);
    if (err == NULL)
        err = check_pause(call);
    if (err == NULL)
        call->server = server;
    return err;
}

static err_t *run_on_server(instant_call_t *call, instant_fn run)
{
    device_t device;
    err_t *err = instant_take_server(call);
    if (err != NULL)
        return err;
    call->device = &device;
    json_object_set(call->answer, "server_id", json_object_get(call->server, "id"));
    err = device_open_server(&device, call->job, call->pool, call->server, STR_NULL);
    if (err != NULL && str_eq(err->code, STR("no_credentials")))
        return err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "No credentials available for server");
    if (err != NULL)
        return err;
    err = run(call);
    device_close(&device);
    return err;
}

static err_t *perform(const ask_t *ask, job_t *job, json_t *answer)
{
    json_t *input = NULL;
    read_json_limits_t limits = {.depth_max = 8};
    err_t *err = read_json(job->pool, ask->body, &limits, &input);
    if (err != NULL || !json_is_object(input))
        return err_make(job->pool, 400, ERR_FAMILY_REQUEST, "", "The body is no JSON object");
    instant_call_t call = {
        .job = job, .pool = job->pool, .input = input, .answer = answer, .began_us = clock_mono_us()};
    return ask->route->is_of_server ? run_on_server(&call, ask->route->run) : ask->route->run(&call);
}

static int status_of(const err_t *err)
{
    bool is_callers = err->family == ERR_FAMILY_REQUEST || err->family == ERR_FAMILY_AUTH;
    return is_callers && err->status >= 400 && err->status <= 503 ? err->status : 500;
}

static void run(api_work_t *work)
{
    const ask_t *ask = work->arg;
    str_t user_id;
    job_t *job = NULL;
    json_t *answer = json_pack("{s:b}", "success", 1);
    err_t *err = caller_check(work->executor, work->pool, work->authorization, &user_id);
    if (err == NULL) {
        job = job_create_detached(work->executor, pool_create(), user_id);
        replace_running(ask->api, NULL, job);
        err = perform(ask, job, answer);
        job_flush_quietly(job);
        replace_running(ask->api, job, NULL);
    }
    work->status = err == NULL ? 200 : status_of(err);
    work->reply = err == NULL ? read_json_dump(work->pool, answer) : api_error_json(work->pool, err->message);
    json_decref(answer);
    if (job != NULL)
        job_destroy(job);
}

bool instant_api_handle(instant_api_t *api, http_request_t *request)
{
    str_t path = http_path(request), body = http_body(request);
    const instant_route_t *route = NULL;
    for (size_t i = 0; i < sizeof(ROUTES) / sizeof(ROUTES[0]); i++)
        if (str_eq(path, str_from_c(ROUTES[i].path)))
            route = &ROUTES[i];
    if (route == NULL)
        return false;
    if (body.len > BODY_MAX) {
        api_send(request, 413, api_error_json(http_pool(request), STR("The body is too large")));
        return true;
    }
    api_work_t *work = api_work_create(api->executor, request);
    ask_t *ask = POOL_NEW(work->pool, ask_t);
    *ask = (ask_t){api, route, pool_str(work->pool, body)};
    work->arg = ask;
    api_work_submit(work, api->workers, api->loop, run);
    return true;
}
