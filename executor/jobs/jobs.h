/* Handlers of the job types, one file each. They run on the job's own thread, report through executor/job.h,
 * and return when they are done, have failed (job_fail) or must stop. */
#ifndef EXECUTOR_JOBS_JOBS_H
#define EXECUTOR_JOBS_JOBS_H

#include "executor/job.h"

void job_test_credentials(job_t *job);
void job_health_check(job_t *job);
void job_power_action(job_t *job);
void job_fetch_event_logs(job_t *job);
void job_discovery_scan(job_t *job);
void job_vcenter_sync(job_t *job);
void job_vcenter_connectivity_test(job_t *job);
void job_scheduled_vcenter_sync(job_t *job);
void job_openmanage_sync(job_t *job);

#endif
