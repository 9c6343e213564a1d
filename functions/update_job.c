#include "base/crypt.h"
#include "functions/fn.h"

/* The job, locked and changed unless it has ended, and with it the task; what people do ($13) is audited. One
 * row: what the job was (null:
 * there is none), whether it had ended, whether it was changed (the lease guard may let nothing through). */
static const char APPLY_SQL[] =
    "with locked as ("
    "    select status, status in ('completed', 'failed', 'cancelled') as has_ended"
    "      from public.jobs where id = $1::uuid for update"
    "), changed as ("
    "    update public.jobs j"
    "       set status = coalesce($2::public.job_status, j.status),"
    "           started_at = coalesce($3::timestamptz, j.started_at),"
    "           completed_at = coalesce($4::timestamptz, j.completed_at),"
    "           details = coalesce($5::jsonb, j.details)"
    "      from locked where j.id = $1::uuid and not locked.has_ended"
    "    returning j.id"
    "), noted as ("
    "    update public.job_tasks t"
    "       set status = coalesce($7::public.job_status, t.status), log = coalesce($8, t.log),"
    "           started_at = coalesce($9::timestamptz, t.started_at),"
    "           completed_at = coalesce($10::timestamptz, t.completed_at),"
    "           progress = case when $11::boolean then $12::int else t.progress end"
    "     where t.id = $6::uuid and ($1::uuid is null or exists (select from changed))"
    "), audited as ("
    "    insert into public.audit_logs (user_id, action, details, ip_address)"
    "    select $13::uuid, 'job_updated',"
    "           jsonb_strip_nulls(jsonb_build_object('job_id', changed.id, 'status', $2::text, 'was', "
    "locked.status)), $14"
    "      from changed, locked where $13::uuid is not null"
    ")"
    " select locked.status, locked.has_ended, exists (select from changed)"
    "  from (values (1)) one left join locked on true";

static const char CANCEL_CHILDREN_SQL[] =
    "update public.jobs"
    "   set status = 'cancelled', completed_at = now(),"
    "       details = coalesce(details, '{}') || jsonb_build_object('cancellation_reason', $2::text)"
    " where parent_job_id = $1::uuid and status in ('pending', 'running')";

static const char CANCEL_TASKS_SQL[] = "update public.job_tasks"
                                       "   set status = 'cancelled', completed_at = now(), log = $2"
                                       " where job_id = $1::uuid and status = 'pending'";

static const char CLOSE_STEPS_SQL[] = "update public.workflow_executions"
                                      "   set step_status = $2, step_completed_at = now(), step_error = $3"
                                      " where job_id = $1::uuid and step_status in ('pending', 'running')";

typedef struct {
    bool is_present;
    str_t id, status, log, started_at, completed_at, progress;
    bool has_progress; /* null counts */
} task_update_t;

typedef struct {
    str_t id, status, started_at, completed_at, details;
    str_t user; /* who is no executor; the null string for the others */
    bool ends_badly;
} job_update_t;

/* Absent, null and empty all mean: leave it. */
static str_t text_or_null(const json_t *object, const char *key)
{
    str_t text = read_json_str(object, key);
    return text.len > 0 ? text : STR_NULL;
}

static void reply_terminal(api_task_t *task, int status, str_t text, const char *key, str_t current)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", status == 200);
    emit_key(&emit, str_from_c(key));
    emit_string(&emit, text);
    emit_kv_string(&emit, "current_status", current);
    emit_object_end(&emit);
    fn_reply(task, status, buf_str(&out));
}

/* A parent that ends badly takes along what has not ended: children, waiting tasks, open steps. */
static err_t *cascade(db_session_t *session, const job_update_t *job)
{
    bool is_cancelled = str_eq(job->status, STR("cancelled"));
    str_t reason =
        is_cancelled ? STR("Auto-cancelled: parent job cancelled") : STR("Auto-cancelled: parent job failed");
    str_t task_log = is_cancelled ? STR("Cancelled by user") : STR("Cancelled - parent job failed");
    str_t step_error = is_cancelled ? STR("Cancelled by user") : STR("Auto-failed: parent job failed");
    err_t *err = db_session_query(session, FN_SQL(CANCEL_CHILDREN_SQL), DB_PARAMS(job->id, reason), NULL);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(CANCEL_TASKS_SQL), DB_PARAMS(job->id, task_log), NULL);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(CLOSE_STEPS_SQL), DB_PARAMS(job->id, job->status, step_error),
                               NULL);
    return err;
}

/* What the update means to a job that has already ended. */
static void answer_ended(api_task_t *task, const job_update_t *job, str_t current)
{
    if (str_is_null(job->status) || str_eq(job->status, current))
        reply_terminal(task, 200, STR("Job already in terminal state, update ignored"), "message", current);
    else
        reply_terminal(task, 409,
                       pool_printf(task->pool, "Job is already %.*s - cannot change to %.*s",
                                   STR_ARG(current), STR_ARG(job->status)),
                       "error", current);
}

/* What became of APPLY_SQL. Sets *is_answered when the reply is given and nothing more is to be done. */
static err_t *judge(api_task_t *task, const job_update_t *job, const db_rows_t *rows, bool *is_answered)
{
    str_t current = db_value(rows, 0, 0);
    *is_answered = false;
    if (str_is_null(job->id))
        return NULL;
    if (str_is_null(current))
        return err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "Job not found");
    *is_answered = true;
    if (str_eq(db_value(rows, 0, 1), STR("t")))
        answer_ended(task, job, current);
    else if (!str_eq(db_value(rows, 0, 2), STR("t")))
        reply_terminal(task, 409, STR("Job is held by an executor"), "error", current);
    else
        *is_answered = false;
    return NULL;
}

#define APPLY_PARAMS(task, job, step)                                                                        \
    DB_PARAMS((job)->id, (job)->status, (job)->started_at, (job)->completed_at, (job)->details, (step)->id,  \
              (step)->status, (step)->log, (step)->started_at, (step)->completed_at,                         \
              (step)->has_progress ? STR("true") : STR("false"), (step)->progress, (job)->user,              \
              (task)->client_addr)

static const job_update_t NO_JOB = {.id = {NULL, 0}};
static const task_update_t NO_TASK = {.id = {NULL, 0}};

/* A person may cancel and end a job that an executor holds. */
static db_session_who_t writer(const api_task_t *task, fn_proof_t proof)
{
    static const str_t USER[] = {{"basalt.job_writer", 17}, {"user", 4}};
    db_session_who_t who = fn_service_who(task);
    who.settings = USER;
    who.setting_count = proof == FN_PROOF_JWT ? 1 : 0;
    return who;
}

/* The usual case: one statement. */
static err_t *apply_at_once(api_task_t *task, const db_session_who_t *who, const job_update_t *job,
                            const task_update_t *step, bool *is_answered)
{
    db_rows_t rows = {0};
    err_t *err = db_session_write(task->gateway->request_sessions, task->pool, who, FN_SQL(APPLY_SQL),
                                  APPLY_PARAMS(task, job, step), &rows);
    return err != NULL ? err : judge(task, job, &rows, is_answered);
}

static err_t *apply_task(api_task_t *task, db_session_t *session, const task_update_t *step)
{
    if (!step->is_present)
        return NULL;
    if (!str_is_uuid(step->id))
        return err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "task_id is not a UUID");
    return db_session_query(session, FN_SQL(APPLY_SQL), APPLY_PARAMS(task, &NO_JOB, step), NULL);
}

/* A bad end takes others along before the task has its say. */
static err_t *apply_in_steps(api_task_t *task, const db_session_who_t *who, const job_update_t *job,
                             const task_update_t *step, bool *is_answered)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = db_session_begin(task->gateway->request_sessions, task->pool, who, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(APPLY_SQL), APPLY_PARAMS(task, job, &NO_TASK), &rows);
    if (err == NULL)
        err = judge(task, job, &rows, is_answered);
    if (err == NULL && !*is_answered && job->ends_badly)
        err = cascade(session, job);
    if (err == NULL && !*is_answered)
        err = apply_task(task, session, step);
    return fn_end(session, err);
}

static void apply(api_task_t *task, const job_update_t *job, const task_update_t *step, fn_proof_t proof)
{
    bool is_answered = false;
    bool is_simple = !job->ends_badly && (!step->is_present || str_is_uuid(step->id));
    db_session_who_t who = writer(task, proof);
    err_t *err = is_simple ? apply_at_once(task, &who, job, step, &is_answered)
                           : apply_in_steps(task, &who, job, step, &is_answered);
    if (err != NULL)
        fn_fail_success(task, 500, fn_error_text(task, err));
    else if (!is_answered)
        fn_reply(task, 200, STR("{\"success\":true}"));
}

/* The executor's and the UI's connection test: tells what it saw, never the secret. */
static void answer_ping(api_task_t *task, fn_proof_t proof)
{
    static const char *const METHODS[] = {"none", "hmac", "jwt", "service"};
    bool has_headers = !str_is_null(api_task_header(task, "x-executor-signature")) &&
                       !str_is_null(api_task_header(task, "x-executor-timestamp"));
    str_t signature = api_task_header(task, "x-executor-signature");
    str_t method = str_from_c(METHODS[proof]);
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", proof != FN_PROOF_NONE);
    emit_kv_string(&emit, "auth_method", has_headers ? STR("hmac") : method);
    emit_kv_bool(&emit, "hmac_headers_present", has_headers);
    emit_kv_bool(&emit, "secret_configured_in_edge", fn_shared_secret(task).len > 0);
    emit_kv_null(&emit, "secret_prefix");
    emit_kv_string(&emit, "received_sig_prefix",
                   signature.len >= 8 ? pool_concat(task->pool, 2, str_slice(signature, 0, 8), STR("..."))
                                      : STR_NULL);
    emit_kv_string(&emit, "message",
                   proof != FN_PROOF_NONE
                       ? pool_concat(task->pool, 2, STR("HMAC verified successfully via "), method)
                       : STR("HMAC verification failed - secrets may not match"));
    emit_object_end(&emit);
    fn_reply(task, proof != FN_PROOF_NONE ? 200 : 401, buf_str(&out));
}

static job_update_t job_update_of(api_task_t *task, const json_t *job)
{
    const json_t *details = json_object_get(job, "details");
    str_t id = text_or_null(job, "job_id"), status = text_or_null(job, "status");
    return (job_update_t){
        .id = str_is_null(id) ? text_or_null(job, "id") : id,
        .status = status,
        .started_at = text_or_null(job, "started_at"),
        .completed_at = text_or_null(job, "completed_at"),
        .details = json_is_object(details) ? read_json_dump(task->pool, details) : STR_NULL,
        .ends_badly = str_eq(status, STR("failed")) || str_eq(status, STR("cancelled")),
    };
}

static task_update_t task_update_of(api_task_t *task, const json_t *update)
{
    const json_t *progress = json_object_get(update, "progress");
    return (task_update_t){
        .is_present = true,
        .id = read_json_str(update, "task_id"),
        .status = text_or_null(update, "status"),
        .log = text_or_null(update, "log"),
        .started_at = text_or_null(update, "started_at"),
        .completed_at = text_or_null(update, "completed_at"),
        .has_progress = progress != NULL,
        .progress = json_is_number(progress)
                        ? pool_printf(task->pool, "%lld", (long long)json_number_value(progress))
                        : STR_NULL,
    };
}

static bool is_ping(api_task_t *task)
{
    json_t *body = NULL;
    if (memmem(task->body.base, task->body.len, "\"ping\"", 6) == NULL)
        return false;
    return read_json(task->pool, task->body, &(read_json_limits_t){0}, &body) == NULL &&
           str_eq(read_json_str(body, "action"), STR("ping"));
}

/* Anybody may ask whether his signature is good. */
static void ping(api_task_t *task)
{
    fn_proof_t proof = FN_PROOF_NONE;
    err_t *err = fn_executor_proof(task, &proof);
    if (err != NULL)
        fn_fail_lookup(task, err, fn_fail_success);
    else
        answer_ping(task, proof);
}

void fn_update_job(api_task_t *task)
{
    json_t *body = NULL;
    fn_proof_t proof = FN_PROOF_NONE;
    if (is_ping(task)) {
        ping(task);
        return;
    }
    if (!fn_admit_executor(task, "admin operator", FN_BAD_PROOF, fn_fail_success, &proof) ||
        !fn_body(task, &body, fn_fail_success))
        return;
    const json_t *job = json_object_get(body, "job"), *step = json_object_get(body, "task");
    job_update_t job_update = json_is_object(job) ? job_update_of(task, job) : NO_JOB;
    job_update.user = proof == FN_PROOF_JWT ? task->identity.sub : STR_NULL;
    task_update_t task_update = json_is_object(step) ? task_update_of(task, step) : NO_TASK;
    if (json_is_object(job) && str_is_null(job_update.id))
        fn_fail_success(task, 400, STR("job_id (or id) is required"));
    else if (json_is_object(job) && !str_is_uuid(job_update.id))
        fn_fail_success(task, 500, STR("Job not found"));
    else
        apply(task, &job_update, &task_update, proof);
}
