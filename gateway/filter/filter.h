/* One filter as clients write it, `not.eq(any).{1,2}`, and the table of its operators. Shared by the query
 * parameters of REST and the subscription filters of realtime. Vocabulary: PostgREST's documentation,
 * "Operators". */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include "base/buf.h"
#include "filter/scan.h"

typedef enum {
    FILTER_EQ,
    FILTER_GTE,
    FILTER_GT,
    FILTER_LTE,
    FILTER_LT,
    FILTER_LIKE,
    FILTER_ILIKE,
    FILTER_MATCH,
    FILTER_IMATCH,
    FILTER_NEQ,
    FILTER_CS,
    FILTER_CD,
    FILTER_OV,
    FILTER_SL,
    FILTER_SR,
    FILTER_NXR,
    FILTER_NXL,
    FILTER_ADJ,
    FILTER_FTS,
    FILTER_PLFTS,
    FILTER_PHFTS,
    FILTER_WFTS,
    FILTER_IN,
    FILTER_IS,
    FILTER_ISDISTINCT,
    FILTER_OP_COUNT
} filter_op_t;

typedef enum {
    FILTER_KIND_QUANTIFIABLE, /* one value, may carry (any) or (all) */
    FILTER_KIND_SIMPLE,       /* one value */
    FILTER_KIND_FTS,          /* one value, may carry (language) */
    FILTER_KIND_LIST,         /* (a,b,"c,d") */
    FILTER_KIND_IS,           /* null, not_null, true, false, unknown */
    FILTER_KIND_DISTINCT      /* one value */
} filter_kind_t;

typedef enum { FILTER_QUANT_NONE, FILTER_QUANT_ANY, FILTER_QUANT_ALL } filter_quant_t;

typedef enum {
    FILTER_IS_NULL,
    FILTER_IS_NOT_NULL,
    FILTER_IS_TRUE,
    FILTER_IS_FALSE,
    FILTER_IS_UNKNOWN
} filter_is_t;

typedef struct {
    str_t name; /* as written by the client */
    str_t sql;  /* as written between column and value: "=", "@@ to_tsquery" */
    filter_kind_t kind;
} filter_operator_t;

/* Row of the operator table. */
const filter_operator_t *filter_operator(filter_op_t op);

/* Keyword behind IS: "NULL", "NOT NULL", "TRUE" ... */
str_t filter_is_sql(filter_is_t is);

/* Which member holds the operand depends on the operator's kind. Strings live in the parse's pool or input.
 */
typedef struct {
    filter_op_t op;
    bool is_negated;
    filter_quant_t quant; /* FILTER_KIND_QUANTIFIABLE */
    filter_is_t is;       /* FILTER_KIND_IS */
    str_t language;       /* FILTER_KIND_FTS; null string: the default configuration */
    str_t value;          /* one value, verbatim (`*` in like patterns not yet replaced) */
    const str_t *values;  /* FILTER_KIND_LIST, at least one; ("") alone means the empty list */
    uint32_t value_count;
} filter_expr_t;

typedef enum {
    FILTER_VALUE_WHOLE, /* the value is all that is left (query parameter) */
    FILTER_VALUE_LOGIC  /* inside and(..): ends at ',' or ')', may be quoted or a {..} array */
} filter_value_t;

/* Parses `[not.]op[(modifier)].value` at the scanner. False: scan->error tells why. `list_max` bounds an
 * in-list. */
bool filter_parse(scan_t *scan, filter_value_t style, uint32_t list_max, filter_expr_t *out);

/* '{"a","b\"c"}': the text of a PostgreSQL array of these elements, in the pool. */
str_t filter_array_literal(pool_t *pool, const str_t *values, size_t count);

#endif
