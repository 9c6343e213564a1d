/* Notices changes of the catalog where nobody tells of them: databases that refuse event triggers. */
#ifndef SCHEMA_POLL_H
#define SCHEMA_POLL_H

#include "db/pool.h"
#include "loop/loop.h"

typedef struct schema_poll schema_poll_t;

/* Asks every `interval_ms` how many rows of the catalog were ever written, and calls `on_changed` when it is
 * another number than the last time. A database that has an event trigger with word of our channel tells by
 * itself: there nothing is called. Temporary tables count as changes. Loop thread only. */
schema_poll_t *schema_poll_create(loop_t *loop, db_pool_t *pool, int interval_ms,
                                  void (*on_changed)(void *arg), void *arg);
void schema_poll_destroy(schema_poll_t *poll); /* NULL is allowed */

#endif
