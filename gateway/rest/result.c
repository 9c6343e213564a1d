/* The transaction's callbacks: what each statement yields goes to its place in the result. */
#include "base/read_json.h"
#include "rest/errors.h"
#include "rest/grammar.h"
#include "rest/media.h"
#include "rest/run.h"

void rest_result_reset(rest_run_t *run)
{
    rest_result_t *result = &run->result;
    chain_clear(&result->body);
    *result = (rest_result_t){.table_total = -1, .plan_total = -1, .inserted = -1};
    rest_render_init(&result->renderer, &run->plan, run->pool,
                     run->cached != NULL ? rest_cached_plan_columns(run->cached) : NULL);
}

static rest_stmt_role_t role_of(const rest_run_t *run, size_t stmt)
{
    return stmt < run->plan.stmt_count ? run->plan.roles[stmt] : REST_STMT_SILENT;
}

/* ---- rows ---- */

#define BYTEA_OID 17
#define JSONB_OID 3802

static void on_columns(void *arg, size_t stmt, const db_column_t *columns, size_t count)
{
    rest_run_t *run = arg;
    rest_stmt_role_t role = role_of(run, stmt);
    if (role == REST_STMT_ROWS)
        rest_render_columns(&run->result.renderer, columns, count);
    else if (role == REST_STMT_BODY && count > 0)
        run->result.body_type = columns[0].type_oid;
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* The text form of a bytea ("\x0a0b") as its bytes. */
static void append_bytea(buf_t *out, str_t hex)
{
    char *to = buf_reserve(out, hex.len / 2 + 1);
    size_t len = 0;
    for (size_t i = 2; i + 1 < hex.len; i += 2)
        to[len++] = (char)(hex_value(hex.base[i]) << 4 | hex_value(hex.base[i + 1]));
    out->len += len;
}

static void take_body(rest_run_t *run, const str_t *values, size_t count)
{
    rest_result_t *result = &run->result;
    buf_t *body = chain_tail(&result->body);
    result->has_body = true;
    if (!str_is_null(values[0])) {
        /* The peer asks for binary values: text is the same, jsonb has its version in front. */
        if (result->body_type == JSONB_OID)
            buf_append_char(body, 1);
        if (result->body_type == BYTEA_OID)
            append_bytea(body, values[0]);
        else
            buf_append_str(body, values[0]);
    }
    if (count > 1)
        str_to_int64(values[1], &result->page_total);
    rest_stream_rows(run); /* and the request may be gone */
}

static void take_plan_estimate(rest_run_t *run, str_t json)
{
    json_t *root = NULL;
    err_t *err = read_json(run->pool, json, NULL, &root);
    if (err != NULL)
        return;
    const json_t *plan = json_object_get(json_array_get(root, 0), "Plan");
    run->result.plan_total = read_json_int(plan, "Plan Rows", -1);
}

/* key=eq.value pairs of the new row, encoded. Values are the JSON text forms. */
static void take_location(rest_run_t *run, const str_t *values, size_t count)
{
    static const char HEX[] = "0123456789ABCDEF";
    rest_renderer_t *renderer = &run->result.renderer;
    buf_t out;
    buf_init(&out, run->pool, 64);
    for (size_t i = 0; i < count; i++) {
        str_t value = values[i];
        buf_append_char(&out, i == 0 ? '?' : '&');
        str_t parts[] = {renderer->columns->names[i], STR("="),
                         str_is_null(value) ? STR("is.null") : STR("eq."), value};
        for (size_t p = 0; p < 4; p++) {
            for (size_t j = 0; j < parts[p].len; j++) {
                unsigned char c = (unsigned char)parts[p].base[j];
                bool is_plain = p == 1 || (c >= '0' && c <= '9') ||
                                (c < 0x80 && (c | 32) >= 'a' && (c | 32) <= 'z') || strchr("-_.~", c) != NULL;
                if (is_plain && c != '\0')
                    buf_append_char(&out, (char)c);
                else
                    buf_append(&out, (char[]){'%', HEX[c >> 4], HEX[c & 15]}, 3);
            }
        }
    }
    run->result.location = buf_str(&out);
}

static void take_row(rest_run_t *run, const str_t *values, size_t count)
{
    rest_renderer_t *renderer = &run->result.renderer;
    switch (run->plan.shape) {
    case REST_SHAPE_LOCATION:
        if (renderer->row_count++ == 0)
            take_location(run, values, count);
        break;
    case REST_SHAPE_NOTHING:
        renderer->row_count++;
        break;
    default:
        rest_render_row(renderer, chain_tail(&run->result.body), values, count);
        run->result.page_total = renderer->row_count;
        rest_stream_rows(run); /* and the request may be gone */
        return;
    }
    run->result.page_total = renderer->row_count;
}

static void take_response_settings(rest_run_t *run, const str_t *values, size_t count)
{
    if (count < 2)
        return;
    if (values[0].len > 0)
        run->result.headers = pool_str(run->pool, values[0]);
    if (values[1].len > 0)
        run->result.status = pool_str(run->pool, values[1]);
}

static bool on_large_row(void *arg, size_t bytes)
{
    return rest_stream_large_row(arg, bytes);
}

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    rest_run_t *run = arg;
    rest_result_t *result = &run->result;
    run->incoming = 0;
    if (stmt == run->response_stmt) {
        take_response_settings(run, values, count);
        return;
    }
    if (count == 0 && role_of(run, stmt) != REST_STMT_ROWS)
        return;
    switch (role_of(run, stmt)) {
    case REST_STMT_ROWS:
        take_row(run, values, count);
        break;
    case REST_STMT_BODY:
        take_body(run, values, count);
        break;
    case REST_STMT_COUNT:
        str_to_int64(values[0], &result->table_total);
        break;
    case REST_STMT_COUNT_PLAN:
        take_plan_estimate(run, values[0]);
        break;
    case REST_STMT_INSERTED:
        if (!str_is_null(values[0]))
            str_to_int64(values[0], &result->inserted);
        break;
    case REST_STMT_EXPLAIN:
        chain_append(&result->body, values[0]);
        chain_append(&result->body, STR("\n"));
        break;
    case REST_STMT_OPENAPI:
        rest_openapi_row(&run->plan, run->pool, (uint32_t)stmt, values, count);
        break;
    case REST_STMT_AFFECTED:
    case REST_STMT_SILENT:
        break;
    }
}

static void on_stmt_done(void *arg, size_t stmt, int64_t affected)
{
    rest_run_t *run = arg;
    if (role_of(run, stmt) == REST_STMT_AFFECTED)
        run->result.page_total = affected;
}

/* ---- the end ---- */

static err_t *max_affected_error(rest_run_t *run)
{
    return err_details(run->pool, rest_error(run->pool, REST_ERR_MAX_AFFECTED, STR_NULL),
                       "The query affects %lld rows", (long long)run->result.page_total);
}

const err_t *rest_result_guard(rest_run_t *run)
{
    const rest_request_t *request = &run->request;
    int64_t total = run->plan.is_page_total_one ? 1 : run->result.page_total;
    if (run->plan.format == REST_FORMAT_EXPLAIN || run->plan.format == REST_FORMAT_OPENAPI)
        return NULL;
    if (request->action == REST_ACTION_UPSERT)
        return total == 1 ? NULL : rest_error(run->pool, REST_ERR_PUT_KEY, STR_NULL);
    if (rest_media_is_singular(run->plan.media.kind) && total != 1)
        return err_details(run->pool, rest_error(run->pool, REST_ERR_SINGULAR, STR_NULL),
                           "The result contains %lld rows", (long long)total);
    bool has_limit = request->prefer.has_max_affected && request->prefer.handling == REST_HANDLING_STRICT;
    bool counts = request->action == REST_ACTION_UPDATE || request->action == REST_ACTION_DELETE ||
                  request->action == REST_ACTION_CALL || request->action == REST_ACTION_CALL_READ;
    return has_limit && counts && total > request->prefer.max_affected ? max_affected_error(run) : NULL;
}

static db_end_t on_decide(void *arg)
{
    rest_run_t *run = arg;
    rest_tx_t tx = run->request.prefer.tx;
    run->guard = run->is_stopped ? rest_overload(run) : rest_result_guard(run);
    bool is_rollback = tx == REST_TX_ROLLBACK || (run->settings->is_tx_rollback && tx != REST_TX_COMMIT);
    return run->guard != NULL || is_rollback ? DB_END_ROLLBACK : DB_END_COMMIT;
}

static void on_retry(void *arg)
{
    rest_run_t *run = arg;
    run->guard = NULL;
    run->is_stopped = false;
    if (run->stream != NULL)
        run->is_spoiled = true;
    else
        rest_result_reset(run);
}

static void on_done(void *arg, const err_t *error)
{
    rest_run_t *run = arg;
    run->tx = NULL;
    rest_run_finish(run, error);
}

const db_tx_handlers_t REST_TX_HANDLERS = {.on_columns = on_columns,
                                           .on_row = on_row,
                                           .on_large_row = on_large_row,
                                           .on_stmt_done = on_stmt_done,
                                           .on_decide = on_decide,
                                           .on_retry = on_retry,
                                           .on_done = on_done};
