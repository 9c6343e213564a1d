#include "functions/vcenter_ask.h"

#include "base/config.h"
#include "drivers/vsphere/vsphere.h"

/* Lists of thousands of machines take their time. */
enum { READ_TIMEOUT_MS = 30000, READ_DEADLINE_MS = 120000, SIGN_IN_TIMEOUT_MS = 10000 };

typedef struct {
    peer_t *peer;
    const char *login_command; /* name of the login's row */
} caller_t;

static void on_record(void *arg, const vsphere_record_t *record)
{
    const caller_t *caller = arg;
    const peer_t *peer = caller->peer;
    bool is_login = strcmp(record->operation, "Login") == 0;
    str_t secrets[] = {peer->where.password};
    activity_t activity = {.command_type = is_login ? caller->login_command : record->operation,
                           .operation_type = peer->operation_type,
                           .source = peer->source,
                           .endpoint = record->path,
                           .full_url = record->url,
                           .user_id = peer->task->identity.sub,
                           .headers = record->headers,
                           .header_count = record->header_count,
                           .request_body = record->request_body,
                           .status = record->status,
                           .elapsed_us = record->elapsed_us,
                           .is_success = record->is_success,
                           .error = record->error,
                           .secrets = secrets,
                           .secret_count = 1};
    if (is_login)
        caller->peer->elapsed_us = record->elapsed_us;
    if (!peer->is_quiet)
        activity_note(peer->task->gateway, peer->task->pool, &activity);
}

static vsphere_t *client_of(caller_t *caller, int timeout_ms)
{
    const peer_t *peer = caller->peer;
    return vsphere_create(
        &(vsphere_options_t){.base_url = peer->base_url,
                             .username = peer->where.username,
                             .password = peer->where.password,
                             .is_verified = peer->where.is_verified,
                             .ca_file = config_str(peer->task->gateway->config, "BASALT_CA_FILE"),
                             .addr_policy = peer_policy(peer->task->gateway),
                             .timeout_ms = timeout_ms,
                             .deadline_ms = fn_time_left_ms(peer->task, READ_DEADLINE_MS),
                             .on_record = on_record,
                             .arg = caller});
}

err_t *vcenter_explain(pool_t *pool, const char *what, const err_t *err)
{
    static const char *const OWN_WORDS[] = {"refused", "auth", "fault", "protocol"};
    str_t why = peer_failure(err);
    for (size_t i = 0; i < sizeof(OWN_WORDS) / sizeof(OWN_WORDS[0]); i++) {
        if (str_eq(err->code, str_from_c(OWN_WORDS[i])))
            why = err->message;
    }
    return err_make(pool, 500, ERR_FAMILY_UPSTREAM, "", "%s: %.*s", what, STR_ARG(why));
}

/* --- signing in --- */

static str_t rest_version(peer_t *peer)
{
    json_t *body = NULL;
    peer_call_t call = {"GET", "VCENTER_VERSION", STR("/api/appliance/system/version"), STR_NULL, false};
    if (str_eq(peer->api, STR("/rest")))
        call.path = STR("/rest/appliance/system/version");
    if (peer_exchange(peer, &call, NULL, &body) != NULL || !json_is_object(body))
        return STR_NULL;
    const json_t *value = read_json_object(body, "value");
    return read_json_str(value != NULL ? value : body, "version");
}

static err_t *soap_sign_in(peer_t *peer, const char *command_type, str_t *version)
{
    vsphere_about_t about = {0};
    caller_t caller = {peer, command_type};
    vsphere_t *vsphere = client_of(&caller, SIGN_IN_TIMEOUT_MS);
    err_t *err = vsphere_open(vsphere, peer->task->pool, &about);
    if (err == NULL && version != NULL)
        *version = pool_str(peer->task->pool, about.version);
    vsphere_destroy(vsphere);
    if (err != NULL && str_eq(err->code, STR("auth"))) /* as the REST interface says it */
        err->code = STR("refused");
    return err;
}

err_t *vcenter_sign_in(peer_t *peer, const char *command_type, str_t *version)
{
    err_t *err = peer_open_vcenter(peer, command_type);
    if (err != NULL && err->status == 404 && str_eq(err->code, STR("refused"))) {
        err_t *other = soap_sign_in(peer, command_type, version);
        return other != NULL && other->status == 404 ? err : other;
    }
    int64_t elapsed_us = peer->elapsed_us;
    if (err == NULL && version != NULL)
        *version = rest_version(peer);
    peer->elapsed_us = elapsed_us;
    return err;
}

/* --- the inventory --- */

static void free_json(void *arg)
{
    json_decref(arg);
}

static err_t *rest_read(peer_t *peer, json_t **inventory)
{
    pool_t *pool = peer->task->pool;
    err_t *err = peer_open_vcenter(peer, "VCENTER_AUTH");
    if (err != NULL)
        return vcenter_explain(pool, "vCenter authentication failed", err);
    *inventory = json_object();
    pool_on_dispose(pool, free_json, *inventory);
    json_object_set_new(*inventory, "hosts", json_array());
    return vcenter_rest_hosts(peer, json_object_get(*inventory, "hosts"));
}

err_t *vcenter_read(peer_t *peer, json_t **inventory)
{
    pool_t *pool = peer->task->pool;
    caller_t caller = {peer, "VCENTER_AUTH"};
    vsphere_t *vsphere = client_of(&caller, READ_TIMEOUT_MS);
    err_t *err = vsphere_open(vsphere, pool, NULL);
    if (err != NULL && str_eq(err->code, STR("refused"))) {
        vsphere_destroy(vsphere);
        return rest_read(peer, inventory);
    }
    if (err != NULL) {
        err = vcenter_explain(pool, "vCenter authentication failed", err);
    } else {
        err = vsphere_inventory(vsphere, pool, inventory);
        err = err != NULL ? vcenter_explain(pool, "Failed to fetch hosts", err) : NULL;
    }
    vsphere_destroy(vsphere);
    return err;
}
