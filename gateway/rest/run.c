/* The stages composed: who, what, plan, transaction, answer. */
#include "rest/run.h"

#include "api/events.h"
#include "api/inspect.h"
#include "api/respond.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/observe.h"
#include "rest/media.h"
#include "rest/rest.h"
#include "schema/cache.h"

#include <stdlib.h>

struct rest {
    gateway_t *gateway;
    rest_settings_box_t *box; /* in force */
    rest_plan_cache_t *plans;
    db_stmt_t response; /* reads what functions said about the answer */
    size_t buffered;    /* of the bodies of all runs */
    rest_turns_t *turns;
};
typedef struct rest rest_t;

/* ---- life of a run ---- */

static void run_dispose(void *arg)
{
    rest_run_t *run = arg;
    loop_timer_stop(&run->stall);
    loop_timer_stop(&run->deadline);
    rest_turn_ends(&run->turn);
    if (run->tx != NULL)
        db_tx_cancel(run->tx);
    run->rest->buffered -= run->buffered;
    chain_clear(&run->result.body);
    rest_cached_plan_release(run->cached);
    schema_unref(run->snapshot);
    rest_settings_unref(run->box);
}

bool rest_buffered(rest_run_t *run)
{
    rest_t *rest = run->rest;
    size_t len = chain_len(&run->result.body) + run->incoming;
    rest->buffered += len - run->buffered;
    run->buffered = len;
    return rest->buffered > run->settings->buffers_max;
}

/* Where others stand behind it on its connection they would wait, too. */
static bool wait_for_turn(void *arg, bool is_waiting)
{
    rest_run_t *run = arg;
    if (run->tx == NULL || (is_waiting && db_tx_blocks_others(run->tx)))
        return false;
    (is_waiting ? db_tx_pause : db_tx_resume)(run->tx);
    return true;
}

bool rest_gathered(rest_run_t *run)
{
    bool is_over = rest_buffered(run);
    if (run->plan.is_read_only)
        rest_turn_keeps(run->rest->turns, &run->turn, run->buffered, run->settings->buffer_max);
    return is_over;
}

static rest_run_t *run_create(rest_t *rest, api_context_t *ctx)
{
    rest_run_t *run = POOL_NEW(ctx->pool, rest_run_t);
    run->ctx = ctx;
    run->rest = rest;
    run->pool = ctx->pool;
    run->box = rest_settings_ref(rest->box);
    run->settings = &run->box->values;
    run->turn = (rest_turn_t){.wait = wait_for_turn, .arg = run};
    run->stage_started_us = ctx->started_us;
    if (run->settings->is_error_minimal)
        ctx->style = API_STYLE_REST_MINIMAL;
    pool_on_dispose(ctx->pool, run_dispose, run);
    return run;
}

/* For Server-Timing alone; whoever does not ask for it need not look at the clock. */
static void stage_ends(rest_run_t *run, rest_stage_t stage)
{
    if (!run->settings->has_server_timing)
        return;
    int64_t now = clock_mono_us();
    run->stage_us[stage] = now - run->stage_started_us;
    run->stage_started_us = now;
}

/* ---- transaction ---- */

static bool is_write(const rest_run_t *run)
{
    return !run->plan.is_read_only;
}

/* Whether the rows decide about the commit, or it is to be rolled back anyway. */
static bool needs_decision(const rest_run_t *run)
{
    const rest_preferences_t *prefer = &run->request.prefer;
    if (!is_write(run))
        return false;
    bool is_rollback =
        prefer->tx == REST_TX_ROLLBACK || (run->settings->is_tx_rollback && prefer->tx != REST_TX_COMMIT);
    return is_rollback || run->plan.shows_many || rest_media_is_singular(run->plan.media.kind) ||
           run->request.action == REST_ACTION_UPSERT ||
           (prefer->has_max_affected && prefer->handling == REST_HANDLING_STRICT);
}

/* A rollback hides deferred constraints: they are checked as if it were a commit. */
static bool checks_constraints(const rest_run_t *run)
{
    const rest_preferences_t *prefer = &run->request.prefer;
    return is_write(run) && (prefer->tx == REST_TX_ROLLBACK ||
                             (run->settings->is_tx_rollback && prefer->tx != REST_TX_COMMIT));
}

static void build_transaction(rest_run_t *run)
{
    static const str_t CONSTRAINTS = {"set constraints all immediate", 29};
    const rest_plan_t *plan = &run->plan;
    memcpy(run->stmts, plan->stmts, plan->stmt_count * sizeof(run->stmts[0]));
    run->stmt_count = plan->stmt_count;
    run->response_stmt = run->stmt_count;
    run->stmts[run->stmt_count++] = run->rest->response;
    if (checks_constraints(run))
        run->stmts[run->stmt_count++] = (db_stmt_t){.sql = CONSTRAINTS};
    run->spec = (db_tx_spec_t){.pre_request = run->settings->pre_request,
                               .is_read_only = plan->is_read_only,
                               .is_explicit = needs_decision(run),
                               .is_exclusive = plan->is_exclusive || is_write(run),
                               .is_anonymous = str_eq(run->identity->role, run->settings->anon_role),
                               .stmts = run->stmts,
                               .stmt_count = run->stmt_count};
    rest_session_fill(run);
}

void rest_run_finish(rest_run_t *run, const err_t *error)
{
    stage_ends(run, REST_STAGE_TX);
    rest_turn_ends(&run->turn);
    if (run->stream != NULL) {
        rest_stream_end(run, error);
        return;
    }
    if (error == NULL)
        error = run->guard != NULL ? run->guard : rest_result_guard(run);
    if (error != NULL) {
        rest_respond_error(run, error);
        return;
    }
    rest_buffered(run);
    bool has_rows = run->plan.format == REST_FORMAT_JSON || run->plan.format == REST_FORMAT_CSV;
    if (has_rows && run->plan.shape != REST_SHAPE_LOCATION && run->plan.shape != REST_SHAPE_NOTHING)
        rest_render_end(&run->result.renderer, chain_tail(&run->result.body));
    if (run->plan.format == REST_FORMAT_OPENAPI && !run->request.is_head)
        rest_stream_document(run);
    else
        rest_respond(run);
}

/* ---- stages ---- */

static err_t *take_snapshot(rest_run_t *run)
{
    schema_snapshot_t *snapshot = schema_cache_get(run->ctx->gateway->schema);
    if (snapshot == NULL) {
        err_t *err = err_make(run->pool, 503, ERR_FAMILY_SCHEMA, "PGRST002",
                              "Could not query the database for the schema cache. Retrying.");
        err->headers = STR("Retry-After: 1\r\n");
        return err;
    }
    run->snapshot = schema_ref(snapshot);
    return NULL;
}

/* The plan of a request that came before, with this one's values. */
static bool take_plan(rest_run_t *run, const rest_plan_key_t *key)
{
    run->cached = rest_plan_cache_get(run->rest->plans, key);
    if (run->cached == NULL)
        return false;
    rest_cached_plan_bind(run->cached, run->pool, key, &run->request, &run->plan);
    return true;
}

static err_t *make_plan(rest_run_t *run, const rest_input_t *in, const rest_plan_key_t *key)
{
    err_t *err = rest_parse(run->settings, run->pool, in, &run->request);
    if (err != NULL)
        return err;
    stage_ends(run, REST_STAGE_PARSE);
    err = rest_plan(run->settings, run->pool, &run->request, run->snapshot, run->identity, &run->plan);
    if (err == NULL)
        rest_plan_cache_offer(run->rest->plans, key, &run->request, &run->plan);
    return err;
}

static err_t *prepare(rest_run_t *run)
{
    rest_plan_cache_t *plans = run->rest->plans;
    rest_input_t in;
    rest_plan_key_t key;
    err_t *err = api_identity(run->ctx, &run->identity);
    if (err != NULL)
        return err;
    stage_ends(run, REST_STAGE_JWT);
    if ((err = take_snapshot(run)) != NULL)
        return err;
    rest_plan_cache_enter(plans, run->snapshot, run->box);
    rest_input_read(run->ctx, &in);
    rest_plan_key_read(run->settings, run->pool, &in,
                       rest_plan_cache_is_by_role(plans) ? run->identity->role : STR_NULL, &key);
    if (!take_plan(run, &key))
        err = make_plan(run, &in, &key);
    stage_ends(run, REST_STAGE_PLAN);
    return err;
}

static void handle(void *arg, api_context_t *ctx)
{
    rest_t *rest = arg;
    rest_run_t *run = run_create(rest, ctx);
    if (rest_cors_preflight(run->settings, ctx))
        return;
    rest_cors_headers(run->settings, ctx->request);
    if (!str_is_null(run->settings->trace_header)) {
        str_t value = http_header(ctx->request, run->settings->trace_header.base);
        http_set_header(ctx->request, run->settings->trace_header, value.base != NULL ? value : STR(""));
    }
    err_t *err = prepare(run);
    if (err != NULL) {
        rest_respond_error(run, err);
        return;
    }
    rest_result_reset(run);
    if (run->plan.stmt_count == 0) {
        rest_respond(run);
        return;
    }
    build_transaction(run);
    run->tx = db_tx_submit(ctx->gateway->request_pool, &run->spec, &REST_TX_HANDLERS, run);
}

/* ---- registration ---- */

static void on_schema_changed(void *arg, str_t subject)
{
    rest_t *rest = arg;
    (void)subject;
    rest_plan_cache_flush(rest->plans);
}

static void inspect(void *arg, buf_t *out)
{
    const rest_t *rest = arg;
    rest_plan_cache_inspect(rest->plans, out);
}

static void on_config_reloaded(void *arg, str_t subject)
{
    rest_t *rest = arg;
    (void)subject;
    rest_settings_box_t *old = rest->box;
    rest_plan_cache_flush(rest->plans);
    rest->box = rest_settings_load(rest->gateway->config);
    rest_settings_unref(old);
}

static void rest_dispose(void *arg)
{
    rest_t *rest = arg;
    rest_turns_destroy(rest->turns);
    rest_plan_cache_destroy(rest->plans);
    rest_settings_unref(rest->box);
}

void rest_register(gateway_t *gateway, pool_t *pool)
{
    rest_t *rest = POOL_NEW(pool, rest_t);
    rest->gateway = gateway;
    rest->box = rest_settings_load(gateway->config);
    rest->plans = rest_plan_cache_create();
    rest->turns = rest_turns_create(gateway->loop);
    str_t response = STR("select nullif(current_setting('response.headers', true), ''), "
                         "nullif(current_setting('response.status', true), '')");
    rest->response = (db_stmt_t){.sql = response, .hash = str_hash(response)};
    pool_on_dispose(pool, rest_dispose, rest);
    api_event_on(gateway, API_EVENT_SCHEMA_CHANGED, on_schema_changed, rest);
    api_inspect_add(gateway, "rest", inspect, rest);
    api_event_on(gateway, API_EVENT_CONFIG_RELOADED, on_config_reloaded, rest);
    api_route_add(gateway, &(api_route_t){.prefix = pool_cstr(pool, rest_settings_prefix(gateway->config)),
                                          .style = API_STYLE_REST,
                                          .handler = handle,
                                          .arg = rest,
                                          .has_own_cors = true});
}
