/* Threads for what blocks (bcrypt, LDAP, remote HTTP, sequential database work). Bounded queue. */
#ifndef LOOP_WORKER_H
#define LOOP_WORKER_H

#include "loop/loop.h"

#include <stddef.h>

typedef struct worker_pool worker_pool_t;

/* `threads` workers, at most `queue_max` waiting tasks (0: 1,000). Signals are blocked in the workers. */
worker_pool_t *worker_pool_create(const char *name, size_t threads, size_t queue_max);

/* Finishes running tasks (their `done` is still posted), drops waiting ones (theirs is not: what their `arg`
 * owns is lost), joins the threads. */
void worker_pool_destroy(worker_pool_t *pool);

/* `run(arg)` on a worker, then `done(arg)` on `loop`. False when the queue is full: answer 503. Also false
 * for a NULL pool: the process is ending. */
bool worker_submit(worker_pool_t *pool, loop_t *loop, void (*run)(void *arg), void (*done)(void *arg),
                   void *arg);

size_t worker_waiting(const worker_pool_t *pool);

#endif
