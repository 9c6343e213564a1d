/* What a REST request asks for: syntax only, no schema. Produced by rest_parse, read by the planner.
 * Everything lives in the request's pool (or points into the request itself). Null strings mean "not given".
 */
#ifndef REST_AST_H
#define REST_AST_H

#include "filter/filter.h"

/* ---- fields ---- */

/* One step of a JSON path: -> or ->>, by key or by index. */
typedef struct {
    bool is_text;  /* ->> */
    bool is_index; /* `operand` is "+1" or "-1": a number with its sign, cast to int in SQL */
    str_t operand;
} rest_json_step_t;

typedef struct {
    str_t name; /* "*" in a select: all columns */
    const rest_json_step_t *steps;
    uint32_t step_count;
} rest_field_t;

/* ---- select ---- */

typedef enum { REST_SELECT_FIELD, REST_SELECT_EMBED, REST_SELECT_SPREAD } rest_select_kind_t;
typedef enum {
    REST_AGG_NONE,
    REST_AGG_SUM,
    REST_AGG_AVG,
    REST_AGG_COUNT,
    REST_AGG_MAX,
    REST_AGG_MIN
} rest_agg_t;
typedef enum { REST_JOIN_NONE, REST_JOIN_INNER, REST_JOIN_LEFT } rest_join_t;

/* alias:field->path::cast.aggregate()::cast, alias:relation!hint!inner(...), ...relation!hint(...) */
typedef struct rest_select {
    rest_select_kind_t kind;
    str_t alias; /* never set on a spread */
    /* REST_SELECT_FIELD; count() has field "*" */
    rest_field_t field;
    str_t cast;
    rest_agg_t agg;
    str_t agg_cast;
    /* REST_SELECT_EMBED and _SPREAD */
    str_t relation, hint;
    rest_join_t join;
    struct rest_select *children; /* array of child_count; empty: `relation()` */
    uint32_t child_count;
} rest_select_t;

/* ---- what is said about a level of the tree ---- */

/* Names of the embeds from the root down; count 0 is the root. */
typedef struct {
    const str_t *names;
    uint32_t count;
} rest_path_t;

/* A filter (leaf) or and(..)/or(..) over children. */
typedef struct rest_logic {
    bool is_leaf;
    /* leaf */
    rest_field_t field;
    filter_expr_t expr;
    uint32_t operand; /* number of the operand (rest/operand.h) that `expr` compares with; 0: none */
    /* inner node */
    bool is_negated;
    bool is_or;
    struct rest_logic *children;
    uint32_t child_count;
} rest_logic_t;

/* In the order of the query string, simple filters and logic trees in lists of their own, as the peer keeps
 * them. */
typedef struct {
    rest_path_t path;
    rest_logic_t tree;
} rest_condition_t;

typedef enum { REST_DIR_NONE, REST_DIR_ASC, REST_DIR_DESC } rest_dir_t;
typedef enum { REST_NULLS_NONE, REST_NULLS_FIRST, REST_NULLS_LAST } rest_nulls_t;

typedef struct {
    str_t relation; /* order=relation(field): by a column of a to-one embed; null string: own column */
    rest_field_t field;
    rest_dir_t dir;
    rest_nulls_t nulls;
} rest_order_term_t;

typedef struct {
    rest_path_t path;
    const rest_order_term_t *terms;
    uint32_t term_count;
} rest_order_t;

/* Rows [offset, offset + limit); limit < 0: no limit. limit 0 is legal and returns no rows. */
typedef struct {
    int64_t offset, limit;
} rest_range_t;

#define REST_RANGE_ALL ((rest_range_t){0, -1})

static inline bool rest_range_is_all(rest_range_t range)
{
    return range.offset == 0 && range.limit < 0;
}

typedef struct {
    rest_path_t path; /* never the root: that one is request->range */
    rest_range_t range;
} rest_level_range_t;

/* ---- preferences ---- */

typedef enum { REST_RETURN_NONE, REST_RETURN_FULL, REST_RETURN_HEADERS, REST_RETURN_MINIMAL } rest_return_t;
typedef enum { REST_COUNT_NONE, REST_COUNT_EXACT, REST_COUNT_PLANNED, REST_COUNT_ESTIMATED } rest_count_t;
typedef enum { REST_RESOLUTION_NONE, REST_RESOLUTION_MERGE, REST_RESOLUTION_IGNORE } rest_resolution_t;
typedef enum { REST_MISSING_NONE, REST_MISSING_DEFAULT, REST_MISSING_NULL } rest_missing_t;
typedef enum { REST_TX_NONE, REST_TX_COMMIT, REST_TX_ROLLBACK } rest_tx_t;
typedef enum { REST_HANDLING_NONE, REST_HANDLING_STRICT, REST_HANDLING_LENIENT } rest_handling_t;

typedef struct {
    rest_return_t ret;
    rest_count_t count;
    rest_resolution_t resolution;
    rest_missing_t missing;
    rest_tx_t tx; /* only when db-tx-end allows the override */
    rest_handling_t handling;
    str_t timezone;
    bool has_max_affected;
    int64_t max_affected;
    const str_t *invalid; /* unknown ones, in order */
    uint32_t invalid_count;
} rest_preferences_t;

/* ---- media types ---- */

typedef enum {
    REST_MEDIA_JSON,
    REST_MEDIA_GEOJSON,
    REST_MEDIA_CSV,
    REST_MEDIA_TEXT,
    REST_MEDIA_XML,
    REST_MEDIA_OPENAPI,
    REST_MEDIA_FORM,
    REST_MEDIA_OCTETS,
    REST_MEDIA_NDJSON,
    REST_MEDIA_ANY,
    REST_MEDIA_OTHER,
    REST_MEDIA_ARRAY_STRIP, /* vnd.pgrst.array+json;nulls=stripped */
    REST_MEDIA_SINGULAR,
    REST_MEDIA_SINGULAR_STRIP, /* vnd.pgrst.object+json */
    REST_MEDIA_PLAN            /* vnd.pgrst.plan */
} rest_media_kind_t;

typedef enum {
    REST_PLAN_ANALYZE = 1,
    REST_PLAN_VERBOSE = 2,
    REST_PLAN_SETTINGS = 4,
    REST_PLAN_BUFFERS = 8,
    REST_PLAN_WAL = 16
} rest_plan_option_t;

typedef struct {
    rest_media_kind_t kind;
    str_t other;                /* REST_MEDIA_OTHER: the text as sent */
    rest_media_kind_t plan_for; /* REST_MEDIA_PLAN: of what */
    str_t plan_for_other;       /* plan_for == REST_MEDIA_OTHER */
    bool plan_is_json;
    uint8_t plan_options; /* bits of rest_plan_option_t */
} rest_media_t;

/* ---- payload ---- */

typedef enum {
    REST_PAYLOAD_NONE,
    REST_PAYLOAD_JSON, /* valid JSON, an object or an array of objects with equal keys; `columns` are the keys
                        */
    REST_PAYLOAD_RAW_JSON, /* not looked at, because `columns` says which keys count */
    REST_PAYLOAD_FORM,     /* rpc only: name/value pairs */
    REST_PAYLOAD_RAW       /* rpc only: the one unnamed argument */
} rest_payload_kind_t;

typedef struct {
    str_t name, value;
} rest_pair_t;

typedef struct {
    rest_payload_kind_t kind;
    str_t text;     /* JSON text or raw bytes (CSV and relation forms arrive here as JSON text) */
    bool is_object; /* JSON kinds: begins with '{' */
    const rest_pair_t *pairs;
    uint32_t pair_count;
} rest_payload_t;

/* ---- the request ---- */

/* Where an operand stands in a text. */
typedef struct {
    uint32_t operand;
    size_t at, len;
} rest_query_mark_t;

typedef enum {
    REST_ACTION_READ,   /* GET, HEAD on a relation */
    REST_ACTION_CREATE, /* POST */
    REST_ACTION_UPDATE, /* PATCH */
    REST_ACTION_UPSERT, /* PUT of one row */
    REST_ACTION_DELETE,
    REST_ACTION_CALL,          /* POST on rpc */
    REST_ACTION_CALL_READ,     /* GET, HEAD on rpc */
    REST_ACTION_RELATION_INFO, /* OPTIONS */
    REST_ACTION_ROUTINE_INFO,
    REST_ACTION_SCHEMA_READ, /* GET, HEAD on / : OpenAPI */
    REST_ACTION_SCHEMA_INFO
} rest_action_t;

typedef struct {
    rest_action_t action;
    bool is_head;
    str_t method;
    str_t schema;              /* of the profile header, else the first exposed */
    bool is_schema_negotiated; /* answer with Content-Profile */
    str_t target;              /* relation or routine name; null for the schema actions */

    rest_select_t *select; /* at least one item unless the client sent `select=` */
    uint32_t select_count;
    const rest_condition_t *filters;
    uint32_t filter_count;
    const rest_condition_t *logic;
    uint32_t logic_count;
    const rest_order_t *orders;
    uint32_t order_count;
    rest_range_t range; /* of the root: limit/offset and the Range header together */
    const rest_level_range_t *level_ranges;
    uint32_t level_range_count;
    const str_t *filter_names; /* names of all parameters that are not reserved (PUT checks them) */
    uint32_t filter_name_count;

    bool has_on_conflict;
    const str_t *on_conflict;
    uint32_t on_conflict_count;
    bool has_columns_param; /* ?columns= was given (and counts for this action) */
    const str_t *columns;   /* ?columns= or the payload's keys; sorted, unique */
    uint32_t column_count;
    const rest_pair_t *params;      /* rpc by GET: arguments, in order, repeated names kept */
    const uint32_t *param_operands; /* beside params: number of the operand that is the value; 0: none */
    uint32_t param_count;

    rest_preferences_t prefer;
    rest_payload_t payload;
    rest_media_t content_type;  /* application/json when absent */
    const rest_media_t *accept; /* best first; at least one */
    uint32_t accept_count;
    str_t canonical_query;          /* sorted and encoded anew, for Content-Location */
    rest_query_mark_t *query_marks; /* the operands in canonical_query, in order */
    uint32_t query_mark_count;
    bool is_irregular; /* an operand was not read as one: the request shares its plan with no other */
} rest_request_t;

#endif
