/* A service with a name, a password and TLS (vCenter, OpenManage) as jobs see it: its stored password opened,
 * every exchange written down as an activity row. */
#ifndef EXECUTOR_JOBS_SERVICE_H
#define EXECUTOR_JOBS_SERVICE_H

#include "executor/activity.h"
#include "executor/job.h"

typedef struct {
    job_t *job;
    pool_t *pool;
    str_t key, task_id; /* master key of stored passwords */
    activity_about_t about;
} service_t;

/* Makes the pool and the job's task, reads the key. service_end in any case. */
err_t *service_begin(service_t *service, job_t *job) MUST_CHECK;
void service_end(service_t *service);

/* The stored password of a row, in the pool; the caller wipes it. */
err_t *service_password(const service_t *service, const json_t *row, str_t *password) MUST_CHECK;

/* https://host:port, with brackets where they belong. Error 400 for what is no host or port. */
err_t *service_url(pool_t *pool, str_t host, int64_t port, str_t *out) MUST_CHECK;

/* What the gateway says of items handed to it. */
typedef struct {
    int64_t total, added, updated, linked; /* hosts or servers */
    int64_t failed;                        /* items of all kinds */
} service_stored_t;

/* Hands a part of what was read to the gateway's function and adds what it says to `stored`; the job's log
 * names what could not be stored, after `subject` (may be empty). Errors live in the service's pool. */
err_t *service_store(service_t *service, str_t function, const json_t *body, str_t subject,
                     service_stored_t *stored) MUST_CHECK;

/* Writes an exchange down, as `about` says. */
void service_record(service_t *service, const redfish_record_t *record);

#endif
