/* The loop that most jobs are: do something with each server of the scope, one bad server never stops the
 * others. */
#ifndef EXECUTOR_JOBS_SERVERS_H
#define EXECUTOR_JOBS_SERVERS_H

#include "executor/job.h"

/* Work on one server, with is_parallel on one of several threads. `result` is its row in details.results: add
 * to it. `note` (may stay null) ends the task's log. */
typedef err_t *(*server_work_fn)(job_t *job, pool_t *pool, const json_t *server, str_t task_id,
                                 json_t *result, str_t *note);

typedef struct {
    const char *verb;     /* "Checking health of" */
    bool may_mean_all;    /* a scope without servers means all of them */
    bool is_partial_good; /* completed although some failed */
    bool is_parallel;     /* several servers at once, as many as activity_settings.idrac_max_concurrent */
    server_work_fn work;
} servers_plan_t;

/* Finds the servers, runs the work on each, keeps details (total_servers, current_server_index,
 * success_count, failed_count, results, progress_pct, current_step) and tasks, and decides how the job ends.
 * What a former run has finished is not done again. */
void servers_run(job_t *job, const servers_plan_t *plan);

/* Host name when known, else the address. */
str_t server_label(const json_t *server);

/* An entry of a device's event log as a row of server_event_logs; the entry itself goes along as raw_data.
 * Owner: the caller. */
json_t *server_event_row(pool_t *pool, str_t server_id, const json_t *entry);

#endif
