#include "base/clock.h"
#include "functions/job_components.h"
#include "functions/notify.h"
#include "functions/recurrence.h"

/* --- recurring windows: instances of those that are due --- */

static const char TEMPLATES_SQL[] =
    "select id, details -> 'recurrence_config', recurrence_pattern,"
    "       extract(epoch from coalesce(last_executed_at, created_at))::bigint"
    "  from public.maintenance_windows"
    " where recurrence_enabled and status in ('planned', 'completed')"
    " order by created_at for update skip locked";

/* A run whose time has passed altogether is counted as skipped. Approval is the template's. */
static const char INSTANCE_SQL[] =
    "with template as ("
    "    update public.maintenance_windows w"
    "       set last_executed_at = to_timestamp($2::bigint),"
    "           skip_count = coalesce(skip_count, 0)"
    "                        + (to_timestamp($2::bigint) + (planned_end - planned_start) < now())::int"
    "     where id = $1::uuid returning w.*"
    ")"
    " insert into public.maintenance_windows (title, description, cluster_ids, server_group_ids, server_ids,"
    "        maintenance_type, planned_start, planned_end, auto_execute, recurrence_enabled,"
    "        credential_set_ids, details, status, created_by, requires_approval, approved_by, approved_at,"
    "        notify_before_hours)"
    " select title || ' (Auto-scheduled)', description, cluster_ids, server_group_ids, server_ids,"
    "        maintenance_type, last_executed_at, last_executed_at + (planned_end - planned_start), true, "
    "false,"
    "        credential_set_ids,"
    "        coalesce(details, '{}') || jsonb_build_object('created_from_recurring_template', id,"
    "                                                      'recurrence_pattern', recurrence_pattern),"
    "        'planned', created_by, requires_approval, approved_by, approved_at, notify_before_hours"
    "   from template where last_executed_at + (planned_end - planned_start) >= now()";

/* --- windows whose time has come --- */

static const char DUE_SQL[] = "select id from public.maintenance_windows"
                              " where status = 'planned' and auto_execute"
                              "   and not coalesce(recurrence_enabled, false)"
                              "   and now() between planned_start and planned_end"
                              "   and (not coalesce(requires_approval, false) or approved_by is not null)"
                              " order by planned_start, id";

/* Whoever changes it first has it; the snapshot is what the newest checks said when it began. */
static const char CLAIM_SQL[] =
    "update public.maintenance_windows w"
    "   set status = 'in_progress', started_at = now(),"
    "       safety_check_snapshot = jsonb_build_object("
    "           'taken_at', now(),"
    "           'clusters', (select coalesce(jsonb_agg(to_jsonb(c)), '[]') from ("
    "                select distinct on (cluster_id) cluster_id, check_timestamp, safe_to_proceed, "
    "healthy_hosts,"
    "                       total_hosts, min_required_hosts"
    "                  from public.cluster_safety_checks where cluster_id = any (w.cluster_ids)"
    "                 order by cluster_id, check_timestamp desc) c),"
    "           'server_groups', (select coalesce(jsonb_agg(to_jsonb(g)), '[]') from ("
    "                select distinct on (server_group_id) server_group_id, check_timestamp, safe_to_proceed,"
    "                       healthy_servers, total_servers, min_required_servers"
    "                  from public.server_group_safety_checks where server_group_id = any "
    "(w.server_group_ids)"
    "                 order by server_group_id, check_timestamp desc) g))"
    " where id = $1::uuid and status = 'planned'"
    " returning maintenance_type, coalesce(cardinality(cluster_ids), 0) > 0, to_jsonb(w)";

/* One job per cluster, and one for the servers that were named otherwise. A server belongs to the first
 * cluster that has it. */
static const char TARGETS_SQL[] =
    "with named as ("
    "    select h.server_id as id, h.cluster, array_position(w.cluster_ids, h.cluster) as position"
    "      from public.maintenance_windows w join public.vcenter_hosts h on h.cluster = any (w.cluster_ids)"
    "     where w.id = $1::uuid and h.server_id is not null"
    "    union all"
    "    select m.server_id, null, null"
    "      from public.maintenance_windows w"
    "      join public.server_group_members m on m.server_group_id = any (w.server_group_ids)"
    "     where w.id = $1::uuid"
    "    union all"
    "    select s.id, null, null"
    "      from public.maintenance_windows w join public.servers s on s.id = any (w.server_ids)"
    "     where w.id = $1::uuid"
    "), placed as ("
    "    select distinct on (id) id, cluster, position from named where id is not null"
    "     order by id, position nulls last"
    ")"
    " select cluster, array_agg(id order by id), count(*) from placed"
    "  group by cluster, position order by position nulls last";

static const char JOB_SQL[] =
    "with made as ("
    "    insert into public.jobs (job_type, status, created_by, target_scope, credential_set_ids, details)"
    "    select $2::public.job_type, 'pending', created_by,"
    "           jsonb_build_object('type', 'specific', 'server_ids', to_jsonb($3::uuid[])),"
    "           coalesce(credential_set_ids, '{}'),"
    "           coalesce(details, '{}')"
    "           || jsonb_build_object('maintenance_window_id', id, 'maintenance_window_title', title)"
    "           || case when $4::text is null then '{}'"
    "                   else jsonb_build_object('cluster_name', $4::text, 'max_concurrent', 1,"
    "                            'wait_between_servers', 300,"
    "                            'update_scope', coalesce(details ->> 'update_scope', 'full_stack')) end"
    "      from public.maintenance_windows where id = $1::uuid"
    "    returning id, created_by"
    "), tasks as ("
    "    insert into public.job_tasks (job_id, server_id, status)"
    "    select made.id, s.id, 'pending' from made, unnest($3::uuid[]) as s (id)"
    "), noted as ("
    "    insert into public.audit_logs (user_id, action, auth_source, auth_method, details)"
    "    select created_by, 'maintenance_window_executed', 'system', 'scheduled_task',"
    "           jsonb_build_object('window_id', $1::uuid, 'job_id', id, 'job_type', $2::text,"
    "                              'server_count', cardinality($3::uuid[])) from made"
    "), linked as ("
    "    update public.maintenance_windows w set job_ids = coalesce(w.job_ids, '{}') || made.id"
    "      from made where w.id = $1::uuid"
    ")"
    " select id from made";

static const char FAIL_SQL[] =
    "update public.maintenance_windows"
    "   set status = 'failed', completed_at = now(),"
    "       details = coalesce(details, '{}') || jsonb_build_object('error', $2::text)"
    " where id = $1::uuid";

/* --- ended windows: told once --- */

static const char ENDED_SQL[] =
    "update public.maintenance_windows"
    "   set details = coalesce(details, '{}') || '{\"outcome_notified\": true}'"
    " where id in (select id from public.maintenance_windows"
    "               where status in ('completed', 'failed') and cardinality(job_ids) > 0"
    "                 and completed_at > now() - interval '1 day'"
    "                 and details ->> 'outcome_notified' is null"
    "               for update skip locked)"
    " returning status, to_jsonb(maintenance_windows)";

static const struct {
    const char *maintenance_type, *job_type;
} JOB_TYPES[] = {
    {"firmware_update", "firmware_update"},
    {"host_maintenance", "prepare_host_for_update"},
    {"cluster_update", "rolling_cluster_update"},
    {"emergency_patch", "firmware_update"},
    {"safety_check", "cluster_safety_check"},
    {"full_update", "full_server_update"},
    {"firmware_only", "rolling_cluster_update"},
    {"esxi_only", "esxi_upgrade"},
    {"esxi_upgrade", "esxi_upgrade"},
    {"esxi_then_firmware", "esxi_then_firmware"},
    {"firmware_then_esxi", "firmware_then_esxi"},
};
#define JOB_TYPE_COUNT (sizeof(JOB_TYPES) / sizeof(JOB_TYPES[0]))

typedef struct {
    api_task_t *task;
    emit_t *results;
    int64_t processed, created;
} run_t;

static const char *job_type_of(str_t maintenance_type)
{
    for (size_t i = 0; i < JOB_TYPE_COUNT; i++) {
        if (str_eq(maintenance_type, str_from_c(JOB_TYPES[i].maintenance_type)))
            return JOB_TYPES[i].job_type;
    }
    return NULL;
}

static str_t unsupported(pool_t *pool, str_t maintenance_type)
{
    buf_t out;
    buf_init(&out, pool, 256);
    buf_printf(&out, "Unsupported maintenance type: %.*s. Supported types: ", STR_ARG(maintenance_type));
    for (size_t i = 0; i < JOB_TYPE_COUNT; i++)
        buf_printf(&out, "%s%s", i > 0 ? ", " : "", JOB_TYPES[i].maintenance_type);
    return buf_str(&out);
}

static err_t *make_instances(run_t *run)
{
    api_task_t *task = run->task;
    db_session_t *session = NULL;
    db_rows_t rows = {0}, made = {0};
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(TEMPLATES_SQL), NULL, 0, &rows);
    for (size_t i = 0; err == NULL && i < rows.row_count; i++) {
        json_t *config = NULL;
        int64_t base = 0, due = 0;
        str_t text = db_value(&rows, i, 1);
        if (!str_is_null(text))
            err = read_json(task->pool, text, &(read_json_limits_t){.any_value = true}, &config);
        if (err != NULL || !str_to_int64(db_value(&rows, i, 3), &base) ||
            !recurrence_due(config, db_value(&rows, i, 2), base, clock_unix(), &due))
            continue;
        str_t at = pool_printf(task->pool, "%lld", (long long)due);
        err = db_session_query(session, FN_SQL(INSTANCE_SQL), DB_PARAMS(db_value(&rows, i, 0), at), &made);
        run->created += err == NULL ? made.affected : 0;
    }
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static void add_result(run_t *run, str_t window_id, str_t job_id, str_t servers, str_t reason, str_t error)
{
    emit_t *emit = run->results;
    emit_object_begin(emit);
    emit_kv_string(emit, "window_id", window_id);
    if (!str_is_null(job_id))
        emit_kv_string(emit, "job_id", job_id);
    emit_kv_string(emit, "status", str_is_null(job_id) ? STR("failed") : STR("executed"));
    if (!str_is_null(servers))
        emit_kv_raw(emit, "servers", servers);
    if (!str_is_null(reason))
        emit_kv_string(emit, "reason", reason);
    if (!str_is_null(error))
        emit_kv_string(emit, "error", error);
    emit_object_end(emit);
}

/* What becomes of one window, within its transaction. */
typedef struct {
    str_t id, failure, reason; /* failure: null when jobs were made */
    str_t window_json;
    db_rows_t targets;
    str_t *job_ids;
    int64_t server_count;
    bool is_mine;
} outcome_t;

static err_t *make_jobs(run_t *run, db_session_t *session, const char *job_type, outcome_t *outcome)
{
    db_rows_t made = {0};
    err_t *err = NULL;
    outcome->job_ids = POOL_ARRAY(run->task->pool, str_t, outcome->targets.row_count + 1);
    for (size_t i = 0; err == NULL && i < outcome->targets.row_count; i++) {
        str_t cluster = db_value(&outcome->targets, i, 0);
        const char *type = str_is_null(cluster) ? job_type : "rolling_cluster_update";
        int64_t servers = 0;
        err = db_session_query(
            session, FN_SQL(JOB_SQL),
            DB_PARAMS(outcome->id, str_from_c(type), db_value(&outcome->targets, i, 1), cluster), &made);
        if (err == NULL) {
            outcome->job_ids[i] = db_value(&made, 0, 0);
            err = job_components_insert(session, outcome->job_ids[i]);
        }
        if (str_to_int64(db_value(&outcome->targets, i, 2), &servers))
            outcome->server_count += servers;
    }
    return err;
}

static err_t *work_on(run_t *run, db_session_t *session, outcome_t *outcome)
{
    db_rows_t claimed = {0};
    err_t *err = db_session_query(session, FN_SQL(CLAIM_SQL), DB_PARAMS(outcome->id), &claimed);
    outcome->is_mine = err == NULL && claimed.row_count == 1;
    if (!outcome->is_mine)
        return err;
    str_t type = db_value(&claimed, 0, 0);
    bool has_clusters = str_eq(db_value(&claimed, 0, 1), STR("t"));
    const char *job_type = has_clusters ? "rolling_cluster_update" : job_type_of(type);
    outcome->window_json = db_value(&claimed, 0, 2);
    err = db_session_query(session, FN_SQL(TARGETS_SQL), DB_PARAMS(outcome->id), &outcome->targets);
    if (err == NULL && outcome->targets.row_count == 0) {
        outcome->failure = STR("No valid servers found in selected clusters/groups");
        outcome->reason = STR("no_servers");
    } else if (err == NULL && job_type == NULL) {
        outcome->failure = unsupported(run->task->pool, type);
    }
    if (err == NULL && !str_is_null(outcome->failure))
        return db_session_query(session, FN_SQL(FAIL_SQL), DB_PARAMS(outcome->id, outcome->failure), NULL);
    return err != NULL ? err : make_jobs(run, session, job_type, outcome);
}

/* People hear of it when there are settings; trouble there is logged by the notifier. */
static void tell(api_task_t *task, const char *event, str_t window_json, str_t job_id, int64_t server_count)
{
    notify_settings_t *settings = NULL;
    notify_result_t result;
    notice_t notice;
    json_t *body = NULL;
    str_t job = str_is_null(job_id) ? STR("null") : pool_concat(task->pool, 3, STR("\""), job_id, STR("\""));
    str_t text =
        pool_printf(task->pool, "{\"maintenance_window\":%.*s,\"job_id\":%.*s,\"server_count\":%lld}",
                    STR_ARG(window_json), STR_ARG(job), (long long)server_count);
    err_t *err = notify_load(task->gateway, task->pool, &settings);
    if (err == NULL && settings != NULL)
        err = read_json(task->pool, text, &(read_json_limits_t){0}, &body);
    if (err == NULL && settings != NULL && notify_maintenance(task->pool, str_from_c(event), body, &notice))
        notify_send(task->gateway, task->pool, settings, &notice, NOTIFY_ALL, &result);
}

static void report(run_t *run, const outcome_t *outcome)
{
    run->processed++;
    if (!str_is_null(outcome->failure)) {
        bool has_reason = !str_is_null(outcome->reason);
        add_result(run, outcome->id, STR_NULL, STR_NULL, outcome->reason,
                   has_reason ? STR_NULL : outcome->failure);
        tell(run->task, "maintenance_window_failed", outcome->window_json, STR_NULL, 0);
        return;
    }
    for (size_t i = 0; i < outcome->targets.row_count; i++)
        add_result(run, outcome->id, outcome->job_ids[i], db_value(&outcome->targets, i, 2), STR_NULL,
                   STR_NULL);
    tell(run->task, "maintenance_window_started", outcome->window_json, outcome->job_ids[0],
         outcome->server_count);
}

/* One window, one transaction: what fails leaves the others alone, and is tried again at the next run. */
static void execute(run_t *run, str_t id)
{
    db_session_t *session = NULL;
    outcome_t outcome = {.id = id};
    err_t *err = fn_begin_service(run->task, &session);
    if (err == NULL)
        err = work_on(run, session, &outcome);
    err = fn_end(session, err);
    if (err != NULL) {
        run->processed++;
        add_result(run, id, STR_NULL, STR_NULL, STR_NULL, fn_error_text(run->task, err));
    } else if (outcome.is_mine) {
        report(run, &outcome);
    }
}

static err_t *read_once(api_task_t *task, str_t sql, db_rows_t *rows)
{
    db_session_t *session = NULL;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, sql, NULL, 0, rows);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static err_t *tell_ended(api_task_t *task)
{
    db_rows_t rows = {0};
    err_t *err = read_once(task, FN_SQL(ENDED_SQL), &rows);
    for (size_t i = 0; err == NULL && i < rows.row_count; i++) {
        bool is_failed = str_eq(db_value(&rows, i, 0), STR("failed"));
        tell(task, is_failed ? "maintenance_window_failed" : "maintenance_window_completed",
             db_value(&rows, i, 1), STR_NULL, 0);
    }
    return err;
}

static void reply_run(const run_t *run, str_t results)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, run->task->pool, 128 + results.len);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "message",
                   run->processed > 0 ? STR("Maintenance windows processed") : STR("No windows to execute"));
    emit_kv_int(&emit, "processed", run->processed);
    emit_kv_int(&emit, "recurring_instances_created", run->created);
    if (run->processed > 0)
        emit_kv_raw(&emit, "results", results);
    emit_object_end(&emit);
    fn_reply(run->task, 200, buf_str(&out));
}

void fn_execute_maintenance_windows(api_task_t *task)
{
    buf_t out;
    emit_t emit;
    db_rows_t due = {0};
    run_t run = {.task = task, .results = &emit};
    buf_init(&out, task->pool, 256);
    emit_init(&emit, &out);
    emit_array_begin(&emit);
    err_t *err = make_instances(&run);
    if (err == NULL)
        err = read_once(task, FN_SQL(DUE_SQL), &due);
    for (size_t i = 0; err == NULL && i < due.row_count; i++)
        execute(&run, db_value(&due, i, 0));
    emit_array_end(&emit);
    if (err == NULL)
        err = tell_ended(task);
    if (err != NULL)
        fn_fail(task, 500, fn_error_text(task, err));
    else
        reply_run(&run, buf_str(&out));
}
