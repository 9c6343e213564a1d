#include "executor/jobs/discovery.h"

#include "base/log.h"
#include "base/read_json.h"

enum { PROBE_CONNECT_MS = 1000, PROBE_MS = 3000 };

err_t *discovery_read(redfish_t *redfish, pool_t *pool, discovery_facts_t *out)
{
    json_t *root = NULL;
    redfish_system_t manager = {0};
    err_t *err = redfish_read_system(redfish, pool, &out->system);
    if (err != NULL)
        return err;
    if (redfish_probe(redfish, pool, &root) == NULL)
        redfish_identify(root, &out->identity);
    if (redfish_read_manager(redfish, pool, &manager) == NULL)
        out->system.firmware_version = manager.firmware_version;
    return NULL;
}

static void set_if_known(json_t *row, const char *key, str_t value)
{
    if (value.len > 0)
        json_object_set_new(row, key, device_text(value));
}

json_t *discovery_columns(pool_t *pool, const discovery_facts_t *facts)
{
    const redfish_system_t *system = &facts->system;
    json_t *row = json_object();
    set_if_known(row, "hostname", system->hostname);
    set_if_known(row, "model", system->model);
    set_if_known(row, "product_name", system->model);
    set_if_known(row, "manufacturer", system->manufacturer);
    set_if_known(row, "service_tag", system->service_tag);
    set_if_known(row, "bios_version", system->bios_version);
    set_if_known(row, "idrac_firmware", system->firmware_version);
    set_if_known(row, "power_state", system->power_state);
    set_if_known(row, "overall_health", system->health);
    set_if_known(row, "cpu_model", system->cpu_model);
    set_if_known(row, "redfish_version", facts->identity.redfish_version);
    set_if_known(row, "manager_mac_address", facts->identity.mac_address);
    if (system->cpu_count > 0)
        json_object_set_new(row, "cpu_count", json_integer(system->cpu_count));
    if (system->memory_gb > 0)
        json_object_set_new(row, "memory_gb", json_integer(system->memory_gb));
    json_object_set_new(row, "connection_status", json_string("online"));
    json_object_set_new(row, "connection_error", json_null());
    json_object_set_new(row, "credential_test_status", json_string("valid"));
    json_object_set_new(row, "credential_last_tested", device_now(pool));
    json_object_set_new(row, "last_seen", device_now(pool));
    return row;
}

void discovery_link_host(gateway_client_t *client, pool_t *pool, str_t server_id, str_t service_tag)
{
    json_t *host = NULL;
    if (service_tag.len == 0 || server_id.len == 0)
        return;
    str_t tag = gateway_url_encode(pool, service_tag);
    err_t *err = gateway_select_one(
        client, pool, pool_printf(pool, "vcenter_hosts?select=id&serial_number=eq.%.*s", STR_ARG(tag)),
        &host);
    if (err == NULL && host != NULL) {
        str_t host_id = read_json_str(host, "id");
        json_t *to_host = json_pack("{s:s%}", "vcenter_host_id", host_id.base, host_id.len);
        json_t *to_server = json_pack("{s:s%}", "server_id", server_id.base, server_id.len);
        err = gateway_write(client, pool, STR("PATCH"),
                            pool_printf(pool, "servers?id=eq.%.*s", STR_ARG(server_id)), to_host, STR_NULL,
                            NULL);
        if (err == NULL)
            err = gateway_write(client, pool, STR("PATCH"),
                                pool_printf(pool, "vcenter_hosts?id=eq.%.*s", STR_ARG(host_id)), to_server,
                                STR_NULL, NULL);
        json_decref(to_host);
        json_decref(to_server);
    }
    if (err != NULL)
        observe(LOG_WARN, "host_not_linked", F_STR("server", server_id), F_STR("message", err->message));
}

/* The row of this machine: by service tag (its iDRAC may have got another address), else by address. */
static err_t *find_row(gateway_client_t *client, pool_t *pool, str_t address, str_t service_tag, json_t **row)
{
    *row = NULL;
    if (service_tag.len > 0) {
        err_t *err = gateway_select_one(client, pool,
                                        pool_printf(pool, "servers?select=id&service_tag=eq.%.*s",
                                                    STR_ARG(gateway_url_encode(pool, service_tag))),
                                        row);
        if (err != NULL || *row != NULL)
            return err;
    }
    return gateway_select_one(
        client, pool,
        pool_printf(pool, "servers?select=id&ip_address=eq.%.*s", STR_ARG(gateway_url_encode(pool, address))),
        row);
}

static err_t *store(gateway_client_t *client, pool_t *pool, str_t address, json_t *columns, str_t *server_id)
{
    json_t *row = NULL, *written = NULL;
    err_t *err = find_row(client, pool, address, read_json_str(columns, "service_tag"), &row);
    if (err != NULL)
        return err;
    json_object_set_new(columns, "ip_address", device_text(address));
    str_t id = row != NULL ? read_json_str(row, "id") : STR_NULL;
    str_t query = id.len > 0 ? pool_printf(pool, "servers?id=eq.%.*s", STR_ARG(id)) : STR("servers");
    err = gateway_write(client, pool, id.len > 0 ? STR("PATCH") : STR("POST"), query, columns, STR_NULL,
                        &written);
    if (err == NULL)
        *server_id = pool_str(pool, read_json_str(json_array_get(written, 0), "id"));
    return err;
}

static json_t *refused_columns(pool_t *pool, const err_t *err)
{
    json_t *row = device_failure_columns(pool, err);
    json_object_set_new(row, "credential_test_status", json_string("invalid"));
    return row;
}

/* Asks without credentials; closed ports leave no activity row behind. */
static bool detect(scan_t *scan, pool_t *pool, str_t address, discovery_outcome_t *out)
{
    device_t device;
    json_t *root = NULL;
    redfish_identity_t identity = {0};
    device_options_t options = {.address = address,
                                .attempts_max = 1,
                                .is_unguarded = true,
                                .connect_timeout_ms = PROBE_CONNECT_MS,
                                .timeout_ms = PROBE_MS};
    device_create(&device, scan->job, pool, &options);
    device_poll_begin(&device);
    err_t *err = redfish_probe(device.redfish, pool, &root);
    if (err == NULL)
        redfish_identify(root, &identity);
    out->is_reachable =
        err == NULL || !(str_eq(err->code, STR("connect")) || str_eq(err->code, STR("timeout")) ||
                         str_eq(err->code, STR("address")));
    /* A service that asks for credentials at its root is taken for one: what it is shows when they fit. */
    out->is_idrac = identity.is_idrac || (err != NULL && str_eq(err->code, STR("auth")));
    if (!out->is_idrac)
        out->filter_reason = out->is_reachable                   ? "not_idrac"
                             : str_eq(err->code, STR("timeout")) ? "timeout"
                                                                 : "port_closed";
    if (!out->is_reachable)
        device_poll_drop(&device);
    device_close(&device);
    return out->is_idrac;
}

/* Tries one set. True when it opened the device (or the visit must end): `*err` tells. */
static err_t *try_set(scan_t *scan, pool_t *pool, str_t address, str_t set_id, discovery_facts_t *facts)
{
    device_t device;
    device_options_t options = {.address = address, .attempts_max = 1};
    err_t *err = credential_of_set(&scan->book, pool, set_id, &options.credential);
    if (err != NULL)
        return err;
    device_create(&device, scan->job, pool, &options);
    err = discovery_read(device.redfish, pool, facts);
    device_close(&device);
    return err;
}

static void adopt(scan_t *scan, gateway_client_t *client, pool_t *pool, str_t address, str_t set_id,
                  const discovery_facts_t *facts, discovery_outcome_t *out)
{
    json_t *columns = discovery_columns(pool, facts);
    json_object_set_new(columns, "discovered_by_credential_set_id", device_text(set_id));
    json_object_set_new(columns, "credential_set_id", device_text(set_id));
    json_object_set_new(columns, "discovery_job_id", device_text(scan->job->id));
    err_t *err = store(client, pool, address, columns, &out->server_id);
    json_decref(columns);
    out->kind = err == NULL ? DISCOVERY_SYNCED : DISCOVERY_ERROR;
    out->model = facts->system.model;
    out->service_tag = facts->system.service_tag;
    if (err != NULL)
        out->error = err->message;
    else
        discovery_link_host(client, pool, out->server_id, facts->system.service_tag);
    job_log(scan->job, err == NULL ? "INFO" : "ERROR", "%.*s: %.*s", STR_ARG(address),
            STR_ARG(err == NULL ? facts->system.model : err->message));
}

static void authenticate(scan_t *scan, gateway_client_t *client, pool_t *pool, str_t address,
                         discovery_outcome_t *out)
{
    str_t *sets;
    discovery_facts_t facts = {0};
    err_t *last = err_make(pool, 0, ERR_FAMILY_UPSTREAM, "no_credentials",
                           "No credential set was given for this address");
    size_t count = credential_candidates(&scan->book, pool, address,
                                         read_json_array(scan->job->row, "credential_set_ids"), &sets);
    for (size_t i = 0; i < count && !job_must_stop(scan->job); i++) {
        last = try_set(scan, pool, address, sets[i], &facts);
        if (last == NULL) {
            adopt(scan, client, pool, address, sets[i], &facts, out);
            return;
        }
        bool is_next_worthwhile = str_eq(last->code, STR("auth")) ||
                                  str_eq(last->code, STR("undecipherable")) ||
                                  str_eq(last->code, STR("no_credentials"));
        if (!is_next_worthwhile) /* the device itself fails, or the breaker protects its accounts */
            break;
    }
    json_t *columns = refused_columns(pool, last);
    out->kind = DISCOVERY_AUTH_FAILED;
    out->error = last->message;
    err_t *err = job_must_stop(scan->job) ? NULL : store(client, pool, address, columns, &out->server_id);
    json_decref(columns);
    if (err != NULL)
        out->error = err->message;
    job_log(scan->job, "WARN", "%.*s: %.*s", STR_ARG(address), STR_ARG(out->error));
}

static void count_stage(scan_t *scan, size_t *stage, int delta)
{
    pthread_mutex_lock(&scan->mutex);
    *stage += (size_t)delta;
    pthread_mutex_unlock(&scan->mutex);
}

void discovery_visit(scan_t *scan, pool_t *pool, str_t address, discovery_outcome_t *out)
{
    count_stage(scan, &scan->in_detecting, 1);
    bool is_idrac = detect(scan, pool, address, out);
    count_stage(scan, &scan->in_detecting, -1);
    if (!is_idrac)
        return;
    count_stage(scan, &scan->in_authenticating, 1);
    authenticate(scan, job_client(scan->job), pool, address, out);
    count_stage(scan, &scan->in_authenticating, -1);
}
