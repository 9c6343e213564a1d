#include "functions/job_components.h"

#define DETAILS_UNITS_MAX 10000

static const char *const JOB_TYPES[] = {
    "firmware_update",
    "discovery_scan",
    "vcenter_sync",
    "full_server_update",
    "test_credentials",
    "power_action",
    "health_check",
    "fetch_event_logs",
    "boot_configuration",
    "virtual_media_mount",
    "virtual_media_unmount",
    "bios_config_read",
    "bios_config_write",
    "scp_export",
    "scp_import",
    "vcenter_connectivity_test",
    "openmanage_sync",
    "console_launch",
    "esxi_preflight_check",
    "cluster_safety_check",
    "server_group_safety_check",
    "iso_upload",
    "scan_local_isos",
    "register_iso_url",
    "browse_datastore",
    "catalog_sync",
    "esxi_then_firmware",
    "esxi_upgrade",
    "firmware_then_esxi",
    "firmware_upload",
    "prepare_host_for_update",
    "rolling_cluster_update",
    "verify_host_after_update",
    "idrac_network_read",
    "idrac_network_write",
    "firmware_inventory_scan",
};
#define JOB_TYPE_COUNT (sizeof(JOB_TYPES) / sizeof(JOB_TYPES[0]))

typedef struct {
    str_t type, schedule_at, scope, details;
    const json_t *server_ids, *credential_set_ids;
} job_request_t;

/* All or nothing in one statement: the job, for a full update its component jobs, else a task for each server
 * that is known (the job itself reports the others), and the audit row. */
static const char CREATE_SQL[] =
    "with made as ("
    "    insert into public.jobs as j (job_type, status, target_scope, details, created_by, schedule_at,"
    "                                  credential_set_ids)"
    "    values ($1::public.job_type, 'pending', $2::jsonb, $3::jsonb, $4::uuid, $5::timestamptz, $6::uuid[])"
    "    returning j.id, row_to_json(j) as row"
    "), components as ("
    "    insert into public.jobs (job_type, status, target_scope, details, created_by, parent_job_id,"
    "                             component_order)"
    "    select 'firmware_update', 'pending', $2::jsonb,"
    "           jsonb_build_object('component', c.name, 'version', 'latest', 'apply_time', 'OnReset'),"
    "           $4::uuid, made.id, c.position"
    "      from made, unnest('{iDRAC,BIOS,CPLD,RAID,NIC,Backplane}'::text[]) with ordinality as c (name, "
    "position)"
    "     where $1 = 'full_server_update'"
    "), tasks as ("
    "    insert into public.job_tasks (job_id, server_id, status)"
    "    select made.id, s.id, 'pending'"
    "      from made, unnest($7::uuid[]) with ordinality as wanted (id, position)"
    "      join public.servers s on s.id = wanted.id"
    "     where $1 not in ('full_server_update', 'discovery_scan')"
    "     order by wanted.position"
    "), audited as ("
    "    insert into public.audit_logs (user_id, action, details, ip_address)"
    "    select $4::uuid, 'job_created',"
    "           jsonb_build_object('job_id', made.id, 'job_type', $1::text, 'target_scope', $2::jsonb), $8"
    "      from made"
    ")"
    " select row from made";

/* The UI calls the credential test by an older name. */
static str_t canonical_type(str_t type)
{
    return str_eq(type, STR("credential_test")) ? STR("test_credentials") : type;
}

static bool is_known_type(str_t type)
{
    for (size_t i = 0; i < JOB_TYPE_COUNT; i++) {
        if (str_eq(type, str_from_c(JOB_TYPES[i])))
            return true;
    }
    return false;
}

static void fail_type(api_task_t *task)
{
    buf_t out;
    buf_init(&out, task->pool, 1024);
    buf_append_lit(&out, "Invalid job_type. Must be one of: ");
    for (size_t i = 0; i < JOB_TYPE_COUNT; i++)
        buf_printf(&out, "%s%s", i > 0 ? ", " : "", JOB_TYPES[i]);
    fn_fail(task, 400, buf_str(&out));
}

/* A JavaScript value that counts as absent: null, false, 0, "". */
static bool is_falsy(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static bool check_ids(api_task_t *task, const json_t *ids, const char *what)
{
    if (!json_is_array(ids))
        return true;
    str_t bad = fn_first_bad_uuid(ids);
    if (str_is_null(bad))
        return true;
    fn_fail(task, 400, pool_printf(task->pool, "Invalid %s UUID: %.*s", what, STR_ARG(bad)));
    return false;
}

/* False after having replied. */
static bool validate(api_task_t *task, const json_t *body, job_request_t *job)
{
    const json_t *scope = json_object_get(body, "target_scope"), *details = json_object_get(body, "details");
    job->type = canonical_type(read_json_str(body, "job_type"));
    if (!is_known_type(job->type)) {
        fail_type(task);
        return false;
    }
    if (!json_is_object(scope) && !json_is_array(scope)) {
        fn_fail(task, 400, STR("target_scope is required and must be an object"));
        return false;
    }
    job->server_ids = json_object_get(scope, "server_ids");
    job->credential_set_ids = json_object_get(body, "credential_set_ids");
    if (!check_ids(task, job->server_ids, "server") ||
        !check_ids(task, json_object_get(scope, "vcenter_host_ids"), "vCenter host"))
        return false;
    job->scope = read_json_dump(task->pool, scope);
    job->details = is_falsy(details) ? STR("{}") : read_json_dump(task->pool, details);
    if (fn_utf16_units(job->details) > DETAILS_UNITS_MAX) {
        fn_fail(task, 400, STR("Job details object is too large (max 10KB)"));
        return false;
    }
    job->schedule_at = read_json_str(body, "schedule_at");
    return true;
}

/* PostgreSQL reads every date that browsers send. */
static bool is_bad_date(const err_t *err)
{
    return str_eq(err->code, STR("22007")) || str_eq(err->code, STR("22008")) ||
           str_eq(err->code, STR("22009"));
}

static void create(api_task_t *task, const job_request_t *job)
{
    db_rows_t rows = {0};
    pool_t *pool = task->pool;
    str_t schedule_at = job->schedule_at.len > 0 ? job->schedule_at : STR_NULL;
    err_t *err = fn_write_service(task, FN_SQL(CREATE_SQL),
                                  DB_PARAMS(job->type, job->scope, job->details, task->identity.sub,
                                            schedule_at, fn_pg_array(pool, job->credential_set_ids),
                                            fn_pg_array(pool, job->server_ids), task->client_addr),
                                  &rows);
    if (err != NULL && is_bad_date(err))
        fn_fail(task, 400, STR("Invalid schedule_at date format"));
    else if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        fn_reply(task, 201,
                 pool_concat(pool, 3, STR("{\"success\":true,\"job\":"), db_value(&rows, 0, 0), STR("}")));
}

void fn_create_job(api_task_t *task)
{
    json_t *body = NULL;
    job_request_t job = {0};
    if (fn_body(task, &body, fn_fail_success) && validate(task, body, &job) &&
        check_ids(task, job.credential_set_ids, "credential set"))
        create(task, &job);
}
