/* Rows of a result to bytes of an answer: JSON, CSV or NDJSON written straight from PostgreSQL's text values.
 * JSON is byte for byte what json_agg(row) of PostgreSQL 15 writes. */
#ifndef REST_RENDER_H
#define REST_RENDER_H

#include "rest/stages.h"

/* How the columns of a result are written. */
typedef struct {
    uint32_t count;
    const uint32_t *types;
    const rest_rule_t *rules;
    const str_t *names; /* as selected */
    const str_t *keys;  /* `,"name":`, escaped; memory goes on behind the last */
    size_t key_bytes;   /* of all keys */
} rest_columns_t;

/* Keeps the columns of a statement that runs again and again: those of its first result. */
typedef struct {
    pool_t *pool;
    const rest_columns_t *columns; /* NULL: none yet */
} rest_columns_memo_t;

typedef struct {
    const rest_plan_t *plan;
    pool_t *pool;
    buf_t *out;                    /* of the call under way */
    rest_columns_memo_t *memo;     /* may be NULL */
    const rest_columns_t *columns; /* NULL before rest_render_columns */
    int64_t row_count;
} rest_renderer_t;

void rest_render_init(rest_renderer_t *renderer, const rest_plan_t *plan, pool_t *pool,
                      rest_columns_memo_t *memo);
/* The result's columns, before its first row. */
void rest_render_columns(rest_renderer_t *renderer, const db_column_t *columns, size_t count);
/* Appends one; each to another buffer, if need be. */
void rest_render_row(rest_renderer_t *renderer, buf_t *out, const str_t *values, size_t count);
/* Closes the text (also of a result without rows). */
void rest_render_end(rest_renderer_t *renderer, buf_t *out);

/* One value by its rule; the null string is null. */
void rest_render_value(buf_t *out, rest_rule_t rule, str_t value);

/* The text that record_out would write for a column of a row. */
void rest_render_csv_value(buf_t *out, str_t value);

#endif
