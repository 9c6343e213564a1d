/* A snapshot made by hand from catalog rows: schema `api` with clients, projects (views of them), tasks,
 * users, a junction, a one-to-one table, a table marked for star expansion, and a few functions. */
#ifndef SNAPSHOT_FIXTURE_H
#define SNAPSHOT_FIXTURE_H

#include "schema/snapshot.h"

/* The caller owns one reference. */
schema_snapshot_t *snapshot_fixture(void);

#endif
