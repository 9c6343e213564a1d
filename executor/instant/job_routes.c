#include "executor/instant/routes.h"

#include "base/clock.h"
#include "base/read_json.h"

#include <time.h>

/* What must not happen twice at once, or must survive this process, is a job like any other; here it is only
 * waited for. The proxy in front gives up after 600 s. */
enum { POLL_FIRST_MS = 100, POLL_MAX_MS = 1000, START_MS = 30000, END_MS = 590000 };

static err_t *create_job(const instant_call_t *call, const char *type, json_t *scope, json_t *details,
                         str_t *id)
{
    json_t *rows = NULL,
           *row = json_pack("{s:s,s:o,s:o}", "job_type", type, "target_scope", scope, "details", details);
    json_object_set_new(row, "created_by", device_text(call->job->user_id));
    err_t *err = gateway_write(job_client(call->job), call->pool, STR("POST"), STR("jobs?select=id"), row,
                               STR_NULL, &rows);
    json_decref(row);
    if (err == NULL)
        *id = pool_str(call->pool, read_json_str(json_array_get(rows, 0), "id"));
    return err;
}

/* A job that nothing takes (operations are paused, or the executor is busy) is not left to run when nobody
 * waits any more. */
static err_t *withdraw(const instant_call_t *call, str_t id)
{
    json_t *change = json_pack("{s:s}", "status", "cancelled");
    str_t query = pool_printf(call->pool, "jobs?id=eq.%.*s&status=eq.pending", STR_ARG(id));
    err_t *err =
        gateway_write(job_client(call->job), call->pool, STR("PATCH"), query, change, STR_NULL, NULL);
    json_decref(change);
    return err != NULL ? err
                       : err_make(call->pool, 503, ERR_FAMILY_REQUEST, "",
                                  "The job did not begin: the executor is busy or paused");
}

static err_t *outcome(const instant_call_t *call, const json_t *row)
{
    str_t status = read_json_str(row, "status");
    if (str_eq(status, STR("completed")))
        return NULL;
    str_t text = read_json_str(read_json_object(row, "details"), "error");
    if (text.len == 0)
        text = pool_concat(call->pool, 2, STR("The job ended as "), status);
    return err_make(call->pool, 500, ERR_FAMILY_UPSTREAM, "job", "%.*s", STR_ARG(text));
}

static err_t *wait_for(const instant_call_t *call, str_t id)
{
    str_t query = pool_printf(call->pool, "jobs?select=status,details&id=eq.%.*s", STR_ARG(id));
    int64_t began = clock_mono_us();
    for (int pause = POLL_FIRST_MS;; pause = pause * 2 > POLL_MAX_MS ? POLL_MAX_MS : pause * 2) {
        pool_t *pool = pool_create();
        json_t *row = NULL;
        nanosleep(&(struct timespec){.tv_sec = pause / 1000, .tv_nsec = pause % 1000 * 1000000L}, NULL);
        err_t *err = gateway_select_one(job_client(call->job), pool, query, &row);
        str_t status = read_json_str(row, "status");
        int64_t waited = (clock_mono_us() - began) / 1000;
        bool is_pending = str_eq(status, STR("pending"));
        bool is_over = err != NULL || row == NULL || (!is_pending && !str_eq(status, STR("running")));
        err = err != NULL ? err_copy(call->pool, err) : is_over ? outcome(call, row) : NULL;
        pool_destroy(pool);
        if (is_over)
            return err;
        if (call->job->is_halted || waited >= END_MS)
            return err_make(call->pool, 503, ERR_FAMILY_REQUEST, "",
                            "The job goes on without an answer here");
        if (is_pending && waited >= START_MS)
            return withdraw(call, id);
    }
}

static err_t *run_job(const instant_call_t *call, const char *type, json_t *scope, json_t *details)
{
    str_t id;
    err_t *err = create_job(call, type, scope, details, &id);
    return err != NULL ? err : wait_for(call, id);
}

err_t *instant_power_control(instant_call_t *call)
{
    static const char *const ACTIONS[] = {"on", "off", "graceful_shutdown", "reset", "graceful_restart"};
    json_t *row_id;
    const char *known = NULL;
    str_t action = read_json_str(call->input, "action");
    if (action.len == 0 || read_json_str(call->input, "server_id").len == 0)
        return err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "server_id and action are required");
    for (size_t i = 0; i < sizeof(ACTIONS) / sizeof(ACTIONS[0]); i++)
        if (str_eq_nocase(action, str_from_c(ACTIONS[i])))
            known = ACTIONS[i];
    if (known == NULL)
        return err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "Invalid action: %.*s",
                        STR_ARG(str_slice(action, 0, 64)));
    err_t *err = instant_take_server(call);
    if (err != NULL)
        return err;
    row_id = json_object_get(call->server, "id");
    err = run_job(call, "power_action", json_pack("{s:[O]}", "server_ids", row_id),
                  json_pack("{s:s}", "action", known));
    json_object_set_new(call->answer, "action", json_string(known));
    json_object_set(call->answer, "server_id", row_id);
    json_object_set_new(call->answer, "message", json_sprintf("Power action %s completed", known));
    return err;
}

static err_t *run_sync(instant_call_t *call, const char *type, json_t *details, const char *message)
{
    str_t id = read_json_str(call->input, "vcenter_id");
    json_t *scope = json_object();
    if (id.len > 0 && !str_is_uuid(id)) {
        json_decref(scope);
        json_decref(details);
        return err_make(call->pool, 404, ERR_FAMILY_REQUEST, "", "vCenter %.*s not found",
                        STR_ARG(str_slice(id, 0, 64)));
    }
    json_object_set_new(call->answer, "vcenter_id", device_text(id));
    if (id.len > 0) {
        json_object_set_new(scope, "vcenter_ids", json_pack("[s%]", id.base, id.len));
        json_object_set_new(details, "vcenter_id", device_text(id));
    }
    err_t *err = run_job(call, type, scope, details);
    json_object_set_new(call->answer, "message", json_string(message));
    json_object_set_new(call->answer, "response_time_ms",
                        json_integer((clock_mono_us() - call->began_us) / 1000));
    return err;
}

err_t *instant_vcenter_sync(instant_call_t *call)
{
    return run_sync(call, "vcenter_sync", json_object(), "vCenter sync completed");
}

err_t *instant_partial_vcenter_sync(instant_call_t *call)
{
    static const char *const SCOPES[] = {"vms", "hosts", "clusters", "datastores", "networks"};
    str_t wanted = read_json_str(call->input, "sync_scope");
    const char *scope = wanted.len == 0 ? SCOPES[0] : NULL;
    for (size_t i = 0; i < sizeof(SCOPES) / sizeof(SCOPES[0]); i++)
        if (str_eq(wanted, str_from_c(SCOPES[i])))
            scope = SCOPES[i];
    if (scope == NULL)
        return err_make(call->pool, 400, ERR_FAMILY_REQUEST, "", "Invalid sync_scope: %.*s",
                        STR_ARG(str_slice(wanted, 0, 64)));
    json_object_set_new(call->answer, "sync_scope", json_string(scope));
    return run_sync(call, "partial_vcenter_sync", json_pack("{s:s}", "sync_scope", scope),
                    "Partial vCenter sync completed");
}
