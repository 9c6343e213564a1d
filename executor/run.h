/* The table of job types, and the thread that runs one job from claim to end. */
#ifndef EXECUTOR_RUN_H
#define EXECUTOR_RUN_H

#include "executor/job.h"

typedef struct {
    const char *type;
    void (*run)(job_t *job); /* says its end through job_fail; returns early when job_must_stop */
} job_type_t;

/* Ends with type == NULL. */
extern const job_type_t JOB_TYPES[];

/* Starts a thread for a claimed job. `claimed`: one element of the claim's answer, copied. */
void run_start(executor_t *executor, const json_t *claimed);

/* Waits until no job runs; false at the deadline. */
bool run_wait_idle(executor_t *executor, int deadline_ms);

#endif
