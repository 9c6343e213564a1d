#include "functions/vcenter_store.h"

/* Managed object ids repeat across vCenters, so a host is known by both. */
static const char UPSERT_SQL[] =
    "with known as ("
    "    update public.vcenter_hosts"
    "       set name = $2, cluster = coalesce($3, cluster), serial_number = coalesce($4, serial_number),"
    "           esxi_version = coalesce($5, esxi_version), status = coalesce($6, status),"
    "           maintenance_mode = coalesce($7::boolean, maintenance_mode), last_sync = now(),"
    "           cpu_usage_mhz = coalesce($9::bigint, cpu_usage_mhz),"
    "           memory_usage_mb = coalesce($10::bigint, memory_usage_mb),"
    "           uptime_seconds = coalesce($11::bigint, uptime_seconds),"
    "           memory_size = coalesce($12::bigint, memory_size)"
    "     where vcenter_id = $1 and source_vcenter_id is not distinct from $8::uuid"
    "    returning id, server_id, serial_number"
    "), added as ("
    "    insert into public.vcenter_hosts (vcenter_id, name, cluster, serial_number, esxi_version, status,"
    "                                      maintenance_mode, last_sync, source_vcenter_id,"
    "                                      cpu_usage_mhz, memory_usage_mb, uptime_seconds, memory_size)"
    "    select $1, $2, $3, $4, $5, coalesce($6, 'unknown'), coalesce($7::boolean, false), now(), $8::uuid,"
    "           coalesce($9::bigint, 0), coalesce($10::bigint, 0), coalesce($11::bigint, 0), "
    "coalesce($12::bigint, 0)"
    "     where not exists (select 1 from known)"
    "    returning id, server_id, serial_number"
    ")"
    " select id, server_id is null, coalesce(serial_number, ''), false from known"
    " union all select id, server_id is null, coalesce(serial_number, ''), true from added";

static const char LINK_SQL[] =
    "with server as ("
    "    update public.servers set vcenter_host_id = $1::uuid"
    "     where service_tag = $2 and $2 <> '' and $2 not like 'VMware-%'"
    "       and (vcenter_host_id is null or vcenter_host_id = $1::uuid"
    "            or exists (select from public.vcenter_hosts h"
    "                        where h.id = servers.vcenter_host_id and h.status = 'removed'))"
    "    returning id"
    "), host as ("
    "    update public.vcenter_hosts h set server_id = case when h.id = $1::uuid then server.id end from "
    "server"
    "     where h.id = $1::uuid or (h.server_id = server.id and h.status = 'removed')"
    ")"
    " insert into public.audit_logs (user_id, action, details)"
    " select $3::uuid, 'auto_link_server', jsonb_build_object('vcenter_host', $1::text, 'server_id', "
    "server.id,"
    "                                                        'service_tag', $2::text)"
    "   from server";

static const char TASK_SQL[] =
    "insert into public.job_tasks (job_id, vcenter_host_id, status, progress, log, started_at, completed_at)"
    " values ($1::uuid, $2::uuid, $3::public.job_status, case when $3 = 'completed' then 100 else 0 end, $4, "
    "now(), now())";

/* What the caller put into the job's details stays; a job that has ended stays as it is. */
static const char FINISH_JOB_SQL[] =
    "update public.jobs"
    "   set status = case when $2::int > 0 then 'failed' else 'completed' end::public.job_status,"
    "       started_at = coalesce(started_at, now()), completed_at = now(),"
    "       details = coalesce(details, '{}') || $3::jsonb"
    " where id = $1::uuid and status in ('pending', 'running')";

static const char FINISH_SQL[] = "with audited as ("
                                 "    insert into public.audit_logs (user_id, action, details, ip_address)"
                                 "    values ($1::uuid, 'vcenter_sync', $2::jsonb, $3))"
                                 " insert into public.idrac_commands (operation_type, endpoint, "
                                 "command_type, full_url, success, response_body,"
                                 "                                    source, initiated_by)"
                                 " values ('vcenter_api', '/vcenter-sync', 'VCENTER_SYNC', $4, $5::boolean, "
                                 "$2::jsonb, 'vcenter_sync_edge', $1::uuid)";

static bool is_true(str_t value)
{
    return str_eq(value, STR("t"));
}

static err_t *note_task(db_session_t *session, const sync_request_t *request, str_t host_id, bool is_good,
                        str_t log)
{
    if (str_is_null(request->job_id))
        return NULL;
    return db_session_query(
        session, FN_SQL(TASK_SQL),
        DB_PARAMS(request->job_id, host_id, is_good ? STR("completed") : STR("failed"), log), NULL);
}

err_t *vcenter_hosts_take(api_task_t *task, db_session_t *session, const sync_request_t *request,
                          const json_t *host, sync_summary_t *summary)
{
    db_rows_t rows = {0}, linked = {0};
    str_t name = sync_text(task, host, "name"), id = sync_text(task, host, "vcenter_id");
    if (str_is_null(name) || str_is_null(id)) {
        sync_summary_fail(task, summary, !str_is_null(name) ? name : STR("(unnamed host)"),
                          STR("name and vcenter_id are required"));
        return NULL;
    }
    err_t *err =
        sync_try(session, FN_SQL(UPSERT_SQL),
                 DB_PARAMS(id, name, sync_text(task, host, "cluster"), sync_text(task, host, "serial_number"),
                           sync_text(task, host, "esxi_version"), sync_text(task, host, "status"),
                           sync_text(task, host, "maintenance_mode"), request->source,
                           sync_text(task, host, "cpu_usage_mhz"), sync_text(task, host, "memory_usage_mb"),
                           sync_text(task, host, "uptime_seconds"), sync_text(task, host, "memory_size")),
                 &rows);
    if (err != NULL && err->status != 503) {
        sync_summary_fail(task, summary, name, fn_error_text(task, err));
        return note_task(session, request, STR_NULL, false, fn_error_text(task, err));
    }
    if (err != NULL)
        return err;
    summary->added += is_true(db_value(&rows, 0, 3));
    summary->updated += !is_true(db_value(&rows, 0, 3));
    if (is_true(db_value(&rows, 0, 1))) {
        err =
            db_session_query(session, FN_SQL(LINK_SQL),
                             DB_PARAMS(db_value(&rows, 0, 0), db_value(&rows, 0, 2), request->user), &linked);
        summary->linked += err == NULL ? linked.affected : 0;
    }
    return err != NULL ? err
                       : note_task(session, request, db_value(&rows, 0, 0), true,
                                   pool_concat(task->pool, 2, STR("Synced "), name));
}

static err_t *finish(api_task_t *task, db_session_t *session, const sync_request_t *request,
                     const sync_summary_t *summary)
{
    str_t details =
        pool_printf(task->pool,
                    "{\"total_hosts\":%lld,\"hosts_synced\":%lld,\"new_hosts\":%lld,\"updated_hosts\":%lld,"
                    "\"linked_servers\":%lld,\"errors\":%lld,\"error_messages\":%.*s}",
                    (long long)summary->total, (long long)(summary->added + summary->updated),
                    (long long)summary->added, (long long)summary->updated, (long long)summary->linked,
                    (long long)summary->failed, STR_ARG(read_json_dump(task->pool, summary->errors)));
    str_t failed = pool_printf(task->pool, "%lld", (long long)summary->failed);
    err_t *err = NULL;
    if (!str_is_null(request->job_id))
        err = db_session_query(session, FN_SQL(FINISH_JOB_SQL), DB_PARAMS(request->job_id, failed, details),
                               NULL);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(FINISH_SQL),
                               DB_PARAMS(request->user, details, task->client_addr,
                                         config_str(task->gateway->config, "API_EXTERNAL_URL"),
                                         summary->failed == 0 ? STR("true") : STR("false")),
                               NULL);
    return err;
}

/* The executor sends whole inventories, and says so (the first part of one, when it is large); scripts send
 * hosts. */
static void take_all(api_task_t *task, const sync_request_t *request, const json_t *body, bool is_executor)
{
    db_session_t *session = NULL;
    sync_summary_t summary;
    bool is_complete = is_executor && read_json_bool(body, "complete", false);
    sync_summary_init(task, &summary, (int64_t)json_array_size(json_object_get(body, "hosts")));
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = vcenter_store(task, session, request, body, is_complete, &summary);
    if (err == NULL)
        err = finish(task, session, request, &summary);
    err = fn_end(session, err);
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        sync_summary_reply(task, &summary, true);
}

static str_t uuid_or_null(const json_t *body, const char *key)
{
    str_t text = read_json_str(body, key);
    return str_is_uuid(text) ? text : STR_NULL;
}

/* Scripts come with an API token, whose owner needs a role. False after having replied. */
static bool admit(api_task_t *task, fn_proof_t *proof)
{
    if (!fn_has_api_token(task))
        return fn_admit_executor(task, "admin operator", FN_BAD_PROOF, fn_fail_success, proof);
    if (!fn_api_token(task))
        return false;
    *proof = FN_PROOF_JWT;
    if (fn_caller_has_role(task, "admin operator"))
        return true;
    fn_fail_success(task, 403, STR("Insufficient permissions"));
    return false;
}

void fn_vcenter_sync(api_task_t *task)
{
    json_t *body = NULL;
    fn_proof_t proof = FN_PROOF_NONE;
    if (!admit(task, &proof) || !fn_body(task, &body, fn_fail_success))
        return;
    const json_t *hosts = json_object_get(body, "hosts");
    bool is_absent = hosts == NULL || json_is_null(hosts) || json_is_false(hosts);
    sync_request_t request = {.user = proof == FN_PROOF_JWT ? task->identity.sub : STR_NULL,
                              .job_id = uuid_or_null(body, "job_id"),
                              .source = uuid_or_null(body, "vcenter_id")};
    if (!is_absent && !json_is_array(hosts))
        fn_fail_success(task, 500, STR("Invalid request: hosts array required"));
    else
        take_all(task, &request, body, proof != FN_PROOF_JWT);
}
