#include "executor/jobs/discovery.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/servers.h"

#include "base/clock.h"
#include "base/read_json.h"
#include "drivers/credentials/range.h"

enum { ADDRESSES_MAX = 4096, RESULTS_SHOWN = 20, PUBLISH_US = 200000 };

/* --- which addresses
 * ---------------------------------------------------------------------------------------------- */

static err_t *add_range(job_t *job, str_t text, str_t *addresses, size_t *count)
{
    range_t range;
    str_t *expanded;
    size_t more = 0;
    if (!range_parse(text, &range)) {
        bool has_port = range_parse(range_host(text), &range); /* "10.0.0.5:8443" names one device */
        if (!has_port)
            return err_make(job->pool, 0, ERR_FAMILY_REQUEST, "scope",
                            "This is not an address or range: %.*s", STR_ARG(str_slice(text, 0, 100)));
        expanded = &text;
        more = 1;
    } else if (!range_expand(&range, job->pool, ADDRESSES_MAX - *count, &expanded, &more)) {
        return err_make(job->pool, 0, ERR_FAMILY_REQUEST, "scope",
                        "More than %d addresses in one scan are refused", ADDRESSES_MAX);
    }
    for (size_t i = 0; i < more && *count < ADDRESSES_MAX; i++)
        addresses[(*count)++] = pool_str(job->pool, expanded[i]);
    return NULL;
}

static err_t *add_list(job_t *job, const json_t *list, str_t *addresses, size_t *count)
{
    const json_t *item;
    size_t index;
    err_t *err = NULL;
    json_array_foreach(list, index, item)
    {
        if (err == NULL && json_is_string(item))
            err = add_range(job, str_from_c(json_string_value(item)), addresses, count);
    }
    return err;
}

static err_t *list_addresses(job_t *job, str_t **addresses, size_t *count)
{
    *addresses = POOL_ARRAY(job->pool, str_t, ADDRESSES_MAX);
    *count = 0;
    str_t range = read_json_str(job->scope, "ip_range");
    if (range.len == 0)
        range = read_json_str(job->details, "ip_range");
    err_t *err = NULL;
    while (err == NULL && range.len > 0) {
        str_t one = str_trim(str_split(&range, ','));
        if (one.len > 0)
            err = add_range(job, one, *addresses, count);
    }
    if (err == NULL)
        err = add_list(job, read_json_array(job->scope, "ip_ranges"), *addresses, count);
    if (err == NULL)
        err = add_list(job, read_json_array(job->scope, "ip_list"), *addresses, count);
    if (err == NULL && *count == 0)
        err = err_make(job->pool, 0, ERR_FAMILY_REQUEST, "scope",
                       "The job names no addresses (target_scope.ip_range, ip_list or server_ids)");
    return err;
}

/* --- what is known so far
 * ----------------------------------------------------------------------------------------- */

static json_t *newest(const json_t *results)
{
    json_t *out = json_array();
    size_t size = json_array_size(results);
    for (size_t i = size > RESULTS_SHOWN ? size - RESULTS_SHOWN : 0; i < size; i++)
        json_array_append_new(out, json_deep_copy(json_array_get(results, i)));
    return out;
}

/* Caller holds the scan's mutex. */
static void publish(scan_t *scan, str_t address)
{
    job_t *job = scan->job;
    const struct {
        const char *key;
        size_t value;
    } COUNTS[] = {{"ips_total", scan->address_count},
                  {"ips_processed", scan->done},
                  {"in_detecting", scan->in_detecting},
                  {"in_port_check", scan->in_detecting},
                  {"in_authenticating", scan->in_authenticating},
                  {"stage1_passed", scan->stage1_passed},
                  {"stage1_filtered", scan->done - scan->stage1_passed},
                  {"stage2_passed", scan->stage2_passed},
                  {"stage2_filtered", scan->stage1_passed - scan->stage2_passed},
                  {"discovered_count", scan->discovered},
                  {"auth_failures", scan->auth_failures}};
    for (size_t i = 0; i < sizeof(COUNTS) / sizeof(COUNTS[0]); i++)
        job_set(job, COUNTS[i].key, json_integer((json_int_t)COUNTS[i].value));
    job_set(job, "current_ip", device_text(address));
    job_set(job, "current_stage", json_string(scan->in_authenticating > 0 ? "authenticating" : "detecting"));
    job_set(job, "server_results", newest(scan->results));
    job_progress(job, scan->done, scan->address_count);
}

static void note_progress(scan_t *scan, str_t address)
{
    int64_t now = clock_mono_us();
    bool is_due = now - scan->published_us >= PUBLISH_US;
    if (!is_due)
        return;
    scan->published_us = now;
    publish(scan, address);
    job_step(scan->job, "Scanned %zu of %zu addresses", scan->done, scan->address_count);
}

static void note_outcome(scan_t *scan, str_t address, discovery_outcome_t *outcome)
{
    json_t *row = json_object();
    static const char *const STATUS[] = {"filtered", "auth_failed", "synced", "error"};
    json_object_set_new(row, "ip", device_text(address));
    json_object_set_new(row, "status", json_string(STATUS[outcome->kind]));
    if (outcome->kind == DISCOVERY_SYNCED) {
        json_object_set_new(row, "model", device_text(outcome->model));
        json_object_set_new(row, "service_tag", device_text(outcome->service_tag));
    }
    if (outcome->filter_reason != NULL)
        json_object_set_new(row, "filter_reason", json_string(outcome->filter_reason));
    if (outcome->server_id.len > 0)
        json_object_set_new(row, "server_id", device_text(outcome->server_id));
    if (outcome->error.len > 0)
        json_object_set_new(row, "error", device_text(outcome->error));
    pthread_mutex_lock(&scan->mutex);
    json_array_append_new(scan->results, row);
    scan->done++;
    scan->stage1_passed += outcome->is_reachable;
    scan->stage2_passed += outcome->is_idrac;
    scan->discovered += outcome->kind == DISCOVERY_SYNCED;
    scan->failed += outcome->kind == DISCOVERY_ERROR;
    if (outcome->kind == DISCOVERY_AUTH_FAILED) {
        scan->auth_failures++;
        json_array_append_new(scan->auth_failed, device_text(address));
    }
    note_progress(scan, address);
    pthread_mutex_unlock(&scan->mutex);
}

/* --- threads
 * ------------------------------------------------------------------------------------------------------ */

static bool next_address(scan_t *scan, str_t *address)
{
    pthread_mutex_lock(&scan->mutex);
    bool has_more = scan->next < scan->address_count && !job_must_stop(scan->job);
    if (has_more)
        *address = scan->addresses[scan->next++];
    pthread_mutex_unlock(&scan->mutex);
    return has_more;
}

static void scan_thread(void *arg)
{
    scan_t *scan = arg;
    str_t address;
    while (next_address(scan, &address)) {
        pool_t *pool = pool_create();
        discovery_outcome_t outcome = {0};
        discovery_visit(scan, pool, address, &outcome);
        if (!scan->job->is_halted)
            note_outcome(scan, address, &outcome);
        pool_destroy(pool);
    }
}

static void finish(scan_t *scan)
{
    job_t *job = scan->job;
    publish(scan, STR_NULL);
    job_set(job, "scanned_ips", json_integer((json_int_t)scan->done));
    job_set(job, "auth_failure_ips", json_deep_copy(scan->auth_failed));
    job_set(job, "stage3_passed", json_integer((json_int_t)scan->discovered));
    job_set(job, "stage3_failed", json_integer((json_int_t)scan->auth_failures));
    job_set(job, "auto_refresh_triggered", json_boolean(scan->discovered > 0)); /* details are read at once */
    job_set(job, "server_results", json_deep_copy(scan->results));
    job_set(job, "servers_total", json_integer((json_int_t)scan->discovered));
    job_set(job, "servers_refreshed", json_integer((json_int_t)scan->discovered));
    job_set(job, "current_stage", json_string("complete"));
    if (job_must_stop(job))
        return;
    if (scan->failed > 0)
        job_fail(job, "%zu of %zu discovered servers could not be stored", scan->failed, scan->stage2_passed);
    job_step(job, "Found %zu servers at %zu addresses, %zu refused all credentials", scan->discovered,
             scan->done, scan->auth_failures);
}

static void scan_addresses(job_t *job)
{
    scan_t scan = {.job = job, .results = json_array(), .auth_failed = json_array()};
    pthread_mutex_init(&scan.mutex, NULL);
    err_t *err = list_addresses(job, &scan.addresses, &scan.address_count);
    if (err == NULL)
        err = device_book(job, job->pool, &scan.book);
    if (err != NULL) {
        job_fail(job, "%.*s", STR_ARG(err->message));
    } else {
        job_log(job, "INFO", "Scanning %zu addresses", scan.address_count);
        if (!job_run_threads(job, job->settings.discovery_threads, scan_thread, &scan))
            job_fail(job, "No thread could be started for the scan");
        finish(&scan);
    }
    pthread_mutex_destroy(&scan.mutex);
    json_decref(scan.results);
    json_decref(scan.auth_failed);
}

static err_t *refresh_server(job_t *job, pool_t *pool, const json_t *server, str_t task_id,
                             discovery_facts_t *facts)
{
    device_t device;
    err_t *err = device_open_server(&device, job, pool, server, task_id);
    if (err != NULL)
        return err;
    err = discovery_read(device.redfish, pool, facts);
    device_close(&device);
    if (err != NULL)
        return err;
    json_t *row = discovery_columns(pool, facts);
    device_patch_row(job, pool, "servers", read_json_str(server, "id"), row);
    discovery_link_host(job_client(job), pool, read_json_str(server, "id"), facts->system.service_tag);
    return NULL;
}

/* The refresh of a known server is the last stage of a scan, and is told like it. */
static err_t *refresh_and_list(job_t *job, pool_t *pool, const json_t *server, str_t task_id, json_t *result,
                               str_t *note)
{
    discovery_facts_t facts = {0};
    err_t *err = refresh_server(job, pool, server, task_id, &facts);
    if (job->is_halted)
        return err;
    json_t *row = json_object();
    json_object_set_new(row, "ip", device_text(read_json_str(server, "ip_address")));
    json_object_set_new(row, "server_id", device_text(read_json_str(server, "id")));
    json_object_set_new(row, "status", json_string(err == NULL ? "synced" : "error"));
    json_object_set_new(row, "model", device_text(facts.system.model));
    json_object_set_new(row, "service_tag", device_text(facts.system.service_tag));
    if (err != NULL)
        json_object_set_new(row, "error", device_text(err->message));
    job_append(job, "server_results", row);
    job_add(job, err == NULL ? "servers_refreshed" : "servers_failed", 1);
    job_add(job, err == NULL ? "synced" : "failed", 1);
    if (err != NULL)
        return err;
    json_object_set_new(result, "service_tag", device_text(facts.system.service_tag));
    *note = pool_printf(pool, "%.*s, service tag %.*s", STR_ARG(facts.system.model),
                        STR_ARG(facts.system.service_tag));
    return NULL;
}

static void refresh(job_t *job, size_t count)
{
    static const servers_plan_t REFRESH = {
        .verb = "Refreshing", .is_parallel = true, .work = refresh_and_list};
    job_set(job, "servers_total", json_integer((json_int_t)count));
    job_set(job, "current_stage", json_string("sync"));
    job_add(job, "servers_refreshed", 0);
    job_add(job, "servers_failed", 0);
    servers_run(job, &REFRESH);
    if (!job_must_stop(job))
        job_set(job, "current_stage", json_string("complete"));
}

void job_discovery_scan(job_t *job)
{
    size_t known = json_array_size(read_json_array(job->scope, "server_ids"));
    if (known > 0)
        refresh(job, known);
    else
        scan_addresses(job);
}
