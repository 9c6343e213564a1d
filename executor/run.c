#include "executor/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "executor/jobs/jobs.h"

#include <stdlib.h>
#include <time.h>

const job_type_t JOB_TYPES[] = {
    {"test_credentials", job_test_credentials},
    {"health_check", job_health_check},
    {"power_action", job_power_action},
    {"fetch_event_logs", job_fetch_event_logs},
    {"discovery_scan", job_discovery_scan},
    {"vcenter_sync", job_vcenter_sync},
    {"partial_vcenter_sync", job_vcenter_sync},
    {"scheduled_vcenter_sync", job_scheduled_vcenter_sync},
    {"vcenter_connectivity_test", job_vcenter_connectivity_test},
    {"openmanage_sync", job_openmanage_sync},
    {NULL, NULL},
};

static const job_type_t *find_type(str_t type)
{
    for (const job_type_t *row = JOB_TYPES; row->type != NULL; row++)
        if (str_eq(type, str_from_c(row->type)))
            return row;
    return NULL;
}

static void link_job(job_t *job)
{
    executor_t *executor = job->executor;
    pthread_mutex_lock(&executor->mutex);
    job->next = executor->jobs;
    executor->jobs = job;
    executor->job_count++;
    pthread_mutex_unlock(&executor->mutex);
}

static void unlink_job(job_t *job)
{
    executor_t *executor = job->executor;
    pthread_mutex_lock(&executor->mutex);
    for (job_t **link = &executor->jobs; *link != NULL; link = &(*link)->next) {
        if (*link == job) {
            *link = job->next;
            break;
        }
    }
    executor->job_count--;
    executor->jobs_processed++;
    pthread_cond_broadcast(&executor->wake);
    pthread_mutex_unlock(&executor->mutex);
}

static void run_job(job_t *job)
{
    const job_type_t *type = find_type(job->type);
    job->settings = settings_get(job->executor->settings, job->client);
    if (job->attempts == 1) { /* a retried job comes with the details of the failed one */
        job_remove(job, "error");
        job_remove(job, "failed_servers");
        job_remove(job, "failed_step");
    }
    if (job->attempts > 1)
        job_log(job, "WARN", "Going on after the executor stopped (attempt %d)", job->attempts);
    if (type == NULL)
        job_fail(job, "Unsupported job type: %.*s", STR_ARG(job->type));
    else
        type->run(job);
}

static void *job_thread(void *arg)
{
    job_t *job = arg;
    observe(LOG_INFO, "job_started", F_STR("job", job->id), F_STR("type", job->type),
            F_INT("attempt", job->attempts));
    run_job(job);
    job_finish(job);
    unlink_job(job);
    job_destroy(job);
    return NULL;
}

static void drop_json(void *value)
{
    json_decref(value);
}

void run_start(executor_t *executor, const json_t *claimed)
{
    pool_t *pool = pool_create();
    json_t *copy = json_deep_copy(claimed);
    pool_on_dispose(pool, drop_json, copy);
    job_t *job = job_create(executor, pool, copy);
    pthread_t thread;
    pthread_attr_t attributes;
    link_job(job);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, job_thread, job);
    pthread_attr_destroy(&attributes);
    if (failed == 0)
        return;
    /* No thread: the lease runs out and the job is claimed again. */
    observe(LOG_ERROR, "thread_failed", F_STR("job", job->id));
    unlink_job(job);
    job_destroy(job);
}

bool run_wait_idle(executor_t *executor, int deadline_ms)
{
    int64_t due = clock_mono_us() + (int64_t)deadline_ms * 1000;
    for (;;) {
        pthread_mutex_lock(&executor->mutex);
        bool is_idle = executor->jobs == NULL;
        pthread_mutex_unlock(&executor->mutex);
        if (is_idle || clock_mono_us() >= due)
            return is_idle;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}
