#include "executor/jobs/device.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/read_json.h"

json_t *device_now(pool_t *pool)
{
    str_t now = clock_iso8601(pool, clock_unix_ms());
    return json_stringn(now.base, now.len);
}

json_t *device_text(str_t text)
{
    json_t *value = text.len > 0 ? json_stringn(text.base, text.len) : NULL;
    return value != NULL ? value : json_null();
}

static void on_record(void *arg, const redfish_record_t *record)
{
    device_t *device = arg;
    pool_t *pool = pool_create();
    json_t *row = activity_row(pool, &device->job->settings, &device->about, record);
    pool_destroy(pool);
    if (row == NULL)
        return;
    if (!device->is_polling) {
        job_add_command(device->job, row);
        return;
    }
    json_decref(device->held);
    device->held = row;
}

void device_poll_begin(device_t *device)
{
    device->is_polling = true;
}

void device_poll_keep(device_t *device, bool is_news)
{
    if (!is_news || device->held == NULL)
        return;
    job_add_command(device->job, device->held);
    device->held = NULL;
}

void device_poll_drop(device_t *device)
{
    json_decref(device->held);
    device->held = NULL;
}

void device_poll_end(device_t *device)
{
    device_poll_keep(device, true);
    device->is_polling = false;
}

static void make_client(device_t *device, const device_options_t *options)
{
    const settings_t *settings = &device->job->settings;
    redfish_options_t made = {
        .address = options->address,
        .username = options->credential.username,
        .password = options->credential.password,
        .is_verified = config_bool(device->job->executor->config, "BASALT_DEVICE_VERIFY_TLS"),
        .is_legacy_tls = device->is_legacy_tls,
        .is_guard_forced = options->is_guard_forced,
        .addr_policy = device->job->executor->device_addresses,
        .connect_timeout_ms =
            options->connect_timeout_ms > 0 ? options->connect_timeout_ms : settings->connect_timeout_ms,
        .timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : settings->read_timeout_ms,
        .attempts_max = options->attempts_max > 0 ? options->attempts_max : settings->attempts_max,
        .retry_delay_ms = settings->retry_delay_ms,
        .guard = options->is_unguarded ? NULL : device->job->executor->guard,
        .is_cancelled = &device->job->is_halted,
        .on_record = on_record,
        .arg = device,
    };
    device->redfish = redfish_create(&made);
}

void device_create(device_t *device, job_t *job, pool_t *pool, const device_options_t *options)
{
    *device = (device_t){.job = job,
                         .pool = pool,
                         .credential = options->credential,
                         .about = {options->server_id, options->task_id, options->credential.password},
                         .is_legacy_tls = options->is_legacy_tls};
    make_client(device, options);
}

err_t *device_open(device_t *device)
{
    err_t *err = redfish_open(device->redfish, device->pool);
    bool may_be_old =
        err != NULL && (str_eq(err->code, STR("tls")) || str_eq(err->details, STR("handshake")));
    if (!may_be_old || device->is_legacy_tls)
        return err;
    redfish_use_legacy_tls(device->redfish);
    err_t *again = redfish_open(device->redfish, device->pool);
    if (again != NULL)
        return err; /* the first reason is the better one */
    device->is_legacy_tls = true;
    return NULL;
}

static str_t session_step(pool_t *pool, str_t server_id)
{
    return pool_printf(pool, "session:%.*s", STR_ARG(server_id));
}

void device_close(device_t *device)
{
    device_poll_end(device);
    bool has_session = redfish_session_path(device->redfish).len > 0;
    redfish_destroy(device->redfish);
    if (has_session && device->about.server_id.len > 0)
        job_journal_done(device->job, session_step(device->pool, device->about.server_id), NULL);
    device->redfish = NULL;
    credential_wipe(&device->credential);
}

err_t *device_book(job_t *job, pool_t *pool, credential_book_t *out)
{
    const config_t *config = job->executor->config;
    *out = (credential_book_t){.default_username = config_str(config, "IDRAC_DEFAULT_USER"),
                               .default_password = config_str(config, "IDRAC_DEFAULT_PASSWORD")};
    return credential_book_load(job_client(job), pool, config_str(config, "ENCRYPTION_KEY"), out);
}

void device_patch_row(job_t *job, pool_t *pool, const char *table, str_t id, json_t *changes)
{
    str_t query = pool_printf(pool, "%s?id=eq.%.*s", table, STR_ARG(id));
    err_t *err = gateway_write(job_client(job), pool, STR("PATCH"), query, changes, STR_NULL, NULL);
    json_decref(changes);
    if (err == NULL)
        return;
    observe(LOG_WARN, "row_not_written", F_CSTR("table", table), F_STR("id", id),
            F_STR("message", err->message));
    job_log(job, "WARN", "Could not update %s %.*s: %.*s", table, STR_ARG(id), STR_ARG(err->message));
}

void device_note_health(job_t *job, pool_t *pool, str_t server_id, const redfish_health_t *health)
{
    json_t *row = json_object();
    json_object_set_new(row, "power_state", device_text(health->power_state));
    json_object_set_new(row, "overall_health", device_text(health->overall_health));
    json_object_set_new(row, "last_health_check", device_now(pool));
    json_object_set_new(row, "connection_status", json_string("online"));
    device_patch_row(job, pool, "servers", server_id, row);
}

json_t *device_failure_columns(pool_t *pool, const err_t *err)
{
    json_t *row = json_object();
    bool is_auth = str_eq(err->code, STR("auth"));
    json_object_set_new(row, "last_connection_test", device_now(pool));
    json_object_set_new(row, "connection_status", json_string("offline"));
    json_object_set_new(row, "connection_error", device_text(str_slice(err->message, 0, 1000)));
    if (is_auth) {
        json_object_set_new(row, "credential_test_status", json_string("invalid"));
        json_object_set_new(row, "credential_last_tested", device_now(pool));
    }
    return row;
}

static json_t *success_columns(pool_t *pool, bool is_new_legacy)
{
    json_t *row = json_object();
    json_object_set_new(row, "last_connection_test", device_now(pool));
    json_object_set_new(row, "last_seen", device_now(pool));
    json_object_set_new(row, "connection_status", json_string("online"));
    json_object_set_new(row, "connection_error", json_null());
    json_object_set_new(row, "credential_test_status", json_string("valid"));
    json_object_set_new(row, "credential_last_tested", device_now(pool));
    if (is_new_legacy)
        json_object_set_new(row, "requires_legacy_ssl", json_true());
    return row;
}

/* A session that a killed process has left behind is ended; the new one is noted for the same case. */
static void note_session(device_t *device, pool_t *pool)
{
    const json_t *former = NULL;
    str_t step = session_step(pool, device->about.server_id), path = redfish_session_path(device->redfish);
    const char *state = job_journal_state(device->job, step, &former);
    if (state != NULL && strcmp(state, "started") == 0 && json_is_object(former))
        redfish_drop_session(device->redfish, pool, read_json_str(former, "path"));
    if (path.len == 0)
        return;
    job_journal_note(device->job, step, json_pack("{s:s%}", "path", path.base, path.len));
    job_flush_quietly(device->job);
}

static void audit_use(device_t *device)
{
    json_t *details = json_object();
    json_object_set_new(details, "server_id", device_text(device->about.server_id));
    json_object_set_new(details, "username", device_text(device->credential.username));
    json_object_set_new(details, "source", device_text(device->credential.source));
    json_object_set_new(details, "credential_set_id", device_text(device->credential.set_id));
    job_audit(device->job, "credentials_used", details);
}

err_t *device_open_server(device_t *device, job_t *job, pool_t *pool, const json_t *server, str_t task_id)
{
    credential_book_t book;
    str_t server_id = read_json_str(server, "id");
    device_options_t options = {.address = read_json_str(server, "ip_address"),
                                .server_id = server_id,
                                .task_id = task_id,
                                .is_legacy_tls = read_json_bool(server, "requires_legacy_ssl", false)};
    *device = (device_t){0};
    err_t *err = device_book(job, pool, &book);
    if (err == NULL)
        err = credential_find(&book, pool, server, &options.credential);
    if (err != NULL)
        return err;
    job_log(job, "INFO", "%.*s: credentials from %.*s", STR_ARG(options.address),
            STR_ARG(options.credential.source));
    device_create(device, job, pool, &options);
    audit_use(device);
    err = device_open(device);
    if (err == NULL)
        note_session(device, pool);
    json_t *system = NULL;
    bool has_session = err == NULL && redfish_session_path(device->redfish).len > 0;
    if (err == NULL && !has_session) /* Basic is only proven by a protected resource */
        err = redfish_get(device->redfish, pool, STR("/redfish/v1/Systems"), &system);
    if (str_eq(err != NULL ? err->code : STR(""), STR("not_supported")))
        err = NULL;
    device_patch_row(job, pool, "servers", server_id,
                     err != NULL ? device_failure_columns(pool, err)
                                 : success_columns(pool, device->is_legacy_tls && !options.is_legacy_tls));
    if (err != NULL) {
        device_close(device);
        *device = (device_t){0};
    }
    return err;
}
