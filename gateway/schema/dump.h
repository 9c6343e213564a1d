/* The snapshot as JSON, for the admin listener's /schema_cache. */
#ifndef SCHEMA_DUMP_H
#define SCHEMA_DUMP_H

#include "base/emit.h"
#include "schema/snapshot.h"

/* Members of an object that the caller has opened: dbTables, dbRelationships, dbRoutines, dbRepresentations,
 * dbMediaHandlers, named as PostgREST's are. */
void schema_dump(emit_t *e, const schema_snapshot_t *snapshot);

#endif
