#include "executor/jobs/device.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/service.h"

#include "base/crypt.h"
#include "base/read_json.h"
#include "drivers/openmanage/openmanage.h"

enum { EXCHANGE_MS = 60000, PART = 500, UNKNOWN_MAX = 20 };

#define SETTINGS_QUERY "openmanage_settings?select=*,password_encrypted:password&order=created_at&limit=1"

/* The session's answer is a token, and its question the password: neither is written down. */
static void on_record(void *arg, const openmanage_record_t *record)
{
    redfish_record_t same = {.method = str_from_c(record->method),
                             .path = record->path,
                             .url = record->url,
                             .headers = record->headers,
                             .header_count = record->header_count,
                             .status = record->status,
                             .elapsed_us = record->elapsed_us,
                             .is_success = record->is_success,
                             .error = record->error};
    service_record(arg, &same);
}

static err_t *settings_of(service_t *sync, json_t **row)
{
    err_t *err = gateway_select_one(job_client(sync->job), sync->pool, STR(SETTINGS_QUERY), row);
    if (err == NULL && *row == NULL)
        err = err_make(sync->pool, 0, ERR_FAMILY_UPSTREAM, "none", "No OpenManage Enterprise is set up");
    if (err == NULL && !read_json_bool(*row, "sync_enabled", false))
        err = err_make(sync->pool, 0, ERR_FAMILY_UPSTREAM, "off",
                       "The OpenManage synchronisation is switched off");
    return err;
}

static err_t *client_of(service_t *sync, const json_t *row, openmanage_t **out)
{
    const executor_t *executor = sync->job->executor;
    openmanage_options_t options = {.username = read_json_str(row, "username"),
                                    .is_verified = read_json_bool(row, "verify_ssl", true),
                                    .ca_file = config_str(executor->config, "BASALT_CA_FILE"),
                                    .addr_policy = executor->device_addresses,
                                    .timeout_ms = EXCHANGE_MS,
                                    .is_cancelled = &sync->job->is_halted,
                                    .on_record = on_record,
                                    .arg = sync};
    err_t *err = service_url(sync->pool, read_json_str(row, "host"), read_json_int(row, "port", 443),
                             &options.base_url);
    if (err == NULL)
        err = service_password(sync, row, &options.password);
    if (err != NULL)
        return err;
    sync->about = (activity_about_t){
        .operation_type = "openmanage_api", .task_id = sync->task_id, .secret = options.password};
    *out = openmanage_create(&options);
    return NULL;
}

/* --- what is read --- */

static str_t name_of(const json_t *server)
{
    str_t tag = read_json_str(server, "service_tag"), name = read_json_str(server, "hostname");
    return tag.len > 0 ? tag : name.len > 0 ? name : STR("(unnamed)");
}

/* A server without a list of software is taken all the same; a service that is away ends it. */
static err_t *add_versions(service_t *sync, openmanage_t *openmanage, json_t *server, size_t *unknown)
{
    pool_t *pool = pool_create();
    err_t *err = openmanage_add_versions(openmanage, pool, server);
    bool is_its_own =
        err != NULL && (str_eq(err->code, STR("refused")) || str_eq(err->code, STR("protocol")));
    if (is_its_own && ++*unknown <= UNKNOWN_MAX)
        job_log(sync->job, "WARN", "%.*s: no software versions: %.*s", STR_ARG(name_of(server)),
                STR_ARG(err->message));
    err = err != NULL && !is_its_own ? err_copy(sync->pool, err) : NULL;
    pool_destroy(pool);
    return err;
}

/* Leaves the servers that can be stored in `*servers`, counts the others. */
static err_t *read_servers(service_t *sync, openmanage_t *openmanage, json_t **servers, size_t *skipped)
{
    size_t unknown = 0;
    json_t *all = NULL;
    job_step(sync->job, "Reading the devices");
    err_t *err = openmanage_servers(openmanage, sync->pool, &all);
    for (size_t i = 0; i < json_array_size(all) && err == NULL && !sync->job->is_halted; i++) {
        json_t *server = json_array_get(all, i);
        if (read_json_str(server, "service_tag").len == 0 || read_json_str(server, "ip_address").len == 0) {
            (*skipped)++;
            job_log(sync->job, "WARN", "%.*s: no service tag or address", STR_ARG(name_of(server)));
            continue;
        }
        if (read_json_str(server, "device_id").len > 0)
            err = add_versions(sync, openmanage, server, &unknown);
        json_array_append(*servers, server);
        job_progress(sync->job, i + 1, json_array_size(all) + 1);
    }
    return err;
}

/* --- what is stored --- */

static err_t *store_part(service_t *sync, const json_t *servers, size_t from, service_stored_t *stored)
{
    json_t *part = json_array(), *body = json_object();
    for (size_t i = from; i < json_array_size(servers) && i < from + PART; i++)
        json_array_append(part, json_array_get(servers, i));
    json_object_set_new(body, "devices", part);
    json_object_set_new(
        body, "manual",
        json_boolean(str_eq(read_json_str(sync->job->details, "triggered_by"), STR("manual"))));
    err_t *err = service_store(sync, STR("openmanage-sync"), body, STR(""), stored);
    json_decref(body);
    return err;
}

static err_t *synchronise(service_t *sync, const json_t *row, json_t *servers, size_t *skipped,
                          service_stored_t *stored)
{
    openmanage_t *openmanage = NULL;
    err_t *err = client_of(sync, row, &openmanage);
    if (err == NULL)
        err = openmanage_open(openmanage, sync->pool);
    if (err == NULL)
        err = read_servers(sync, openmanage, &servers, skipped);
    openmanage_destroy(openmanage);
    crypt_wipe((char *)sync->about.secret.base, sync->about.secret.len);
    job_step(sync->job, "Storing %zu servers", json_array_size(servers));
    for (size_t i = 0; i < json_array_size(servers) && err == NULL && !sync->job->is_halted; i += PART)
        err = store_part(sync, servers, i, stored);
    return err;
}

static void publish(service_t *sync, size_t total, size_t skipped, const service_stored_t *stored)
{
    job_set(sync->job, "total", json_integer((json_int_t)total));
    job_set(sync->job, "new", json_integer(stored->added));
    job_set(sync->job, "updated", json_integer(stored->updated));
    job_set(sync->job, "skipped", json_integer((json_int_t)skipped));
    job_set(sync->job, "auto_linked", json_integer(stored->linked));
    job_set(sync->job, "errors", json_integer(stored->failed));
}

void job_openmanage_sync(job_t *job)
{
    service_t sync;
    service_stored_t stored = {0};
    size_t skipped = 0;
    json_t *row = NULL, *servers = json_array();
    err_t *err = service_begin(&sync, job);
    job_task_write(job, sync.task_id, "running", 0, STR("Looking for the OpenManage Enterprise"));
    if (err == NULL)
        err = settings_of(&sync, &row);
    if (err == NULL)
        err = synchronise(&sync, row, servers, &skipped, &stored);
    if (!job->is_halted) {
        publish(&sync, json_array_size(servers) + skipped, skipped, &stored);
        job_task_write(job, sync.task_id, err != NULL ? "failed" : "completed", 100,
                       err != NULL
                           ? err->message
                           : pool_printf(sync.pool, "%zu servers synchronised, %lld failed, %zu skipped",
                                         json_array_size(servers), (long long)stored.failed, skipped));
    }
    if (err != NULL && !job->is_halted)
        job_fail(job, "%.*s", STR_ARG(err->message));
    json_decref(servers);
    service_end(&sync);
}
