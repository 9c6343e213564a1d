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

static const char INSERT_JOB_SQL[] =
    "insert into public.jobs as j (job_type, status, target_scope, details, created_by, schedule_at,"
    "                              credential_set_ids)"
    " values ($1::public.job_type, 'pending', $2::jsonb, $3::jsonb, $4::uuid, $5::timestamptz, $6::uuid[])"
    " returning j.id, row_to_json(j)";

/* Unknown servers get no task: the job itself reports them. */
static const char INSERT_TASKS_SQL[] = "insert into public.job_tasks (job_id, server_id, status)"
                                       " select $1::uuid, s.id, 'pending'"
                                       "   from unnest($2::uuid[]) with ordinality as wanted (id, position)"
                                       "   join public.servers s on s.id = wanted.id"
                                       "  order by wanted.position";

static const char AUDIT_SQL[] = "insert into public.audit_logs (user_id, action, details, ip_address)"
                                " values ($1::uuid, 'job_created',"
                                "         jsonb_build_object('job_id', $2::uuid, 'job_type', $3::text,"
                                "                            'target_scope', $4::jsonb), $5)";

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

/* PostgreSQL reads every date that browsers send; a bad one is told from other errors by a savepoint. */
static bool check_schedule(api_task_t *task, db_session_t *session, const job_request_t *job)
{
    if (job->schedule_at.len == 0)
        return true;
    err_t *err = db_session_savepoint(session);
    if (err == NULL)
        err = db_session_query(session, STR("select $1::timestamptz"), DB_PARAMS(job->schedule_at), NULL);
    if (err == NULL)
        return true;
    fn_fail(task, 400, STR("Invalid schedule_at date format"));
    return false;
}

static err_t *insert_all(api_task_t *task, db_session_t *session, const job_request_t *job, str_t *job_json)
{
    db_rows_t rows = {0};
    str_t user = task->identity.sub;
    str_t schedule_at = job->schedule_at.len > 0 ? job->schedule_at : STR_NULL;
    str_t credential_sets = fn_pg_array(task->pool, job->credential_set_ids);
    err_t *err = db_session_query(
        session, FN_SQL(INSERT_JOB_SQL),
        DB_PARAMS(job->type, job->scope, job->details, user, schedule_at, credential_sets), &rows);
    if (err != NULL)
        return err;
    str_t id = db_value(&rows, 0, 0);
    *job_json = db_value(&rows, 0, 1);
    bool is_full_update = str_eq(job->type, STR("full_server_update"));
    if (is_full_update)
        err = job_components_insert(session, id);
    else if (!str_eq(job->type, STR("discovery_scan")) && json_is_array(job->server_ids))
        err = db_session_query(session, FN_SQL(INSERT_TASKS_SQL),
                               DB_PARAMS(id, fn_pg_array(task->pool, job->server_ids)), NULL);
    if (err != NULL)
        return err;
    return db_session_query(session, FN_SQL(AUDIT_SQL),
                            DB_PARAMS(user, id, job->type, job->scope, task->client_addr), NULL);
}

static void create(api_task_t *task, db_session_t *session, const job_request_t *job)
{
    str_t job_json = STR_NULL;
    if (!check_schedule(task, session, job)) {
        db_session_rollback(session);
        return;
    }
    err_t *err = insert_all(task, session, job, &job_json);
    err = fn_end(session, err);
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        fn_reply(task, 201,
                 pool_concat(task->pool, 3, STR("{\"success\":true,\"job\":"), job_json, STR("}")));
}

void fn_create_job(api_task_t *task)
{
    json_t *body = NULL;
    db_session_t *session = NULL;
    job_request_t job = {0};
    if (!fn_body(task, &body, fn_fail_success) || !validate(task, body, &job) ||
        !check_ids(task, job.credential_set_ids, "credential set"))
        return;
    err_t *err = fn_begin_service(task, &session);
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else
        create(task, session, &job);
}
