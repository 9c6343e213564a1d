#include "executor/instant/routes.h"

#include "base/clock.h"
#include "base/read_json.h"
#include "executor/jobs/servers.h"

enum { LOG_DEFAULT = 50, LOG_MAX = 1000, LIST_MAX = 1000 };

#define FIRMWARE "/redfish/v1/UpdateService/FirmwareInventory"
#define KVM_SESSION                                                                                          \
    REDFISH_MANAGER "/Oem/Dell/DelliDRACCardService/Actions/DelliDRACCardService.GetKVMSession"

static void set_text(json_t *row, const char *key, str_t text)
{
    json_object_set_new(row, key, device_text(text));
}

static void set_server(const instant_call_t *call)
{
    set_text(call->answer, "ip_address", read_json_str(call->server, "ip_address"));
}

static json_t *count_or_null(int64_t count)
{
    return count > 0 ? json_integer(count) : json_null();
}

/* Stores nothing but the server's own state: the UI writes the row of server_health itself. */
err_t *instant_health_check(instant_call_t *call)
{
    redfish_health_t health;
    json_t *answer = call->answer;
    err_t *err = redfish_read_health(call->device->redfish, call->pool, &health);
    if (err != NULL)
        return err;
    device_note_health(call->job, call->pool, read_json_str(call->server, "id"), &health);
    set_server(call);
    set_text(answer, "power_state", health.power_state);
    set_text(answer, "overall_health", health.overall_health);
    set_text(answer, "health_rollup", health.overall_health);
    json_object_set_new(answer, "processor",
                        json_pack("{s:o,s:o}", "health", device_text(health.cpu), "count",
                                  count_or_null(health.system.cpu_count)));
    json_object_set_new(answer, "memory",
                        json_pack("{s:o,s:o}", "health", device_text(health.memory), "total_gb",
                                  count_or_null(health.system.memory_gb)));
    json_object_set_new(answer, "chassis_status", json_null());
    json_object_set_new(answer, "temperature_celsius",
                        health.has_temperature ? json_real(health.temperature) : json_null());
    set_text(answer, "fan_health", health.fan);
    set_text(answer, "psu_health", health.psu);
    set_text(answer, "storage_health", health.storage);
    set_text(answer, "network_health", health.network);
    json_object_set(answer, "sensors", health.sensors);
    return NULL;
}

err_t *instant_event_logs(instant_call_t *call)
{
    json_t *entries = NULL, *events = json_array();
    const json_t *entry;
    size_t i;
    str_t log_path, server_id = read_json_str(call->server, "id");
    int64_t limit = read_json_int(call->input, "limit", LOG_DEFAULT);
    limit = limit < 1 ? 1 : (limit > LOG_MAX ? LOG_MAX : limit);
    json_object_set_new(call->answer, "events", events);
    err_t *err = redfish_read_events(call->device->redfish, call->pool, (size_t)limit, &entries, &log_path);
    if (err != NULL)
        return err;
    json_array_foreach(entries, i, entry)
    {
        json_t *row = server_event_row(call->pool, server_id, entry);
        json_object_del(row, "server_id");
        json_object_set(row, "id", json_object_get(row, "event_id"));
        json_array_append_new(events, row);
    }
    json_object_set_new(call->answer, "count", json_integer((json_int_t)json_array_size(events)));
    return NULL;
}

err_t *instant_firmware_inventory(instant_call_t *call)
{
    static const char *const KEYS[] = {"Name", "Id", "Version", "Updateable", "ComponentType", "Status"};
    json_t *members = NULL, *list = json_array(), *member;
    size_t i;
    json_object_set_new(call->answer, "firmware", list);
    err_t *err = redfish_members(call->device->redfish, call->pool, STR(FIRMWARE), LIST_MAX, &members);
    if (err != NULL)
        return err;
    json_array_foreach(members, i, member)
    {
        json_t *row = json_object();
        for (size_t k = 0; k < sizeof(KEYS) / sizeof(KEYS[0]); k++) {
            json_t *value = json_object_get(member, KEYS[k]);
            json_object_set_new(row, KEYS[k], value != NULL ? json_incref(value) : json_null());
        }
        json_array_append_new(list, row);
    }
    json_object_set_new(call->answer, "count", json_integer((json_int_t)json_array_size(list)));
    return NULL;
}

/* Where this generation keeps its queue: the manager tells. */
static str_t jobs_path(const instant_call_t *call)
{
    json_t *manager = NULL;
    str_t link = STR_NULL;
    if (redfish_get(call->device->redfish, call->pool, STR(REDFISH_MANAGER), &manager) == NULL) {
        const json_t *oem = read_json_object(read_json_object(manager, "Links"), "Oem");
        link = read_json_str(read_json_object(read_json_object(oem, "Dell"), "Jobs"), "@odata.id");
    }
    link = link.len > 0 ? redfish_link_path(link) : STR_NULL;
    return link.len > 0 ? link : STR(REDFISH_MANAGER "/Jobs");
}

err_t *instant_idrac_jobs(instant_call_t *call)
{
    static const char *const NAMES[][2] = {
        {"id", "Id"},           {"name", "Name"},        {"job_state", "JobState"},
        {"message", "Message"}, {"job_type", "JobType"}, {"start_time", "StartTime"},
        {"end_time", "EndTime"}};
    json_t *members = NULL, *list = json_array(), *member;
    size_t i;
    json_object_set_new(call->answer, "jobs", list);
    err_t *err = redfish_members(call->device->redfish, call->pool, jobs_path(call), LIST_MAX, &members);
    if (err != NULL)
        return err;
    json_array_foreach(members, i, member)
    {
        json_t *row = json_object();
        for (size_t k = 0; k < sizeof(NAMES) / sizeof(NAMES[0]); k++)
            set_text(row, NAMES[k][0], read_json_str(member, NAMES[k][1]));
        json_object_set_new(row, "percent_complete",
                            json_integer(read_json_int(member, "PercentComplete", 0)));
        json_array_append_new(list, row);
    }
    json_object_set_new(call->answer, "count", json_integer((json_int_t)json_array_size(list)));
    return NULL;
}

/* A login for one console session, where the device gives one. */
static bool console_session(const instant_call_t *call, str_t *url)
{
    redfish_answer_t answer = {0};
    redfish_t *redfish = call->device->redfish;
    pool_t *pool = call->pool;
    json_t *plugin = json_pack("{s:{s:s}}", "Attributes", "VirtualConsole.1.PluginType", "HTML5"),
           *wanted = json_pack("{s:s}", "SessionTypeName", "HTML5");
    err_t *err = redfish_patch(redfish, pool, STR(REDFISH_MANAGER "/Attributes"), plugin, NULL);
    if (err == NULL || !str_eq(err->code, STR("cancelled")))
        err = redfish_post(redfish, pool, STR(KVM_SESSION), wanted, &answer);
    json_decref(plugin);
    json_decref(wanted);
    str_t name = read_json_str(answer.body, "TempUsername"),
          password = read_json_str(answer.body, "TempPassword");
    if (err != NULL || name.len == 0 || password.len == 0)
        return false;
    *url = pool_printf(pool, "%.*s?username=%.*s&tempUsername=%.*s&tempPassword=%.*s", STR_ARG(*url),
                       STR_ARG(gateway_url_encode(pool, call->device->credential.username)),
                       STR_ARG(gateway_url_encode(pool, name)), STR_ARG(gateway_url_encode(pool, password)));
    return true;
}

err_t *instant_console_launch(instant_call_t *call)
{
    str_t address = read_json_str(call->server, "ip_address"),
          url = pool_printf(call->pool, "https://%.*s/console", STR_ARG(address));
    bool has_session = console_session(call, &url);
    set_server(call);
    set_text(call->answer, "console_url", url);
    json_object_set_new(call->answer, "session_type", json_string("HTML5"));
    json_object_set_new(call->answer, "requires_login", json_boolean(!has_session));
    json_object_set_new(call->answer, "message",
                        has_session ? json_null()
                                    : json_string("The device gives no console login; log in by hand"));
    return NULL;
}

/* Not reachable is an answer, not a failure. */
err_t *instant_connectivity_test(instant_call_t *call)
{
    device_t device;
    err_t *err = instant_take_server(call);
    if (err != NULL)
        return err;
    int64_t began = clock_mono_us();
    err = device_open_server(&device, call->job, call->pool, call->server, STR_NULL);
    if (err == NULL)
        device_close(&device);
    json_object_set_new(call->answer, "success", json_boolean(err == NULL));
    json_object_set(call->answer, "server_id", json_object_get(call->server, "id"));
    set_server(call);
    json_object_set_new(call->answer, "reachable", json_boolean(err == NULL));
    json_object_set_new(call->answer, "response_time_ms", json_integer((clock_mono_us() - began) / 1000));
    set_text(call->answer, "message",
             err == NULL ? STR("The device answers and the login is good") : err->message);
    return NULL;
}
