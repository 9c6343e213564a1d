/* Private to schema/: catalog rows in, snapshot out. Rows are fed in the order of the statements in sql/;
 * nothing is derived before schema_build_finish. Also used by tests to make snapshots by hand. */
#ifndef SCHEMA_BUILD_H
#define SCHEMA_BUILD_H

#include "base/err.h"
#include "schema/snapshot.h"

typedef struct schema_build schema_build_t;

/* The statements, in feeding order. */
typedef enum {
    SCHEMA_ROWS_RELATIONS,
    SCHEMA_ROWS_COLUMNS,
    SCHEMA_ROWS_CONSTRAINTS,
    SCHEMA_ROWS_VIEWS,
    SCHEMA_ROWS_ROUTINES,
    SCHEMA_ROWS_PARAMETERS,
    SCHEMA_ROWS_RESULTS,
    SCHEMA_ROWS_FACTS,
    SCHEMA_ROWS_COUNT
} schema_rows_t;

schema_build_t *schema_build_create(const str_t *schemas, size_t schema_count);
void schema_build_destroy(schema_build_t *build);

/* One row; `values` in the column order of the statement, null string = NULL, copied as needed. */
void schema_build_row(schema_build_t *build, schema_rows_t rows, const str_t *values, size_t count);

/* Derives keys of views, relationships and overloads. The caller owns one reference of the result. */
schema_snapshot_t *schema_build_finish(schema_build_t *build, uint64_t version);

#endif
