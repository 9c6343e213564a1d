/* The snapshot as JSON, for --dump-schema and the admin listener's /schema_cache. */
#ifndef SCHEMA_DUMP_H
#define SCHEMA_DUMP_H

#include "base/emit.h"
#include "schema/snapshot.h"

/* An object of five parts: dbMediaHandlers, dbRelationships, dbRepresentations, dbRoutines, dbTables. Each is
 * an array of pairs, key and value, with the members that PostgREST's have; in no particular order. */
void schema_dump(const schema_snapshot_t *snapshot, buf_t *out);

#endif
