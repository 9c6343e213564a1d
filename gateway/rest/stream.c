/* Answers that are too large to keep: the head is sent with what is known, rows follow as they come, and the
 * database is asked to wait while the client does. An error after the head breaks the connection. */
#include "base/observe.h"
#include "rest/run.h"

/* An exact count that is the number of rows is only known behind the last one: such an answer is kept for
 * longer. */
#define COUNTED_FACTOR 32
#define CHUNK_MIN (64 * 1024) /* smaller pieces cost wake-ups on both sides */
/* Answers from this size on give way when all answers together keep too much. */
#define EARLY_MIN (32 * 1024)
/* A row may be refused before it has come from this share of what all answers may keep on. */
#define LARGE_SHARE 64
/* Kept for a slow reader while other transactions stand behind his on the same connection: they must not wait
 * for him. Beyond it he is cut. */
#define UNPAUSED_MAX (64 * 1024 * 1024)

/* Only plain reads: rows of a mutation are shown after its commit, and one that may yet be refused waits. */
static bool may_stream(const rest_run_t *run)
{
    const rest_plan_t *plan = &run->plan;
    return plan->is_read_only && !run->spec.is_explicit && !plan->is_singular && !run->request.is_head &&
           (plan->format == REST_FORMAT_CSV || plan->format == REST_FORMAT_NDJSON ||
            (plan->format == REST_FORMAT_JSON &&
             (plan->shape == REST_SHAPE_ROWS || plan->shape == REST_SHAPE_SCALARS)));
}

static void stop_timers(rest_run_t *run)
{
    loop_timer_stop(&run->stall);
    loop_timer_stop(&run->deadline);
}

static void on_gone(void *arg)
{
    rest_run_t *run = arg;
    stop_timers(run);
    run->stream = NULL;
    if (run->tx != NULL)
        db_tx_cancel(run->tx);
    run->tx = NULL;
}

static void cut(rest_run_t *run, const char *reason)
{
    http_stream_t *stream = run->stream;
    observe(LOG_INFO, "rest_answer_cut", F_STR("request_id", run->ctx->request_id), F_CSTR("reason", reason),
            F_INT("rows", run->result.renderer.row_count));
    stop_timers(run);
    if (run->tx != NULL)
        db_tx_cancel(run->tx);
    run->tx = NULL;
    run->stream = NULL;
    http_stream_abort(stream);
}

static void watch_reader(rest_run_t *run);

/* The client took nothing for too long while a database connection waits for it. */
static void on_stall(void *arg)
{
    rest_run_t *run = arg;
    if (http_stream_pending(run->stream) < run->stalled_at)
        watch_reader(run);
    else
        cut(run, "the reader takes nothing");
}

static void watch_reader(rest_run_t *run)
{
    run->stalled_at = http_stream_pending(run->stream);
    loop_timer_start(run->ctx->gateway->loop, &run->stall, run->settings->stall_timeout_ms, on_stall, run);
}

static void on_deadline(void *arg)
{
    cut(arg, "it takes too long");
}

static void write_document(rest_run_t *run);

static void on_drain(void *arg)
{
    rest_run_t *run = arg;
    loop_timer_stop(&run->stall);
    run->unpaused_bytes = 0;
    if (run->tx != NULL && run->is_paused)
        db_tx_resume(run->tx);
    run->is_paused = false;
    if (run->plan.format == REST_FORMAT_OPENAPI)
        write_document(run);
}

static void begin(rest_run_t *run)
{
    int status;
    str_t content_type;
    run->is_streamed = true;
    rest_turn_ends(&run->turn);
    err_t *err = rest_respond_head(run, &status, &content_type);
    if (err != NULL) { /* of a document: response settings are read behind the rows */
        rest_respond_error(run, err);
        return;
    }
    run->stream = http_stream_begin(run->ctx->request, status, content_type, -1, on_gone, run);
    if (run->stream == NULL)
        return;
    http_stream_on_drain(run->stream, on_drain, run);
    if (run->settings->stream_timeout_ms > 0)
        loop_timer_start(run->ctx->gateway->loop, &run->deadline, run->settings->stream_timeout_ms,
                         on_deadline, run);
}

static void pause_rows(rest_run_t *run)
{
    run->is_paused = true;
    db_tx_pause(run->tx);
    watch_reader(run);
}

static void flush(rest_run_t *run)
{
    size_t len = chain_len(&run->result.body);
    bool has_room = http_stream_write_chain(run->stream, &run->result.body);
    rest_buffered(run);
    if (has_room || run->tx == NULL || run->is_paused)
        return;
    run->unpaused_bytes += len;
    if (!db_tx_blocks_others(run->tx))
        pause_rows(run);
    else if (run->unpaused_bytes > UNPAUSED_MAX)
        cut(run, "others wait behind its reader");
}

err_t *rest_overload(rest_run_t *run)
{
    err_t *err = err_make(run->pool, 503, ERR_FAMILY_OVERLOAD, "PGRST003",
                          "Too many large answers are being prepared.");
    err->headers = STR("Retry-After: 1\r\n");
    if (!run->plan.is_read_only)
        return err_details(run->pool, err, "The change was rolled back.");
    if (run->incoming > 0)
        return err_details(run->pool, err, "A row of this answer has %zu bytes.", run->incoming);
    return err;
}

/* Too much is kept for all clients together and this answer cannot be streamed. A change can be refused until
 * it decides about its commit; one that need not decide shows little. */
static void refuse(rest_run_t *run)
{
    if (!run->plan.is_read_only) {
        run->is_stopped = run->spec.is_explicit;
        return;
    }
    err_t *err = rest_overload(run);
    rest_turn_ends(&run->turn);
    db_tx_cancel(run->tx);
    run->tx = NULL;
    rest_respond_error(run, err);
}

void rest_stream_rows(rest_run_t *run)
{
    if (run->is_spoiled || run->is_stopped) {
        chain_clear(&run->result.body);
        return;
    }
    if (run->stream == NULL) {
        bool is_over = rest_gathered(run);
        size_t max = run->settings->buffer_max * (run->plan.is_count_page_total ? COUNTED_FACTOR : 1);
        if (run->buffered <= (is_over ? EARLY_MIN : max))
            return;
        if (may_stream(run))
            begin(run);
        else if (is_over)
            refuse(run);
    }
    if (run->stream != NULL && chain_len(&run->result.body) >= CHUNK_MIN)
        flush(run);
}

bool rest_stream_large_row(rest_run_t *run, size_t bytes)
{
    if (run->stream != NULL || run->is_spoiled || run->is_stopped)
        return run->stream != NULL && !run->is_spoiled;
    run->incoming = bytes;
    if (rest_gathered(run) && bytes > run->settings->buffers_max / LARGE_SHARE)
        refuse(run);
    return !run->is_stopped;
}

void rest_stream_end(rest_run_t *run, const err_t *error)
{
    http_stream_t *stream = run->stream;
    stop_timers(run);
    if (error != NULL || run->is_spoiled) {
        run->stream = NULL;
        http_stream_abort(stream);
        return;
    }
    rest_render_end(&run->result.renderer, chain_tail(&run->result.body));
    http_stream_write_chain(stream, &run->result.body);
    run->stream = NULL;
    http_stream_end(stream);
}

/* ---- documents ---- */

/* As long as the reader keeps up; on_drain goes on. */
static void write_document(rest_run_t *run)
{
    chain_t *body = &run->result.body;
    bool is_over = false;
    while (!is_over) {
        is_over = !rest_openapi_write(&run->plan, chain_tail(body));
        if (is_over || chain_len(body) < CHUNK_MIN || http_stream_write_chain(run->stream, body))
            continue;
        run->is_paused = true;
        watch_reader(run);
        return;
    }
    rest_stream_end(run, NULL);
}

void rest_stream_document(rest_run_t *run)
{
    http_request_t *http = run->ctx->request;
    chain_t *body = &run->result.body;
    rest_openapi_begin(&run->plan, http_authority(http), http_is_tls(http));
    while (chain_len(body) <= run->settings->buffer_max) {
        if (rest_openapi_write(&run->plan, chain_tail(body)))
            continue;
        rest_buffered(run);
        rest_respond(run);
        return;
    }
    begin(run);
    if (run->stream != NULL)
        write_document(run);
}
