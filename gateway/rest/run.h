/* One REST request on its way through the stages; private to run.c, session.c, result.c, response.c. */
#ifndef REST_RUN_H
#define REST_RUN_H

#include "rest/plan_cache.h"
#include "rest/render.h"
#include "rest/settings.h"
#include "rest/turns.h"
#include "schema/snapshot.h"

/* What came back. Counts are -1 where nothing was said. */
typedef struct {
    chain_t body; /* emptied with the run */
    rest_renderer_t renderer;
    int64_t page_total;    /* rows of the answer or affected */
    int64_t table_total;   /* REST_STMT_COUNT */
    int64_t plan_total;    /* REST_STMT_COUNT_PLAN */
    int64_t inserted;      /* REST_STMT_INSERTED */
    bool has_body;         /* REST_STMT_BODY delivered one */
    uint32_t body_type;    /* its type's oid */
    str_t location;        /* query of the Location header */
    str_t headers, status; /* response.headers, response.status; null strings when unset */
} rest_result_t;

typedef enum {
    REST_STAGE_JWT,
    REST_STAGE_PARSE,
    REST_STAGE_PLAN,
    REST_STAGE_TX,
    REST_STAGE_RESPONSE,
    REST_STAGE_COUNT
} rest_stage_t;

/* Lives in the request's pool; a dispose hook cancels the transaction and drops the references. */
typedef struct {
    struct rest *rest; /* the room, run.c */
    api_context_t *ctx;
    pool_t *pool;
    rest_settings_box_t *box;
    const rest_settings_t *settings;
    schema_snapshot_t *snapshot;
    const identity_t *identity;
    rest_request_t request;
    rest_plan_t plan;
    rest_cached_plan_t *cached; /* what both borrow from; NULL: they are the request's own */
    db_tx_spec_t spec;
    db_stmt_t stmts[REST_STMTS_MAX + 2];
    size_t stmt_count;
    size_t response_stmt; /* index of the statement that reads response.* */
    db_tx_t *tx;          /* NULL when none is under way */
    rest_result_t result;
    const err_t *guard;    /* why the transaction is rolled back although it succeeded */
    http_stream_t *stream; /* once the head of a streamed answer was sent */
    bool is_streamed;
    bool is_spoiled; /* the transaction began anew after rows were sent: the answer cannot be saved */
    bool is_stopped; /* a change whose answer is too large for the moment: it will be rolled back */
    bool is_paused;
    size_t unpaused_bytes; /* written while the client was behind and the rows could not be paused */
    size_t stalled_at;     /* what the client had still to take when `stall` was started */
    size_t buffered;       /* bytes of result.body as counted in the room's sum */
    size_t incoming;       /* of them: of a large row that is on its way */
    rest_turn_t turn;      /* while the rows of a read are kept */
    loop_timer_t stall;    /* runs while paused */
    loop_timer_t deadline; /* runs while streamed */
    int64_t stage_started_us;
    int64_t stage_us[REST_STAGE_COUNT];
} rest_run_t;

/* session.c: role, claims and all settings of the transaction, as the peer sets them. */
void rest_session_fill(rest_run_t *run);

/* result.c */
extern const db_tx_handlers_t REST_TX_HANDLERS;
void rest_result_reset(rest_run_t *run);
/* Why the result must not be committed or shown: singular, PUT, max-affected. NULL: nothing. */
const err_t *rest_result_guard(rest_run_t *run);
/* run.c: the transaction ended. */
void rest_run_finish(rest_run_t *run, const err_t *error);
/* run.c: counts what is kept of the answer; true when all answers together keep more than they may. */
bool rest_buffered(rest_run_t *run);
/* run.c: the same for an answer that is not streamed yet; a read may have to wait for others. */
bool rest_gathered(rest_run_t *run);
/* stream.c: called after each row; hands what was rendered to the client once it is too much to keep. */
void rest_stream_rows(rest_run_t *run);
/* stream.c: a row of `bytes` is on its way; false: it is not wanted. */
bool rest_stream_large_row(rest_run_t *run, size_t bytes);
/* stream.c: the answer when too much is kept for all clients together. */
err_t *rest_overload(rest_run_t *run);
/* stream.c: writes the OpenAPI document and answers with it, as a whole or, a large one, as its reader takes
 * it. */
void rest_stream_document(rest_run_t *run);
/* stream.c: the transaction of a streamed answer ended. */
void rest_stream_end(rest_run_t *run, const err_t *error);

/* response.c: sends the answer. Consumes the request. */
void rest_respond(rest_run_t *run);
/* Status and headers of a streamed answer, before its body is complete. */
err_t *rest_respond_head(rest_run_t *run, int *status, str_t *content_type) MUST_CHECK;
void rest_respond_error(rest_run_t *run, const err_t *err);
/* Content-Range of `count` rows from `offset` of `total` (-1: unknown). */
str_t rest_content_range(pool_t *pool, int64_t lower, int64_t upper, int64_t total);

/* cors.c: CORS headers of any answer, by the Origin header. */
void rest_cors_headers(const rest_settings_t *settings, http_request_t *request);
/* Answers a preflight; false when the request is none. */
bool rest_cors_preflight(const rest_settings_t *settings, api_context_t *ctx);

#endif
