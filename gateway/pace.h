/* The scheduling policy of the event loop follows the load. A waking SCHED_OTHER process takes the processor
 * from who is using it: right for one client, whose answer is short of a few microseconds, wrong for many,
 * where it interrupts a client or a backend about to have more, and each request costs a wake-up of its own.
 */
#ifndef PACE_H
#define PACE_H

#include "db/pool.h"
#include "loop/loop.h"

typedef struct pace pace_t;

/* On the loop's thread, which runs under SCHED_BATCH while several transactions are in flight in `pool`. Does
 * nothing for a process that was started under another policy than SCHED_OTHER. */
pace_t *pace_create(loop_t *loop, const db_pool_t *pool);
void pace_destroy(pace_t *pace); /* NULL is fine */

#endif
