/* The stages of a REST request and what they hand over:
 *   rest_parse   request -> rest_request_t   syntax only
 *   rest_plan    rest_request_t + snapshot -> rest_plan_t   SQL text, parameters, how to render
 *   (run)        db_tx_submit
 *   rest_render  rows -> bytes
 * Errors are err_t of the request and schema families; nothing before `run` touches a connection. */
#ifndef REST_STAGES_H
#define REST_STAGES_H

#include "api/context.h"
#include "db/tx.h"
#include "rest/ast.h"

struct schema_snapshot;

/* Configuration as the stages need it; built by rest_settings_load, replaced on reload. */
typedef struct {
    str_t root;           /* BASALT_REST_PREFIX with one slash at its end: "/rest/v1/" */
    const str_t *schemas; /* PGRST_DB_SCHEMAS, exposed, first is the default */
    uint32_t schema_count;
    const str_t *extra_search_path; /* PGRST_DB_EXTRA_SEARCH_PATH */
    uint32_t extra_search_path_count;
    str_t anon_role;
    str_t root_spec;         /* PGRST_DB_ROOT_SPEC: routine served at /, or null */
    str_t pre_request;       /* qualified and quoted call, or null */
    int64_t max_rows;        /* PGRST_DB_MAX_ROWS; < 0: none */
    bool is_plan_enabled;    /* PGRST_DB_PLAN_ENABLED */
    bool has_aggregates;     /* PGRST_DB_AGGREGATES_ENABLED */
    bool is_tx_overridable;  /* PGRST_DB_TX_END: *-allow-override */
    bool is_tx_rollback;     /* PGRST_DB_TX_END: rollback* */
    bool has_legacy_targets; /* PGRST_URL_USE_LEGACY_TARGET_NAMES */
    bool is_error_minimal;   /* PGRST_CLIENT_ERROR_VERBOSITY: minimal */
    bool has_server_timing;  /* PGRST_SERVER_TIMING_ENABLED */
    bool is_query_logged;    /* PGRST_LOG_QUERY */
    enum {
        REST_OPENAPI_FOLLOW,
        REST_OPENAPI_IGNORE,
        REST_OPENAPI_DISABLED
    } openapi_mode;                   /* PGRST_OPENAPI_MODE */
    bool has_openapi_security;        /* PGRST_OPENAPI_SECURITY_ACTIVE */
    str_t openapi_proxy_uri;          /* PGRST_OPENAPI_SERVER_PROXY_URI */
    str_t trace_header;               /* PGRST_SERVER_TRACE_HEADER, lower case */
    const db_setting_t *app_settings; /* PGRST_APP_SETTINGS_* as app.settings.* */
    uint32_t app_setting_count;
    const str_t *cors_origins; /* PGRST_SERVER_CORS_ALLOWED_ORIGINS; none: all */
    uint32_t cors_origin_count;
    int64_t stall_timeout_ms; /* BASALT_REST_STALL_TIMEOUT: a streamed answer that the client does not take */
    int64_t stream_timeout_ms; /* BASALT_REST_STREAM_TIMEOUT: a streamed answer as a whole; 0: none */
    size_t buffer_max;         /* BASALT_REST_BUFFER: larger answers are streamed */
    size_t buffers_max;        /* BASALT_REST_BUFFER_TOTAL: of all answers together */
    /* limits (BASALT_REST_*): exceeding one is a PGRST100 */
    uint32_t filters_max, logic_depth_max, list_max, embed_depth_max, embeds_max, columns_max, json_depth_max;
} rest_settings_t;

/* What of an HTTP request the parser reads. Null strings: absent. */
typedef struct {
    str_t method, path, query, body; /* path behind the route's prefix, raw */
    str_t accept, content_type, accept_profile, content_profile, range;
    const str_t *prefers; /* all Prefer headers */
    uint32_t prefer_count;
} rest_input_t;

void rest_input_read(const api_context_t *ctx, rest_input_t *out);

err_t *rest_parse(const rest_settings_t *settings, pool_t *pool, const rest_input_t *in,
                  rest_request_t *out) MUST_CHECK;

/* ---- the plan ---- */

/* How a text value of a result column becomes JSON (performance: PostgreSQL returns plain columns, C writes
 * JSON). */
typedef enum {
    REST_RULE_COPY,      /* already JSON: integers, json, jsonb, to_json(col), embeds */
    REST_RULE_NUMBER,    /* float, numeric: copied unless NaN or Infinity, which are quoted */
    REST_RULE_BOOL,      /* t, f */
    REST_RULE_TIMESTAMP, /* 'T' at position 10, ":00" behind a short zone; infinity and BC only quoted */
    REST_RULE_TEXTS,     /* an array of texts */
    REST_RULE_QUOTE      /* anything else that is a JSON string of its text */
} rest_rule_t;

typedef struct {
    str_t name; /* key in the answer */
    rest_rule_t rule;
} rest_column_t;

/* The rule for a result column of this type. Whatever its text form would not do for (other arrays, rows,
 * types with a cast to json) the planner selects as json, so that an unknown type is always REST_RULE_QUOTE.
 */
rest_rule_t rest_rule_of(uint32_t type_oid);

/* What a statement of the plan yields. */
typedef enum {
    REST_STMT_ROWS,     /* the rows of the answer in plan->columns (also of mutations that return them) */
    REST_STMT_AFFECTED, /* a mutation that returns no rows: its command tag counts */
    REST_STMT_BODY,  /* one row: body (text or bytea), page total: media handlers written in SQL, geo+json */
    REST_STMT_COUNT, /* one row, one bigint: rows without the range (never more than count_cap + 1, if set) */
    REST_STMT_COUNT_PLAN, /* EXPLAIN (FORMAT JSON): the planner's estimate */
    REST_STMT_INSERTED,   /* one row, one nullable bigint: how many rows of an upsert were new */
    REST_STMT_EXPLAIN,    /* lines of text: the answer of vnd.pgrst.plan */
    REST_STMT_OPENAPI,    /* inputs of the OpenAPI document, in the planner's own order */
    REST_STMT_SILENT      /* runs for its effect */
} rest_stmt_role_t;

typedef enum {
    REST_SHAPE_ROWS,     /* [{..},{..}] */
    REST_SHAPE_OBJECT,   /* first row as {..}, null when none: a routine that returns one composite */
    REST_SHAPE_SCALARS,  /* [v, v]: setof scalar; one column */
    REST_SHAPE_SCALAR,   /* v, null when none; one column */
    REST_SHAPE_LOCATION, /* columns are the primary key as JSON text values: only the Location header */
    REST_SHAPE_NOTHING   /* rows are counted, no body */
} rest_shape_t;

typedef enum {
    REST_FORMAT_JSON,
    REST_FORMAT_CSV, /* columns were selected as plain text; rules do not apply */
    REST_FORMAT_NDJSON,
    REST_FORMAT_BODY, /* REST_STMT_BODY decides */
    REST_FORMAT_EXPLAIN,
    REST_FORMAT_OPENAPI,
    REST_FORMAT_INFO /* no statements: `allow` is the answer */
} rest_format_t;

#define REST_STMTS_MAX 6 /* run adds at most two (response settings, constraints) */

/* Where a parameter's value comes from, so that the statement can be used again for another request. */
typedef enum {
    REST_BIND_FIXED,   /* belongs to the plan */
    REST_BIND_VALUE,   /* the operand (rest/operand.h) */
    REST_BIND_PATTERN, /* the operand, '*' standing for '%' */
    REST_BIND_LIST,    /* the operand, a list, as an array */
    REST_BIND_BODY     /* the payload's text */
} rest_bind_kind_t;

typedef struct {
    rest_bind_kind_t kind;
    uint32_t operand;
} rest_bind_t;

typedef struct rest_plan {
    db_stmt_t stmts[REST_STMTS_MAX];
    const rest_bind_t *binds[REST_STMTS_MAX]; /* by parameter */
    rest_stmt_role_t roles[REST_STMTS_MAX];
    uint32_t stmt_count;
    bool is_single_use; /* values are part of a text, or made into a parameter in a way that rest_bind_t lacks
                         */

    rest_format_t format;
    rest_shape_t shape;
    /* of REST_STMT_ROWS; none: keys are the names of the result's columns, rules come from their types
     * (rest_rule_of). With `*` only the database knows the columns for sure. */
    const rest_column_t *columns;
    uint32_t column_count;
    rest_media_t media;    /* negotiated: Content-Type of the answer */
    bool is_singular;      /* exactly one row or PGRST116 */
    bool is_null_stripped; /* null columns are left out; nested JSON was stripped in SQL */

    bool is_read_only;
    bool is_exclusive;
    db_isolation_t isolation;
    bool is_role_isolation;       /* `isolation` was not fixed by the routine: the role's own may apply */
    const db_setting_t *settings; /* of the routine (SET clauses that the schema cache hoists) */
    uint32_t setting_count;

    bool is_page_total_one;   /* a routine that returns a single value: page total is 1, whatever the rows */
    bool is_count_page_total; /* a count was asked for and equals the page total: no REST_STMT_COUNT */
    int64_t count_cap;        /* estimated: below it the exact count is used; < 0: always exact */
    bool is_void;             /* routine returns void: 204 */
    bool shows_many; /* a change that may show more than a row: it decides about its commit behind them */
    bool has_primary_key; /* of the target (Preference-Applied: resolution) */

    str_t allow;                            /* REST_FORMAT_INFO */
    str_t warning;                          /* value of the Warning header, or null */
    str_t location_name;                    /* relation name as it appears in Location and Content-Location */
    const struct schema_snapshot *snapshot; /* the one it was planned with (held by the request) */
    void *openapi;                          /* planner's state for rest_openapi_write */
} rest_plan_t;

/* Resolves names against the snapshot (borrowed; the caller holds a reference until the request ends) and
 * writes SQL. `identity` matters only for what a role may see (hints). Implemented in plan_*.c. */
err_t *rest_plan(const rest_settings_t *settings, pool_t *pool, const rest_request_t *request,
                 const struct schema_snapshot *snapshot, const identity_t *identity,
                 rest_plan_t *out) MUST_CHECK;

/* OpenAPI: fed with the rows of REST_STMT_OPENAPI statements in order, told by which host it was asked for
 * (borrowed), then written bit by bit; false: that was the last. */
void rest_openapi_row(rest_plan_t *plan, pool_t *pool, uint32_t stmt, const str_t *values, size_t count);
void rest_openapi_begin(rest_plan_t *plan, str_t host, bool is_tls);
bool rest_openapi_write(rest_plan_t *plan, buf_t *out);

#endif
