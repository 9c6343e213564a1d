/* The process context of the executor: built by main, borrowed by all threads. */
#ifndef EXECUTOR_EXECUTOR_H
#define EXECUTOR_EXECUTOR_H

#include "base/config.h"
#include "base/fetch.h"
#include "drivers/redfish/guard.h"
#include "executor/gateway_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define EXECUTOR_VERSION "1.0.0"

struct job;
struct settings_cache;

typedef struct executor {
    const config_t *config;
    pool_t *pool; /* life of the process */
    gateway_address_t gateway;
    str_t id, boot_id, hostname, started_at;
    int64_t started_us;
    redfish_guard_t *guard;
    struct settings_cache *settings;
    target_policy_t device_addresses;
    int jobs_max, poll_ms, lease_seconds;
    atomic_bool is_stopping;
    atomic_bool is_stream_over; /* stopping, or the stream has been silent for too long */

    pthread_mutex_t mutex; /* everything below */
    pthread_cond_t wake;   /* something to claim, a job ended, or stopping */
    bool is_due;           /* the bell rang */
    bool is_renew_due;     /* a job was cancelled: look at once */
    struct job *jobs;      /* running, linked by job->next */
    int job_count;
    int64_t stream_heard_us;                          /* the stream's last line; 0: no stream */
    int64_t poll_count, jobs_processed, last_poll_ms; /* last_poll_ms: wall clock, 0: never */
    bool is_paused;
    char last_error[256]; /* of polling; empty: none */
} executor_t;

extern const config_key_t EXECUTOR_CONFIG_KEYS[];

/* Wakes the claim loop (the bell rang, a job ended). Any thread. */
void executor_wake(executor_t *executor);
void executor_note_error(executor_t *executor, str_t message); /* null string clears it */

#endif
