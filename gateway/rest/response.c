/* From the result to status, headers and body. */
#include "api/respond.h"
#include "base/clock.h"
#include "base/log.h"
#include "rest/answer.h"
#include "rest/errors.h"
#include "rest/media.h"

str_t rest_content_range(pool_t *pool, int64_t lower, int64_t upper, int64_t total)
{
    buf_t out;
    buf_init(&out, pool, 64);
    if (total == 0 || lower > upper) {
        buf_append_char(&out, '*');
    } else {
        buf_append_int(&out, lower);
        buf_append_char(&out, '-');
        buf_append_int(&out, upper);
    }
    buf_append_char(&out, '/');
    if (total < 0)
        buf_append_char(&out, '*');
    else
        buf_append_int(&out, total);
    return buf_str(&out);
}

/* ---- parts ---- */

static int64_t page_total(const rest_run_t *run)
{
    return run->plan.is_page_total_one ? 1 : run->result.page_total;
}

/* Rows of the whole table or routine under the filters; -1: not asked or not known. */
static int64_t table_total(const rest_run_t *run)
{
    const rest_plan_t *plan = &run->plan;
    const rest_result_t *result = &run->result;
    int64_t counted = !plan->is_count_page_total ? result->table_total
                      : run->is_streamed         ? -1
                                                 : page_total(run);
    switch (run->request.prefer.count) {
    case REST_COUNT_PLANNED:
        return result->plan_total;
    case REST_COUNT_ESTIMATED:
        if (result->plan_total > counted && (plan->count_cap < 0 || counted > plan->count_cap))
            return result->plan_total;
        return counted;
    case REST_COUNT_EXACT:
        return counted;
    default:
        return -1;
    }
}

/* Of a mutation: the affected rows, when a count was asked for. */
static int64_t mutation_total(const rest_run_t *run)
{
    rest_count_t count = run->request.prefer.count;
    return count == REST_COUNT_EXACT || count == REST_COUNT_ESTIMATED ? page_total(run) : -1;
}

static void add_content_type(const rest_run_t *run, rest_answer_t *answer)
{
    answer->content_type = rest_media_content_type(run->pool, &run->plan.media);
    if (run->request.is_schema_negotiated)
        rest_answer_header(answer, STR("content-profile"), run->request.schema);
}

static void add_preferences(const rest_run_t *run, rest_answer_t *answer)
{
    str_t applied = rest_preference_applied(run->pool, &run->request, &run->plan);
    if (!str_is_null(applied))
        rest_answer_header(answer, STR("preference-applied"), applied);
}

static void add_range(const rest_run_t *run, rest_answer_t *answer, int64_t lower, int64_t upper,
                      int64_t total)
{
    rest_answer_header(answer, STR("content-range"), rest_content_range(run->pool, lower, upper, total));
}

/* ---- reads and calls ---- */

static str_t out_of_bounds_body(const rest_run_t *run, int64_t total)
{
    err_t *err = err_details(run->pool, rest_error(run->pool, REST_ERR_RANGE, STR_NULL),
                             "An offset of %lld was requested, but there are only %lld rows.",
                             (long long)run->request.range.offset, (long long)total);
    return api_error_body(run->pool, run->ctx->style, STR_NULL, err);
}

/* Rows that this answer will have. Of a streamed one they follow from the total, or nothing is said (0). */
static int64_t expected_rows(const rest_run_t *run, int64_t total)
{
    rest_range_t range = run->request.range;
    if (!run->is_streamed)
        return page_total(run);
    if (total <= range.offset)
        return 0;
    return range.limit >= 0 && range.limit < total - range.offset ? range.limit : total - range.offset;
}

static void fill_ranged(const rest_run_t *run, rest_answer_t *answer)
{
    int64_t lower = run->request.range.offset, total = table_total(run);
    int64_t upper = lower + expected_rows(run, total) - 1;
    answer->status = total < 0 ? 200 : lower > total ? 416 : upper - lower + 1 < total ? 206 : 200;
    add_range(run, answer, lower, upper, total);
    answer->body = answer->status == 416 ? out_of_bounds_body(run, total) : STR_NULL;
}

static void fill_read(const rest_run_t *run, rest_answer_t *answer)
{
    str_t query = run->request.canonical_query;
    fill_ranged(run, answer);
    rest_answer_header(answer, STR("content-location"),
                       pool_concat(run->pool, 4, run->settings->root, run->plan.location_name,
                                   query.len > 0 ? STR("?") : STR(""), query));
    add_content_type(run, answer);
    add_preferences(run, answer);
}

static void fill_call(const rest_run_t *run, rest_answer_t *answer)
{
    fill_ranged(run, answer);
    add_preferences(run, answer);
    if (run->plan.is_void) {
        answer->status = 204;
        answer->body = STR("");
        return;
    }
    add_content_type(run, answer);
}

/* ---- mutations ---- */

static void fill_create(const rest_run_t *run, rest_answer_t *answer)
{
    const rest_preferences_t *prefer = &run->request.prefer;
    bool is_update_only = prefer->resolution == REST_RESOLUTION_MERGE && run->result.inserted <= 0;
    answer->status = is_update_only ? 200 : 201;
    if (!str_is_null(run->result.location) && run->result.renderer.row_count == 1)
        rest_answer_header(
            answer, STR("location"),
            pool_concat(run->pool, 3, run->settings->root, run->plan.location_name, run->result.location));
    add_range(run, answer, 1, 0, mutation_total(run));
    add_preferences(run, answer);
    if (prefer->ret == REST_RETURN_FULL) {
        add_content_type(run, answer);
        answer->body = STR_NULL;
    }
}

/* PATCH, PUT and DELETE: 200 with the rows, or 204. */
static void fill_change(const rest_run_t *run, rest_answer_t *answer)
{
    rest_action_t action = run->request.action;
    answer->status = 204;
    if (action == REST_ACTION_UPDATE)
        add_range(run, answer, 0, page_total(run) - 1, mutation_total(run));
    else if (action == REST_ACTION_DELETE)
        add_range(run, answer, 1, 0, mutation_total(run));
    add_preferences(run, answer);
    if (run->request.prefer.ret != REST_RETURN_FULL)
        return;
    answer->status = action == REST_ACTION_UPSERT && run->result.inserted > 0 ? 201 : 200;
    add_content_type(run, answer);
    answer->body = STR_NULL;
}

/* ---- without rows ---- */

static void fill_info(const rest_run_t *run, rest_answer_t *answer)
{
    answer->status = 200;
    rest_answer_header(answer, STR("access-control-allow-origin"), STR("*"));
    rest_answer_header(answer, STR("allow"), run->plan.allow);
}

static void fill_document(const rest_run_t *run, rest_answer_t *answer)
{
    answer->status = 200;
    add_content_type(run, answer);
    answer->body = STR_NULL;
}

static void fill(const rest_run_t *run, rest_answer_t *answer)
{
    if (run->plan.format == REST_FORMAT_EXPLAIN || run->plan.format == REST_FORMAT_OPENAPI) {
        fill_document(run, answer);
        return;
    }
    switch (run->request.action) {
    case REST_ACTION_READ:
        fill_read(run, answer);
        break;
    case REST_ACTION_CALL:
    case REST_ACTION_CALL_READ:
        fill_call(run, answer);
        break;
    case REST_ACTION_CREATE:
        fill_create(run, answer);
        break;
    case REST_ACTION_UPDATE:
    case REST_ACTION_UPSERT:
    case REST_ACTION_DELETE:
        fill_change(run, answer);
        break;
    default:
        fill_info(run, answer);
    }
}

/* ---- sending ---- */

static str_t server_timing(rest_run_t *run)
{
    static const char *const NAMES[] = {"jwt", "parse", "plan", "transaction", "response"};
    buf_t out;
    buf_init(&out, run->pool, 128);
    for (int i = 0; i < REST_STAGE_COUNT; i++)
        buf_printf(&out, "%s%s;dur=%.1f", i > 0 ? ", " : "", NAMES[i], (double)run->stage_us[i] / 1000.0);
    return buf_str(&out);
}

static void add_common(rest_run_t *run, rest_answer_t *answer)
{
    bool has_vary = false;
    for (size_t i = 0; i < answer->header_count; i++)
        has_vary = has_vary || str_eq_nocase(answer->headers[i].name, STR("vary"));
    if (run->settings->has_server_timing) {
        run->stage_us[REST_STAGE_RESPONSE] = clock_mono_us() - run->stage_started_us;
        rest_answer_header(answer, STR("server-timing"), server_timing(run));
    }
    if (!str_is_null(run->plan.warning)) {
        rest_answer_header(answer, STR("warning"), run->plan.warning);
        observe(LOG_WARN, "deprecated_target_name", F_STR("request_id", run->ctx->request_id),
                F_STR("path", http_path(run->ctx->request)), F_STR("warning", run->plan.warning));
    }
    if (!has_vary)
        rest_answer_header(answer, STR("vary"), STR("Accept, Prefer, Range"));
}

static void send_headers(http_request_t *request, const rest_answer_t *answer)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (!str_is_null(answer->headers[i].name))
            http_add_header(request, answer->headers[i].name, answer->headers[i].value);
}

static err_t *prepare(rest_run_t *run, rest_answer_t *answer)
{
    *answer = (rest_answer_t){.body = STR("")};
    fill(run, answer);
    err_t *err = rest_answer_override(run->pool, &run->result, answer);
    if (err == NULL)
        add_common(run, answer);
    return err;
}

/* PGRST_LOG_QUERY: at the level that the log wants for such an answer. Values are parameters, so that nothing
 * of a caller's stands in the text. */
static void log_queries(const rest_run_t *run, int status)
{
    log_level_t level = status >= 500 ? LOG_ERROR : status >= 400 ? LOG_WARN : LOG_INFO;
    size_t count = run->settings->is_query_logged && run->stmt_count > 0 ? run->plan.stmt_count : 0;
    for (size_t i = 0; i < count; i++)
        observe(level, "query", F_STR("request_id", run->ctx->request_id), F_INT("status", status),
                F_STR("sql", run->stmts[i].sql));
}

void rest_respond(rest_run_t *run)
{
    rest_answer_t answer;
    err_t *err = prepare(run, &answer);
    if (err != NULL) {
        rest_respond_error(run, err);
        return;
    }
    log_queries(run, answer.status);
    send_headers(run->ctx->request, &answer);
    if (str_is_null(answer.body) && !run->request.is_head)
        http_send_chain(run->ctx->request, answer.status, answer.content_type, &run->result.body);
    else /* the length of what HEAD does not make is unknown */
        http_send(run->ctx->request, answer.status, answer.content_type,
                  run->request.is_head ? STR_NULL : answer.body);
}

err_t *rest_respond_head(rest_run_t *run, int *status, str_t *content_type)
{
    rest_answer_t answer;
    err_t *err = prepare(run, &answer);
    if (err != NULL)
        return err;
    log_queries(run, answer.status);
    send_headers(run->ctx->request, &answer);
    *status = answer.status;
    *content_type = answer.content_type;
    return NULL;
}

void rest_respond_error(rest_run_t *run, const err_t *err)
{
    log_queries(run, err->status);
    api_respond_error(run->ctx, err);
}
