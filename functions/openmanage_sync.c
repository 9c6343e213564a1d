#include "functions/sync_summary.h"

/* What is absent leaves what is stored. A host with that serial number is linked when both sides are free;
 * the trigger on servers does it for new rows. */
static const char UPSERT_SQL[] =
    "with before as (select id, vcenter_host_id from public.servers where service_tag = $1),"
    " written as ("
    "    insert into public.servers as s (service_tag, ip_address, hostname, model, idrac_firmware, "
    "bios_version,"
    "                                     cpu_count, memory_gb, openmanage_device_id, last_openmanage_sync, "
    "last_seen)"
    "    values ($1, $2, $3, $4, $5, $6, $7::int, $8::int, $9, now(), now())"
    "    on conflict (service_tag) do update"
    "       set ip_address = excluded.ip_address, hostname = coalesce(excluded.hostname, s.hostname),"
    "           model = coalesce(excluded.model, s.model),"
    "           idrac_firmware = coalesce(excluded.idrac_firmware, s.idrac_firmware),"
    "           bios_version = coalesce(excluded.bios_version, s.bios_version),"
    "           cpu_count = coalesce(excluded.cpu_count, s.cpu_count),"
    "           memory_gb = coalesce(excluded.memory_gb, s.memory_gb),"
    "           openmanage_device_id = coalesce(excluded.openmanage_device_id, s.openmanage_device_id),"
    "           last_openmanage_sync = now(), last_seen = now()"
    "    returning s.id, s.vcenter_host_id"
    ")"
    " select written.id, before.id is null, written.vcenter_host_id is null,"
    "        written.vcenter_host_id is not null and before.vcenter_host_id is null"
    "   from written left join before on true";

static const char LINK_SQL[] =
    "with host as ("
    "    update public.vcenter_hosts set server_id = $1::uuid"
    "     where id = (select id from public.vcenter_hosts where serial_number = $2 and server_id is null"
    "                    and serial_number not like 'VMware-%' order by created_at limit 1)"
    "    returning id"
    ")"
    " update public.servers set vcenter_host_id = host.id from host where servers.id = $1::uuid";

static const char FINISH_SQL[] = "with settings as (update public.openmanage_settings set last_sync = now()),"
                                 " audited as ("
                                 "    insert into public.audit_logs (user_id, action, details, ip_address)"
                                 "    values ($1::uuid, 'openmanage_sync', $2::jsonb, $3))"
                                 " insert into public.idrac_commands (operation_type, endpoint, "
                                 "command_type, full_url, success, response_body,"
                                 "                                    source, initiated_by)"
                                 " values ('openmanage_api', '/sync', 'EDGE_FUNCTION_SYNC', $4, true, "
                                 "$2::jsonb, 'edge_function', $1::uuid)";

static const char QUEUE_SQL[] =
    "insert into public.jobs (job_type, status, target_scope, details, created_by)"
    " values ('openmanage_sync', 'pending', '{}', '{\"triggered_by\":\"manual\"}', $1::uuid)";

static bool is_true(str_t value)
{
    return str_eq(value, STR("t"));
}

static err_t *take_device(api_task_t *task, db_session_t *session, const json_t *device,
                          sync_summary_t *summary)
{
    db_rows_t rows = {0};
    str_t tag = sync_text(task, device, "service_tag"), address = sync_text(task, device, "ip_address");
    if (str_is_null(tag) || str_is_null(address)) {
        str_t name = sync_text(task, device, "hostname");
        sync_summary_fail(task, summary, STR("Device missing required fields"),
                          !str_is_null(tag)    ? tag
                          : !str_is_null(name) ? name
                                               : STR("(unnamed)"));
        return NULL;
    }
    err_t *err =
        sync_try(session, FN_SQL(UPSERT_SQL),
                 DB_PARAMS(tag, address, sync_text(task, device, "hostname"),
                           sync_text(task, device, "model"), sync_text(task, device, "idrac_firmware"),
                           sync_text(task, device, "bios_version"), sync_text(task, device, "cpu_count"),
                           sync_text(task, device, "memory_gb"), sync_text(task, device, "device_id")),
                 &rows);
    if (err != NULL && err->status != 503) {
        sync_summary_fail(task, summary, tag, fn_error_text(task, err));
        return NULL;
    }
    if (err != NULL)
        return err;
    summary->added += is_true(db_value(&rows, 0, 1));
    summary->updated += !is_true(db_value(&rows, 0, 1));
    summary->linked += is_true(db_value(&rows, 0, 3));
    if (!is_true(db_value(&rows, 0, 2)))
        return NULL;
    err = db_session_query(session, FN_SQL(LINK_SQL), DB_PARAMS(db_value(&rows, 0, 0), tag), &rows);
    summary->linked += err == NULL ? rows.affected : 0;
    return err;
}

static err_t *finish(api_task_t *task, db_session_t *session, const json_t *body,
                     const sync_summary_t *summary)
{
    str_t details =
        pool_printf(task->pool,
                    "{\"total_devices\":%lld,\"new_servers\":%lld,\"updated_servers\":%lld,\"auto_linked\":%"
                    "lld,\"errors\":%lld,"
                    "\"manual\":%s,\"scheduled\":%s}",
                    (long long)summary->total, (long long)summary->added, (long long)summary->updated,
                    (long long)summary->linked, (long long)summary->failed,
                    read_json_bool(body, "manual", false) ? "true" : "false",
                    read_json_bool(body, "scheduled", false) ? "true" : "false");
    str_t user = task->identity.sub.len > 0 ? task->identity.sub : STR_NULL;
    return db_session_query(
        session, FN_SQL(FINISH_SQL),
        DB_PARAMS(user, details, task->client_addr, config_str(task->gateway->config, "API_EXTERNAL_URL")),
        NULL);
}

static void take_all(api_task_t *task, const json_t *body, const json_t *devices)
{
    db_session_t *session = NULL;
    sync_summary_t summary;
    size_t i;
    json_t *device;
    sync_summary_init(task, &summary, (int64_t)json_array_size(devices));
    err_t *err = fn_begin_service(task, &session);
    json_array_foreach(devices, i, device)
    {
        if (err == NULL)
            err = take_device(task, session, device, &summary);
    }
    if (err == NULL)
        err = finish(task, session, body, &summary);
    err = fn_end(session, err);
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        sync_summary_reply(task, &summary, false);
}

/* The interface's sync button sends no body: the executor is asked to fetch the inventory. */
static void queue_job(api_task_t *task)
{
    db_session_t *session = NULL;
    sync_summary_t summary;
    sync_summary_init(task, &summary, 0);
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(QUEUE_SQL),
                               DB_PARAMS(task->identity.sub.len > 0 ? task->identity.sub : STR_NULL), NULL);
    err = fn_end(session, err);
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        sync_summary_reply(task, &summary, false);
}

/* Everybody but the executor needs a role, the owner of an API token too. False after having replied. */
static bool admit(api_task_t *task)
{
    fn_caller_t caller = FN_CALLER_GONE;
    fn_proof_t proof = FN_PROOF_NONE;
    if (fn_has_api_token(task)) {
        if (!fn_api_token(task))
            return false;
        caller = FN_CALLER_FINE;
    }
    err_t *err = caller == FN_CALLER_FINE ? NULL : fn_executor_proof(task, &proof);
    if (err == NULL && (proof == FN_PROOF_SERVICE || proof == FN_PROOF_HMAC))
        return true;
    if (err == NULL && caller != FN_CALLER_FINE)
        err = fn_caller_check(task, NULL, &caller);
    if (err == NULL && caller == FN_CALLER_FINE) {
        if (fn_caller_has_role(task, "admin operator"))
            return true;
        fn_fail(task, 403, STR("Insufficient permissions. Admin or operator role required."));
        return false;
    }
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        fn_fail(task, 401,
                task->has_authorization ? STR("Invalid or expired token")
                                        : STR("Missing authorization header or API token"));
    return false;
}

void fn_openmanage_sync(api_task_t *task)
{
    json_t *body = NULL;
    if (!admit(task))
        return;
    if (task->body.len == 0) {
        queue_job(task);
        return;
    }
    if (!fn_body(task, &body, fn_fail_success))
        return;
    const json_t *devices = json_object_get(body, "devices");
    if (!json_is_array(devices) || json_array_size(devices) == 0)
        fn_fail(task, 400, STR("No devices provided"));
    else
        take_all(task, body, devices);
}
