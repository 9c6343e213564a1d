/* One blocking call on a thread of its own, its end reported to the loop. For the rare things that libpq can
 * only do while blocking: resolve, connect and authenticate; send a cancel request. */
#ifndef DB_OFFLOAD_H
#define DB_OFFLOAD_H

#include "loop/loop.h"

typedef struct offload offload_t;

/* `run(arg)` on a new thread (skipped when none can be had), then on the loop exactly one of `done(arg)` or,
 * once abandoned, `drop(arg)`; both own `arg` from then on. The handle is invalid afterwards. */
offload_t *offload_start(loop_t *loop, void (*run)(void *arg), void (*done)(void *arg),
                         void (*drop)(void *arg), void *arg);

/* The owner is going away: never `done` from now on. The loop may be destroyed afterwards; `drop` may then
 * run on the helper thread. */
void offload_abandon(offload_t *offload);

/* Outside of the loop, at the end of the process: waits so long for the threads of abandoned calls. False:
 * some are left, and what libraries clean up at exit would be taken from under them. */
bool offload_await(int timeout_ms);

#endif
