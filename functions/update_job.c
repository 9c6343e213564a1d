#include "base/crypt.h"
#include "functions/fn.h"

static const char LOCK_JOB_SQL[] = "select status, status in ('completed', 'failed', 'cancelled'), job_type"
                                   "  from public.jobs where id = $1::uuid for update";

static const char UPDATE_JOB_SQL[] = "update public.jobs"
                                     "   set status = coalesce($2::public.job_status, status),"
                                     "       started_at = coalesce($3::timestamptz, started_at),"
                                     "       completed_at = coalesce($4::timestamptz, completed_at),"
                                     "       details = coalesce($5::jsonb, details)"
                                     " where id = $1::uuid"
                                     " returning id";

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

static const char UPDATE_TASK_SQL[] =
    "update public.job_tasks"
    "   set status = coalesce($2::public.job_status, status), log = coalesce($3, log),"
    "       started_at = coalesce($4::timestamptz, started_at),"
    "       completed_at = coalesce($5::timestamptz, completed_at),"
    "       progress = case when $6::boolean then $7::int else progress end"
    " where id = $1::uuid";

typedef struct {
    str_t id, status, started_at, completed_at, details;
} job_update_t;

/* Absent, null and empty all mean: leave it. */
static str_t text_or_null(const json_t *object, const char *key)
{
    str_t text = read_json_str(object, key);
    return text.len > 0 ? text : STR_NULL;
}

static bool is_terminal(str_t status)
{
    return str_eq(status, STR("completed")) || str_eq(status, STR("failed")) ||
           str_eq(status, STR("cancelled"));
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

/* What the update means to a job that has already ended. True when the answer has been given. */
static bool answer_ended(api_task_t *task, const job_update_t *job, str_t current)
{
    if (str_is_null(job->status) || str_eq(job->status, current)) {
        reply_terminal(task, 200, STR("Job already in terminal state, update ignored"), "message", current);
        return true;
    }
    reply_terminal(task, 409,
                   pool_printf(task->pool, "Job is already %.*s - cannot change to %.*s", STR_ARG(current),
                               STR_ARG(job->status)),
                   "error", current);
    return true;
}

/* Sets *is_answered when the reply is given and nothing is to be committed. */
static err_t *apply_job(api_task_t *task, db_session_t *session, const job_update_t *job, bool *is_answered)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(session, FN_SQL(LOCK_JOB_SQL), DB_PARAMS(job->id), &rows);
    if (err != NULL)
        return err;
    if (rows.row_count == 0)
        return err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "Job not found");
    str_t current = db_value(&rows, 0, 0);
    if (str_eq(db_value(&rows, 0, 1), STR("t"))) {
        *is_answered = answer_ended(task, job, current);
        return NULL;
    }
    err = db_session_query(session, FN_SQL(UPDATE_JOB_SQL),
                           DB_PARAMS(job->id, job->status, job->started_at, job->completed_at, job->details),
                           &rows);
    if (err != NULL)
        return err;
    if (rows.row_count == 0) { /* the lease guard let nothing through */
        reply_terminal(task, 409, STR("Job is held by an executor"), "error", current);
        *is_answered = true;
        return NULL;
    }
    bool ends_badly = is_terminal(job->status) && !str_eq(job->status, STR("completed"));
    return ends_badly ? cascade(session, job) : NULL;
}

static err_t *apply_task(api_task_t *task, db_session_t *session, const json_t *update)
{
    str_t id = read_json_str(update, "task_id");
    const json_t *progress = json_object_get(update, "progress");
    bool has_progress = progress != NULL;
    str_t value = json_is_number(progress)
                      ? pool_printf(task->pool, "%lld", (long long)json_number_value(progress))
                      : STR_NULL;
    if (!str_is_uuid(id))
        return err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "task_id is not a UUID");
    return db_session_query(session, FN_SQL(UPDATE_TASK_SQL),
                            DB_PARAMS(id, text_or_null(update, "status"), text_or_null(update, "log"),
                                      text_or_null(update, "started_at"),
                                      text_or_null(update, "completed_at"),
                                      has_progress ? STR("true") : STR("false"), value),
                            NULL);
}

static err_t *apply(api_task_t *task, const json_t *body, const job_update_t *job, fn_proof_t proof)
{
    db_session_t *session = NULL;
    bool is_answered = false;
    const json_t *task_update = json_object_get(body, "task");
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL && proof == FN_PROOF_JWT) /* a person may cancel and end a job that an executor holds */
        err = db_session_query(session, STR("select set_config('basalt.job_writer', 'user', true)"), NULL, 0,
                               NULL);
    if (err == NULL && !str_is_null(job->id))
        err = apply_job(task, session, job, &is_answered);
    if (err == NULL && !is_answered && json_is_object(task_update))
        err = apply_task(task, session, task_update);
    if (err != NULL || is_answered) {
        db_session_rollback(session);
        return err;
    }
    err = db_session_commit(session);
    if (err == NULL)
        fn_reply(task, 200, STR("{\"success\":true}"));
    return err;
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
    emit_kv_bool(&emit, "secret_configured_in_edge",
                 config_str(task->gateway->config, "BASALT_EXECUTOR_SHARED_SECRET").len > 0);
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
    str_t id = text_or_null(job, "job_id");
    return (job_update_t){
        .id = str_is_null(id) ? text_or_null(job, "id") : id,
        .status = text_or_null(job, "status"),
        .started_at = text_or_null(job, "started_at"),
        .completed_at = text_or_null(job, "completed_at"),
        .details = json_is_object(details) ? read_json_dump(task->pool, details) : STR_NULL,
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
    const json_t *job = json_object_get(body, "job");
    job_update_t update = json_is_object(job) ? job_update_of(task, job) : (job_update_t){0};
    if (json_is_object(job) && str_is_null(update.id))
        fn_fail_success(task, 400, STR("job_id (or id) is required"));
    else if (json_is_object(job) && !str_is_uuid(update.id))
        fn_fail_success(task, 500, STR("Job not found"));
    else {
        err_t *err = apply(task, body, &update, proof);
        if (err != NULL)
            fn_fail_success(task, 500, fn_error_text(task, err));
    }
}
