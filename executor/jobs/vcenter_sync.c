#include "executor/jobs/device.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/vcenter.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/read_json.h"

/* Inventories of thousands of machines take their time, on the vCenter and in the database. */
enum { EXCHANGE_MS = 60000, READ_MS = 600000, IDS_MAX = 100 };

/* details.sync_phase of one vCenter as the UI draws it, out of ten. */
enum { PHASE_READING = 0, PHASE_STORING = 4, PHASE_DONE = 10 };

/* The lists of an inventory; what they hold is told under the same names, in the result and in the details.
 */
static const char *const LISTS[] = {"hosts", "clusters", "vms", "datastores", "networks", "alarms"};

/* --- which vCenters --- */

static void append_id(pool_t *pool, buf_t *list, const json_t *value, size_t *count)
{
    str_t id =
        json_is_string(value) ? str_make(json_string_value(value), json_string_length(value)) : STR_NULL;
    if (!str_is_uuid(id) || *count >= IDS_MAX)
        return;
    buf_printf(list, "%s%.*s", (*count)++ > 0 ? "," : "", STR_ARG(gateway_url_encode(pool, id)));
}

/* Those that the job names, or all that are to be synchronised; without any, the one of the older settings.
 */
static err_t *choose(const service_t *sync, json_t **rows)
{
    size_t i, count = 0;
    const json_t *id, *ids = read_json_array(sync->job->scope, "vcenter_ids");
    buf_t list;
    gateway_client_t *client = job_client(sync->job);
    buf_init(&list, sync->pool, 64);
    json_array_foreach(ids, i, id) append_id(sync->pool, &list, id, &count);
    if (count == 0)
        append_id(sync->pool, &list, json_object_get(sync->job->details, "vcenter_id"), &count);
    if (count > 0)
        return gateway_select(
            client, sync->pool,
            pool_printf(sync->pool, "vcenters?select=*&id=in.(%.*s)&order=name", STR_ARG(buf_str(&list))),
            rows);
    err_t *err = gateway_select(client, sync->pool, STR("vcenters?select=*&order=name"), rows);
    if (err != NULL || json_array_size(*rows) == 0)
        return err != NULL ? err : gateway_select(client, sync->pool, STR(VCENTER_SETTINGS_QUERY), rows);
    return gateway_select(client, sync->pool, STR("vcenters?select=*&sync_enabled=is.true&order=name"), rows);
}

/* --- one of them --- */

static err_t *ask(service_t *sync, const json_t *row, json_t **inventory)
{
    str_t password = STR_NULL;
    vsphere_t *vsphere = NULL;
    err_t *err = service_password(sync, row, &password);
    if (err == NULL)
        err = vcenter_client(sync, row, password, EXCHANGE_MS, READ_MS, &vsphere);
    if (err == NULL)
        err = vsphere_open(vsphere, sync->pool, NULL);
    if (err == NULL)
        err = vsphere_inventory(vsphere, sync->pool, inventory);
    vsphere_destroy(vsphere);
    crypt_wipe((char *)password.base, password.len);
    return err;
}

/* Where it stands: which of them, and how far with that. */
static void note_phase(service_t *sync, int phase, const char *verb, str_t name)
{
    job_set(sync->job, "sync_phase", json_integer(phase));
    job_step(sync->job, "%s the inventory of %.*s", verb, STR_ARG(name));
}

static void note_outcome(service_t *sync, str_t id, const err_t *err)
{
    json_t *changes = json_object();
    json_object_set_new(changes, "last_sync", device_now(sync->pool));
    json_object_set_new(changes, "last_sync_status", json_string(err == NULL ? "success" : "failed"));
    json_object_set_new(changes, "last_sync_error", err != NULL ? device_text(err->message) : json_null());
    device_patch_row(sync->job, sync->pool, "vcenters", id, changes);
}

static json_t *describe(const json_t *row, str_t id, const err_t *err, bool is_clean)
{
    json_t *result = json_object();
    const char *status = err != NULL ? "failed" : is_clean ? "success" : "completed_with_warnings";
    json_object_set_new(result, "vcenter_id", device_text(id));
    json_object_set_new(result, "vcenter_name", device_text(read_json_str(row, "name")));
    json_object_set_new(result, "vcenter_host", device_text(read_json_str(row, "host")));
    json_object_set_new(result, "status", json_string(status));
    json_object_set_new(result, "success", json_boolean(err == NULL));
    if (err != NULL)
        json_object_set_new(result, "error", device_text(err->message));
    return result;
}

static void add_counts(service_t *sync, json_t *result, const json_t *inventory,
                       const service_stored_t *stored)
{
    json_object_set_new(result, "total", json_integer(stored->total));
    json_object_set_new(result, "new", json_integer(stored->added));
    json_object_set_new(result, "updated", json_integer(stored->updated));
    json_object_set_new(result, "errors", json_integer(stored->failed));
    json_object_set_new(result, "auto_linked", json_integer(stored->linked));
    job_add(sync->job, "auto_linked", stored->linked);
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++) {
        json_int_t count = (json_int_t)json_array_size(json_object_get(inventory, LISTS[i]));
        json_object_set_new(result, LISTS[i], json_integer(count));
        job_add(sync->job, LISTS[i], count);
    }
}

static err_t *sync_one(service_t *sync, const json_t *row)
{
    json_t *inventory = NULL;
    service_stored_t stored = {0};
    bool has_row = json_object_get(row, "sync_enabled") != NULL && json_object_get(row, "is_primary") != NULL;
    str_t name = read_json_str(row, "name"), id = has_row ? read_json_str(row, "id") : STR_NULL;
    int64_t began = clock_mono_us();
    note_phase(sync, PHASE_READING, "Reading", name);
    err_t *err = ask(sync, row, &inventory);
    if (err == NULL) {
        note_phase(sync, PHASE_STORING, "Storing", name);
        err = vcenter_store_inventory(sync, id, name, inventory, &stored);
    }
    if (sync->job->is_halted)
        return err;
    if (id.len > 0)
        note_outcome(sync, id, err);
    bool is_clean = stored.failed == 0;
    json_t *result = describe(row, id, err, is_clean);
    json_object_set_new(result, "sync_duration_seconds", json_integer((clock_mono_us() - began) / 1000000));
    if (err == NULL)
        add_counts(sync, result, inventory, &stored);
    job_append(sync->job, "vcenter_results", result);
    job_log(sync->job, err != NULL ? "ERROR" : "INFO", "%.*s: %.*s", STR_ARG(name),
            STR_ARG(err != NULL ? err->message
                    : is_clean  ? STR("synchronised")
                                : STR("synchronised, with failures")));
    return err;
}

static void sync_all(service_t *sync, const json_t *rows)
{
    size_t i, failed = 0, count = json_array_size(rows);
    const json_t *row;
    err_t *first = NULL;
    int64_t began = clock_mono_us();
    job_set(sync->job, "total_vcenters", json_integer((json_int_t)count));
    json_array_foreach(rows, i, row)
    {
        if (job_must_stop(sync->job))
            return;
        job_set(sync->job, "current_vcenter_index", json_integer((json_int_t)i));
        job_set(sync->job, "current_vcenter_name", device_text(read_json_str(row, "name")));
        err_t *err = sync_one(sync, row);
        first = first != NULL ? first : err;
        failed += err != NULL;
        job_progress(sync->job, i + 1, count);
    }
    if (sync->job->is_halted)
        return;
    job_set(sync->job, "sync_phase", json_integer(PHASE_DONE));
    job_set(sync->job, "sync_duration_seconds", json_integer((clock_mono_us() - began) / 1000000));
    job_set(sync->job, "vcenters_synced", json_integer((json_int_t)(count - failed)));
    job_set(sync->job, "success_count", json_integer((json_int_t)(count - failed)));
    job_set(sync->job, "failed_count", json_integer((json_int_t)failed));
    job_task_write(sync->job, sync->task_id, failed > 0 ? "failed" : "completed", 100,
                   pool_printf(sync->pool, "%zu of %zu vCenters synchronised", count - failed, count));
    if (failed > 0) /* one that is down does not stop the others, and is not passed over either */
        job_fail(sync->job, "%zu of %zu vCenters could not be synchronised: %.*s", failed, count,
                 STR_ARG(first->message));
}

void job_vcenter_sync(job_t *job)
{
    json_t *rows = NULL;
    service_t sync;
    err_t *err = service_begin(&sync, job);
    job_task_write(job, sync.task_id, "running", 0, STR("Looking for vCenters"));
    if (err == NULL)
        err = choose(&sync, &rows);
    if (err == NULL && json_array_size(rows) == 0)
        err = err_make(sync.pool, 0, ERR_FAMILY_UPSTREAM, "none", "No vCenter to synchronise");
    if (err == NULL)
        sync_all(&sync, rows);
    else if (!job->is_halted) {
        job_task_write(job, sync.task_id, "failed", 100, err->message);
        job_fail(job, "%.*s", STR_ARG(err->message));
    }
    service_end(&sync);
}
