/* Private to rest/: the OpenAPI 2.0 document that describes a schema to whoever asks at the root. */
#ifndef REST_OPENAPI_H
#define REST_OPENAPI_H

#include "base/emit.h"
#include "rest/plan.h"

typedef enum {
    OPENAPI_FRONT,
    OPENAPI_TABLES, /* paths of tables */
    OPENAPI_ROUTINES,
    OPENAPI_DEFINITIONS,
    OPENAPI_PARAMETERS
} openapi_part_t;

typedef struct {
    const schema_snapshot_t *snapshot;
    str_t schema;
    str_t comment; /* of the schema: title, then description; null string: none */
    const rest_settings_t *settings;
    bool shows_all; /* privileges are ignored */
    map_t *visible; /* oids as text of the relations and routines the role may use */
    str_t host;     /* as the request names it */
    bool is_tls;
    openapi_part_t part; /* what is written next: this part's item `at` */
    size_t at;
    emit_t emit;
} openapi_t;

bool openapi_shows(const openapi_t *doc, uint32_t oid);

/* A type's name as this document shows it: where it follows the role's privileges, without the schemas that
 * the request searches anyway. */
str_t openapi_shown_type(const openapi_t *doc, str_t type);

/* What a comment says: its first line, and the rest without leading empty lines (null when there is none). */
void openapi_comment(str_t comment, str_t *summary, str_t *description);
/* "type", "format" and "items" members for a column or parameter of this SQL type. */
void openapi_type(emit_t *e, str_t type);
/* "string" .. of a SQL type; NULL for json, which is anything. */
const char *openapi_type_name(str_t type);
str_t openapi_format(str_t type);

/* ---- openapi_table.c ---- */
void openapi_definition(emit_t *e, pool_t *pool, const schema_table_t *table);
void openapi_table_path(emit_t *e, pool_t *pool, const schema_table_t *table);
/* rowFilter and body parameters. */
void openapi_table_parameters(emit_t *e, pool_t *pool, const schema_table_t *table);

/* ---- openapi_routine.c ---- */
void openapi_routine_path(emit_t *e, pool_t *pool, const openapi_t *doc, const schema_routine_t *routine);

#endif
