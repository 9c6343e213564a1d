#include "jobs/jobs.h"

#include "api/respond.h"
#include "api/route.h"
#include "api/task.h"
#include "base/read_json.h"
#include "db/session.h"
#include "jobs/stream.h"

typedef struct {
    const char *name;
    const char *sql; /* $1 the request; $2 the job's id where has_job */
    bool has_job;
} operation_t;

static const operation_t OPERATIONS[] = {
    {"claim", "select basalt.job_claim($1::jsonb)", false},
    {"renew", "select basalt.job_renew($2::uuid, $1::jsonb)", true},
    {"report", "select basalt.job_report($2::uuid, $1::jsonb)", true},
    {"finish", "select basalt.job_finish($2::uuid, $1::jsonb)", true},
};

/* Splits "/claim" or "/{id}/renew". NULL: no such operation. */
static const operation_t *find_operation(str_t path, str_t *job_id)
{
    str_t rest = str_slice(path, 1, path.len);
    str_t first = str_split(&rest, '/');
    bool has_job = !str_is_null(rest);
    *job_id = has_job ? first : STR_NULL;
    str_t name = has_job ? rest : first;
    if (has_job && !str_is_uuid(first))
        return NULL;
    for (size_t i = 0; i < sizeof(OPERATIONS) / sizeof(OPERATIONS[0]); i++) {
        if (OPERATIONS[i].has_job == has_job && str_eq(name, str_from_c(OPERATIONS[i].name)))
            return &OPERATIONS[i];
    }
    return NULL;
}

static err_t *call(api_task_t *task, const operation_t *operation, str_t job_id)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    db_session_who_t who = {0};
    err_t *err = db_session_begin(task->gateway->internal_sessions, task->pool, &who, &session);
    if (err != NULL)
        return err;
    str_t params[] = {task->body, job_id};
    err = db_session_query(session, str_from_c(operation->sql), params, operation->has_job ? 2 : 1, &rows);
    if (err != NULL) {
        db_session_rollback(session);
        return err;
    }
    err = db_session_commit(session);
    if (err == NULL)
        task->reply = rows.row_count > 0 ? db_value(&rows, 0, 0) : STR("null");
    return err;
}

static void run(api_task_t *task)
{
    static const read_json_limits_t LIMITS = {.depth_max = 64};
    str_t job_id;
    json_t *body = NULL;
    const operation_t *operation = find_operation(task->path, &job_id);
    err_t *err = read_json(task->pool, task->body, &LIMITS, &body);
    if (err == NULL && !json_is_object(body))
        err = err_make(task->pool, 400, ERR_FAMILY_REQUEST, "invalid_body", "The body must be a JSON object");
    task->error = err != NULL ? err : call(task, operation, job_id);
}

static err_t *check_caller(api_context_t *ctx)
{
    const identity_t *identity = NULL;
    err_t *err = api_identity(ctx, &identity);
    if (err != NULL)
        return err;
    if (!identity->has_token)
        return err_make(ctx->pool, 401, ERR_FAMILY_AUTH, "unauthorized", "The service role key is required");
    if (!str_eq(identity->role, STR("service_role")))
        return err_make(ctx->pool, 403, ERR_FAMILY_AUTH, "forbidden",
                        "Only the service role may work on jobs");
    return NULL;
}

static void handle(void *arg, api_context_t *ctx)
{
    jobs_streams_t *streams = arg;
    str_t job_id, method = http_method(ctx->request);
    bool is_stream = str_eq(ctx->path, STR("/stream"));
    err_t *err = check_caller(ctx);
    if (err == NULL && ctx->gateway->internal_sessions == NULL)
        err =
            err_make(ctx->pool, 503, ERR_FAMILY_OVERLOAD, "unavailable", "Jobs need BASALT_INTERNAL_DB_URI");
    if (err == NULL && !is_stream && find_operation(ctx->path, &job_id) == NULL)
        err = err_make(ctx->pool, 404, ERR_FAMILY_REQUEST, "not_found", "There is no such operation on jobs");
    if (err == NULL && !str_eq(method, is_stream ? STR("GET") : STR("POST")))
        err = err_make(ctx->pool, 405, ERR_FAMILY_REQUEST, "method_not_allowed", "Method not allowed");
    if (err != NULL)
        api_respond_error(ctx, err);
    else if (is_stream)
        jobs_stream_open(streams, ctx);
    else
        api_task_submit(ctx, ctx->gateway->workers, NULL, run, NULL);
}

void jobs_register(gateway_t *gateway, pool_t *pool)
{
    api_route_add(gateway, &(api_route_t){"/jobs/v1", API_STYLE_FUNCTION, handle,
                                          jobs_streams_create(gateway, pool), NULL, NULL, false});
}
