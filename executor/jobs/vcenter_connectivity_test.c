#include "executor/jobs/device.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/vcenter.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/read_json.h"
#include "base/target.h"

#include <unistd.h>

enum { TIMEOUT_MS = 10000, DEADLINE_MS = 30000, HOST_PORT = 902 };

/* What was tried, in order, and what came of it. */
typedef struct {
    service_t vcenter;
    const json_t *row; /* {host, port, username, verify_ssl} */
    str_t password;
    json_t *tests;
    int64_t begun_us;
} test_t;

static void begin(test_t *test, const char *what)
{
    job_step(test->vcenter.job, "Testing %s", what);
    test->begun_us = clock_mono_us();
}

static void note(test_t *test, const char *name, bool is_good, bool is_needed, str_t message)
{
    json_t *one = json_object();
    json_object_set_new(one, "name", json_string(name));
    json_object_set_new(one, "success", json_boolean(is_good));
    json_object_set_new(one, "required", json_boolean(is_needed));
    json_object_set_new(one, "message", device_text(message));
    json_object_set_new(one, "response_time_ms", json_integer((clock_mono_us() - test->begun_us) / 1000));
    json_array_append_new(test->tests, one);
    job_log(test->vcenter.job,
            is_good     ? "INFO"
            : is_needed ? "ERROR"
                        : "WARN",
            "%s: %.*s", name, STR_ARG(message));
}

static err_t *resolve(test_t *test)
{
    begin(test, "the name");
    err_t *err = target_resolve(test->vcenter.pool, read_json_str(test->row, "host"), TIMEOUT_MS);
    note(test, "dns", err == NULL, true, err != NULL ? err->message : STR("the name is known"));
    return err;
}

static err_t *connect_to(test_t *test, int64_t port, const char *name, bool is_needed)
{
    str_t url;
    target_socket_t connected;
    pool_t *pool = test->vcenter.pool;
    begin(test, name);
    err_t *err = service_url(pool, read_json_str(test->row, "host"), port, &url);
    if (err == NULL)
        err = target_connect(pool, read_json_str(test->row, "host"), (uint16_t)port,
                             test->vcenter.job->executor->device_addresses, TIMEOUT_MS, &connected);
    if (err == NULL)
        close(connected.fd);
    note(test, name, err == NULL, is_needed, err != NULL ? err->message : STR("the port is open"));
    return err;
}

static err_t *sign_in(test_t *test)
{
    json_t *inventory = NULL;
    vsphere_t *vsphere = NULL;
    vsphere_about_t about = {0};
    pool_t *pool = test->vcenter.pool;
    begin(test, "the login");
    err_t *err = vcenter_client(&test->vcenter, test->row, test->password, TIMEOUT_MS, DEADLINE_MS, &vsphere);
    if (err == NULL)
        err = vsphere_open(vsphere, pool, &about);
    note(test, "login", err == NULL, true, err != NULL ? err->message : pool_str(pool, about.name));
    if (err == NULL) {
        job_set(test->vcenter.job, "version", device_text(about.version));
        begin(test, "the inventory");
        err = vsphere_inventory(vsphere, pool, &inventory);
        size_t hosts = json_array_size(json_object_get(inventory, "hosts"));
        note(test, "inventory", err == NULL, true,
             err != NULL ? err->message : pool_printf(pool, "%zu hosts are seen", hosts));
        job_set(test->vcenter.job, "host_count", json_integer((json_int_t)hosts));
    }
    vsphere_destroy(vsphere);
    return err;
}

static const char *category_of(const err_t *err)
{
    static const struct {
        const char *code, *category;
    } CATEGORIES[] = {{"auth", "authentication"},
                      {"undecipherable", "authentication"},
                      {"tls", "ssl"},
                      {"connect", "network"},
                      {"timeout", "network"},
                      {"address", "network"}};
    for (size_t i = 0; i < sizeof(CATEGORIES) / sizeof(CATEGORIES[0]); i++) {
        if (str_eq(err->code, str_from_c(CATEGORIES[i].code)))
            return CATEGORIES[i].category;
    }
    return "unknown";
}

/* The job's own words, or the stored vCenter that it names; a stored password goes only where it is stored
 * for. */
static err_t *find_target(test_t *test)
{
    json_t *row = NULL;
    job_t *job = test->vcenter.job;
    pool_t *pool = test->vcenter.pool;
    str_t id = read_json_str(job->details, "vcenter_id");
    if (read_json_str(job->details, "host").len > 0) {
        test->row = job->details;
        test->password = pool_str(pool, read_json_str(job->details, "password"));
        return NULL;
    }
    str_t query = str_is_uuid(id) ? pool_printf(pool, "vcenters?select=*&id=eq.%.*s", STR_ARG(id))
                                  : STR(VCENTER_SETTINGS_QUERY);
    err_t *err = gateway_select_one(job_client(job), pool, query, &row);
    if (err == NULL && row == NULL)
        err = err_make(pool, 404, ERR_FAMILY_REQUEST, "none", "There is no such vCenter");
    test->row = row;
    return err != NULL ? err : service_password(&test->vcenter, row, &test->password);
}

static err_t *run_tests(test_t *test)
{
    err_t *err = find_target(test);
    if (err == NULL)
        err = resolve(test);
    if (err == NULL)
        err = connect_to(test, read_json_int(test->row, "port", 443), "tcp", true);
    if (err == NULL) {
        err_t *ignored =
            connect_to(test, HOST_PORT, "tcp_902", false); /* consoles and copies of machines need it */
        (void)ignored;
        err = sign_in(test);
    }
    return err;
}

static void publish(test_t *test, const err_t *err)
{
    job_t *job = test->vcenter.job;
    str_t message = err != NULL ? err->message : STR("The vCenter answers and the login is good");
    job_set(job, "tests", json_incref(test->tests));
    job_set(job, "success", json_boolean(err == NULL));
    job_set(job, "message", device_text(message));
    if (err != NULL)
        job_set(job, "category", json_string(category_of(err)));
    job_task_write(job, test->vcenter.task_id, err == NULL ? "completed" : "failed", 100, message);
    job_progress(job, 1, 1);
    if (err != NULL)
        job_fail(job, "%.*s", STR_ARG(message));
}

/* A password that came with the job leaves the row before anything else. */
static bool hide_password(job_t *job)
{
    if (json_object_get(job->details, "password") == NULL)
        return true;
    job_remove(job, "password");
    err_t *err = job_flush(job);
    if (err != NULL)
        job_fail(job, "The password could not be taken out of the job: %.*s", STR_ARG(err->message));
    return err == NULL;
}

void job_vcenter_connectivity_test(job_t *job)
{
    test_t test = {.tests = json_array()};
    if (hide_password(job)) {
        err_t *err = service_begin(&test.vcenter, job);
        job_task_write(job, test.vcenter.task_id, "running", 0, STR_NULL);
        if (err == NULL)
            err = run_tests(&test);
        if (!job->is_halted)
            publish(&test, err);
        crypt_wipe((char *)test.password.base, test.password.len);
        service_end(&test.vcenter);
    }
    json_decref(test.tests);
}
