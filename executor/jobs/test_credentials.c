#include "executor/jobs/device.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/servers.h"

#include "base/read_json.h"

static void drop_row(json_t *row)
{
    json_decref(row);
}

/* The credential that came with the job, or of the named set. */
static err_t *pick_credential(job_t *job, pool_t *pool, credential_t *out)
{
    credential_book_t book;
    str_t username = read_json_str(job->details, "username"),
          password = read_json_str(job->details, "password");
    if (username.len > 0 && password.len > 0) {
        *out = (credential_t){
            .username = username, .password = pool_str(pool, password), .source = STR("the job")};
        return NULL;
    }
    const json_t *sets = read_json_array(job->row, "credential_set_ids");
    const char *set_id = json_string_value(json_array_get(sets, 0));
    err_t *err = device_book(job, pool, &book);
    if (err != NULL)
        return err;
    if (set_id != NULL)
        return credential_of_set(&book, pool, str_from_c(set_id), out);
    json_t *like = json_object();
    json_object_set_new(like, "ip_address", device_text(read_json_str(job->scope, "ip_address")));
    err = credential_find(&book, pool, like, out);
    drop_row(like);
    return err;
}

/* Reachable, a Redfish service, and the password opens a protected resource. */
static err_t *test_device(device_t *device, pool_t *pool, json_t *into)
{
    json_t *root = NULL;
    redfish_identity_t identity;
    redfish_system_t system = {0}, manager = {0};
    err_t *err = device_open(device);
    if (err == NULL)
        err = redfish_read_system(device->redfish, pool, &system);
    if (err != NULL)
        return err;
    if (redfish_probe(device->redfish, pool, &root) == NULL) {
        redfish_identify(root, &identity);
        json_object_set_new(into, "product", device_text(identity.product));
        json_object_set_new(into, "vendor", device_text(identity.vendor));
    }
    if (redfish_read_manager(device->redfish, pool, &manager) == NULL)
        json_object_set_new(into, "idrac_version", device_text(manager.firmware_version));
    json_object_set_new(into, "legacy_ssl", json_boolean(device->is_legacy_tls));
    json_object_set_new(into, "model", device_text(system.model));
    json_object_set_new(into, "service_tag", device_text(system.service_tag));
    return NULL;
}

/* The server row with this address, when there is one, learns the outcome. */
static void tell_server(job_t *job, pool_t *pool, str_t address, const err_t *err)
{
    json_t *server = NULL;
    str_t query =
        pool_printf(pool, "servers?select=id&ip_address=eq.%.*s", STR_ARG(gateway_url_encode(pool, address)));
    if (gateway_select_one(job_client(job), pool, query, &server) != NULL || server == NULL)
        return;
    json_t *row = err != NULL ? device_failure_columns(pool, err) : json_object();
    if (err == NULL) {
        json_object_set_new(row, "connection_status", json_string("online"));
        json_object_set_new(row, "connection_error", json_null());
        json_object_set_new(row, "credential_test_status", json_string("valid"));
        json_object_set_new(row, "credential_last_tested", device_now(pool));
        json_object_set_new(row, "last_seen", device_now(pool));
    }
    device_patch_row(job, pool, "servers", read_json_str(server, "id"), row);
}

static void publish(job_t *job, json_t *found, const err_t *err)
{
    json_t *value;
    const char *key;
    json_object_foreach(found, key, value) job_set(job, key, json_incref(value));
    job_set(job, "success", json_boolean(err == NULL));
    bool is_auth = err != NULL && str_eq(err->code, STR("auth"));
    if (err == NULL) {
        job_set(job, "message", json_string("Credentials are valid"));
        return;
    }
    str_t message = is_auth ? STR("Authentication failed - invalid credentials") : err->message;
    job_set(job, "message", device_text(message));
    job_fail(job, "%.*s", STR_ARG(message));
}

static void test_address(job_t *job, str_t address)
{
    pool_t *pool = pool_create();
    device_options_t options = {.address = address, .is_guard_forced = true, .attempts_max = 1};
    device_t device;
    json_t *found = json_object();
    options.task_id = job_task_id(job, STR_NULL);
    job_task_write(job, options.task_id, "running", 0, pool_printf(pool, "Testing %.*s", STR_ARG(address)));
    job_step(job, "Testing credentials on %.*s", STR_ARG(address));
    err_t *err = pick_credential(job, pool, &options.credential);
    if (err == NULL) {
        job_log(job, "INFO", "Testing %.*s with credentials from %.*s", STR_ARG(address),
                STR_ARG(options.credential.source));
        device_create(&device, job, pool, &options);
        err = test_device(&device, pool, found);
        device_close(&device);
        if (!job->is_halted)
            tell_server(job, pool, address, err);
    }
    if (!job->is_halted) {
        publish(job, found, err);
        job_task_write(job, options.task_id, err == NULL ? "completed" : "failed", 100,
                       err == NULL ? STR("Credentials are valid") : err->message);
        job_progress(job, 1, 1);
    }
    json_decref(found);
    pool_destroy(pool);
}

static err_t *test_server(job_t *job, pool_t *pool, const json_t *server, str_t task_id, json_t *result,
                          str_t *note)
{
    device_t device;
    redfish_system_t system;
    err_t *err = device_open_server(&device, job, pool, server, task_id);
    if (err != NULL)
        return err;
    err = redfish_read_system(device.redfish, pool, &system);
    json_object_set_new(result, "credentials_from", device_text(device.credential.source));
    device_close(&device);
    *note = STR("credentials are valid");
    return err;
}

void job_test_credentials(job_t *job)
{
    static const servers_plan_t PLAN = {
        .verb = "Testing credentials of", .is_parallel = true, .work = test_server};
    str_t address = read_json_str(job->scope, "ip_address");
    /* A password that came with the job leaves the row before anything else. */
    if (json_object_get(job->details, "password") != NULL) {
        job_remove(job, "password");
        err_t *err = job_flush(job);
        if (err != NULL) {
            job_fail(job, "The password could not be taken out of the job: %.*s", STR_ARG(err->message));
            return;
        }
    }
    if (address.len == 0)
        address = read_json_str(job->details, "ip_address");
    if (address.len > 0)
        test_address(job, address);
    else
        servers_run(job, &PLAN);
}
