#include "executor/jobs/device.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/servers.h"

#include "base/read_json.h"

#include <stdio.h>

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 5000, IDS_PER_QUERY = 50 };

json_t *server_event_row(pool_t *pool, str_t server_id, const json_t *entry)
{
    char number[24];
    json_t *row = json_object();
    const json_t *sensor = json_object_get(entry, "SensorNumber");
    str_t type = read_json_str(entry, "EntryType"), sensor_type = read_json_str(entry, "SensorType");
    str_t message = read_json_str(entry, "Message");
    json_object_set_new(row, "server_id", device_text(server_id));
    json_object_set_new(row, "event_id", device_text(read_json_str(entry, "Id")));
    json_object_set_new(row, "timestamp", device_text(read_json_str(entry, "Created")));
    json_object_set_new(row, "severity", device_text(read_json_str(entry, "Severity")));
    json_object_set_new(row, "message", device_text(message));
    json_object_set_new(row, "category",
                        device_text(pool_printf(pool, "%.*s%s%.*s", STR_ARG(type.len > 0 ? type : STR("SEL")),
                                                sensor_type.len > 0 ? ": " : "", STR_ARG(sensor_type))));
    json_object_set_new(row, "sensor_type", device_text(sensor_type));
    if (json_is_integer(sensor)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(sensor));
        json_object_set_new(row, "sensor_number", json_string(number));
    } else {
        json_object_set_new(row, "sensor_number", device_text(read_json_str(entry, "SensorNumber")));
    }
    json_object_set(row, "raw_data", (json_t *)entry);
    return row;
}

/* `known` was selected by moment; an id alone is used again after the log was cleared. */
static bool is_known(const json_t *known, const json_t *row)
{
    const json_t *each;
    size_t index;
    str_t id = read_json_str(row, "event_id"), message = read_json_str(row, "message");
    json_array_foreach(known, index, each)
    {
        if (str_eq(read_json_str(each, "event_id"), id) && str_eq(read_json_str(each, "message"), message))
            return true;
    }
    return false;
}

/* Known events at the very moments of `rows` from `from` on. PostgreSQL compares the moments, whatever their
 * notation. */
static err_t *load_known(job_t *job, pool_t *pool, str_t server_id, const json_t *rows, size_t from,
                         json_t **known)
{
    str_t ids = STR(""), times = STR("");
    for (size_t i = from; i < json_array_size(rows) && i < from + IDS_PER_QUERY; i++) {
        const json_t *row = json_array_get(rows, i);
        const char *comma = ids.len > 0 ? "," : "";
        ids = pool_printf(pool, "%.*s%s%%22%.*s%%22", STR_ARG(ids), comma,
                          STR_ARG(gateway_url_encode(pool, read_json_str(row, "event_id"))));
        times = pool_printf(pool, "%.*s%s%%22%.*s%%22", STR_ARG(times), comma,
                            STR_ARG(gateway_url_encode(pool, read_json_str(row, "timestamp"))));
    }
    str_t query =
        pool_printf(pool,
                    "server_event_logs?select=event_id,message,timestamp&server_id=eq.%.*s&event_id=in.(%.*s)"
                    "&timestamp=in.(%.*s)&limit=1000",
                    STR_ARG(server_id), STR_ARG(ids), STR_ARG(times));
    return gateway_select(job_client(job), pool, query, known);
}

static err_t *store_new(job_t *job, pool_t *pool, str_t server_id, json_t *rows, size_t *stored)
{
    *stored = 0;
    for (size_t from = 0; from < json_array_size(rows); from += IDS_PER_QUERY) {
        json_t *known = NULL, *fresh = json_array();
        err_t *err = load_known(job, pool, server_id, rows, from, &known);
        for (size_t i = from; err == NULL && i < json_array_size(rows) && i < from + IDS_PER_QUERY; i++) {
            json_t *row = json_array_get(rows, i);
            if (!is_known(known, row))
                json_array_append(fresh, row);
        }
        size_t count = json_array_size(fresh);
        if (err == NULL && count > 0)
            err = gateway_write(job_client(job), pool, STR("POST"), STR("server_event_logs"), fresh, STR_NULL,
                                NULL);
        json_decref(fresh);
        if (err != NULL)
            return err;
        *stored += count;
    }
    return NULL;
}

static size_t limit_of(const job_t *job)
{
    int64_t limit = read_json_int(job->details, "limit", LIMIT_DEFAULT);
    return limit < 1 ? 1 : (limit > LIMIT_MAX ? LIMIT_MAX : (size_t)limit);
}

static void drop_json(void *value)
{
    json_decref(value);
}

static err_t *fetch_server(job_t *job, pool_t *pool, const json_t *server, str_t task_id, json_t *result,
                           str_t *note)
{
    device_t device;
    json_t *entries = NULL, *rows = json_array();
    const json_t *entry;
    size_t index, stored = 0;
    str_t log_path, server_id = read_json_str(server, "id");
    pool_on_dispose(pool, drop_json, rows);
    err_t *err = device_open_server(&device, job, pool, server, task_id);
    if (err != NULL)
        return err;
    err = redfish_read_events(device.redfish, pool, limit_of(job), &entries, &log_path);
    device_close(&device);
    if (err != NULL)
        return err;
    json_array_foreach(entries, index, entry)
    {
        /* An entry without a time cannot be stored: the column demands one. */
        if (read_json_str(entry, "Created").len > 0)
            json_array_append_new(rows, server_event_row(pool, server_id, entry));
    }
    job_task_write(job, task_id, NULL, 60,
                   pool_printf(pool, "%zu entries from %.*s", json_array_size(entries), STR_ARG(log_path)));
    err = store_new(job, pool, server_id, rows, &stored);
    if (err != NULL)
        return err;
    json_object_set_new(result, "events", json_integer((json_int_t)json_array_size(rows)));
    json_object_set_new(result, "new_events", json_integer((json_int_t)stored));
    job_add(job, "total_events", (int64_t)stored);
    *note = pool_printf(pool, "%zu entries read, %zu of them new", json_array_size(rows), stored);
    return NULL;
}

void job_fetch_event_logs(job_t *job)
{
    static const servers_plan_t PLAN = {
        .verb = "Reading the event log of", .may_mean_all = true, .is_parallel = true, .work = fetch_server};
    job_add(job, "total_events", 0);
    servers_run(job, &PLAN);
}
