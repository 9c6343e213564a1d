#include "executor/jobs/device.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/servers.h"

#include "base/read_json.h"

static err_t *store_health(job_t *job, pool_t *pool, str_t server_id, const redfish_health_t *health)
{
    json_t *row = json_object();
    json_object_set_new(row, "server_id", device_text(server_id));
    json_object_set_new(row, "timestamp", device_now(pool));
    json_object_set_new(row, "power_state", device_text(health->power_state));
    json_object_set_new(row, "overall_health", device_text(health->overall_health));
    json_object_set_new(row, "temperature_celsius",
                        health->has_temperature ? json_real(health->temperature) : json_null());
    json_object_set_new(row, "fan_health", device_text(health->fan));
    json_object_set_new(row, "psu_health", device_text(health->psu));
    json_object_set_new(row, "storage_health", device_text(health->storage));
    json_object_set_new(row, "memory_health", device_text(health->memory));
    json_object_set_new(row, "cpu_health", device_text(health->cpu));
    json_object_set_new(row, "network_health", device_text(health->network));
    json_object_set(row, "sensors", health->sensors);
    err_t *err = gateway_write(job_client(job), pool, STR("POST"), STR("server_health"), row, STR_NULL, NULL);
    json_decref(row);
    return err;
}

static void fill_result(json_t *result, const redfish_health_t *health)
{
    json_object_set_new(result, "power_state", device_text(health->power_state));
    json_object_set_new(result, "overall_health", device_text(health->overall_health));
    if (json_object_size(health->missing) > 0)
        json_object_set(result, "not_read", health->missing);
}

static err_t *check_server(job_t *job, pool_t *pool, const json_t *server, str_t task_id, json_t *result,
                           str_t *note)
{
    device_t device;
    redfish_health_t health;
    str_t server_id = read_json_str(server, "id");
    err_t *err = device_open_server(&device, job, pool, server, task_id);
    if (err != NULL)
        return err;
    job_task_write(job, task_id, NULL, 20, STR("Session is open"));
    err = redfish_read_health(device.redfish, pool, &health);
    device_close(&device);
    if (err != NULL) {
        device_patch_row(job, pool, "servers", server_id, device_failure_columns(pool, err));
        return err;
    }
    job_task_write(job, task_id, NULL, 80, STR("Health was read"));
    err = store_health(job, pool, server_id, &health);
    if (err != NULL)
        return err;
    device_note_health(job, pool, server_id, &health);
    fill_result(result, &health);
    *note = pool_printf(pool, "health %.*s, power %.*s%s", STR_ARG(health.overall_health),
                        STR_ARG(health.power_state),
                        json_object_size(health.missing) > 0 ? ", some parts could not be read" : "");
    return NULL;
}

/* details.failed_servers, which the UI lists. The job's own `results` say the same and more. */
static err_t *check_and_list(job_t *job, pool_t *pool, const json_t *server, str_t task_id, json_t *result,
                             str_t *note)
{
    err_t *err = check_server(job, pool, server, task_id, result, note);
    if (err != NULL && !job->is_halted) {
        json_t *failed = json_object();
        json_object_set_new(failed, "ip_address", device_text(read_json_str(server, "ip_address")));
        json_object_set_new(failed, "hostname", device_text(read_json_str(server, "hostname")));
        json_object_set_new(failed, "server_id", device_text(read_json_str(server, "id")));
        json_object_set_new(failed, "error", device_text(err->message));
        job_append(job, "failed_servers", failed);
    }
    return err;
}

void job_health_check(job_t *job)
{
    static const servers_plan_t PLAN = {
        .verb = "Checking health of", .may_mean_all = true, .is_parallel = true, .work = check_and_list};
    servers_run(job, &PLAN);
}
