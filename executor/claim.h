/* Three threads that keep the executor at work: claiming, listening for the bell, keeping leases and
 * heartbeat alive. */
#ifndef EXECUTOR_CLAIM_H
#define EXECUTOR_CLAIM_H

#include "executor/executor.h"

void *claim_thread(void *executor); /* claims when the bell rings, when a job ended, and each poll interval */
void *stream_thread(void *executor); /* the bell: reconnects for ever, 1 s doubling to 30 s */
void *lease_thread(void *executor);  /* renews each third of a lease's life; heartbeat each 15 s */

#endif
