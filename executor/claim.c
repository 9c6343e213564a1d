#include "executor/claim.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/read_json.h"
#include "executor/run.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

enum { STREAM_RETRY_MAX_S = 30 };

void executor_wake(executor_t *executor)
{
    pthread_mutex_lock(&executor->mutex);
    executor->is_due = true;
    pthread_cond_broadcast(&executor->wake);
    pthread_mutex_unlock(&executor->mutex);
}

void executor_note_error(executor_t *executor, str_t message)
{
    pthread_mutex_lock(&executor->mutex);
    snprintf(executor->last_error, sizeof(executor->last_error), "%.*s", STR_ARG(message));
    pthread_mutex_unlock(&executor->mutex);
}

static json_t *build_claim(const executor_t *executor, int free_slots)
{
    json_t *request = json_pack("{s:s%,s:s%,s:i,s:i}", "executor_id", executor->id.base, executor->id.len,
                                "boot_id", executor->boot_id.base, executor->boot_id.len, "max", free_slots,
                                "lease_seconds", executor->lease_seconds);
    if (config_bool(executor->config, "BASALT_CLAIM_ALL_TYPES"))
        return request;
    json_t *types = json_array();
    for (const job_type_t *row = JOB_TYPES; row->type != NULL; row++)
        json_array_append_new(types, json_string(row->type));
    json_object_set_new(request, "types", types);
    return request;
}

static void note_pause(executor_t *executor, bool is_paused)
{
    pthread_mutex_lock(&executor->mutex);
    bool is_new = executor->is_paused != is_paused;
    executor->is_paused = is_paused;
    pthread_mutex_unlock(&executor->mutex);
    if (is_new)
        observe(LOG_INFO, is_paused ? "idrac_operations_paused" : "idrac_operations_resumed",
                F_CSTR("effect", is_paused ? "iDRAC jobs stay pending" : "iDRAC jobs are taken"));
}

/* Throttle rules come from the settings, which operators change while we run. */
static void apply_settings(executor_t *executor, gateway_client_t *client)
{
    settings_t settings = settings_get(executor->settings, client);
    redfish_guard_set_pace(executor->guard, settings.idrac_concurrent, settings.idrac_delay_ms);
}

/* Milliseconds until a scheduled job is due, when that is sooner than the poll; else the poll interval. */
static int64_t wait_of(const executor_t *executor, const json_t *answer)
{
    str_t due = answer != NULL ? read_json_str(answer, "next_due") : STR_NULL;
    struct tm utc = {0};
    char text[20] = {0};
    if (due.len < 19)
        return executor->poll_ms;
    memcpy(text, due.base, 19);
    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) == NULL)
        return executor->poll_ms;
    int64_t wait = (timegm(&utc) + 1 - clock_unix()) * 1000;
    return wait < 0 ? 0 : (wait < executor->poll_ms ? wait : executor->poll_ms);
}

/* Returns how long to wait for the bell. */
static int64_t claim_once(executor_t *executor, gateway_client_t *client, int free_slots)
{
    pool_t *pool = pool_create();
    json_t *answer = NULL, *request = build_claim(executor, free_slots);
    err_t *err = gateway_jobs_post(client, pool, STR("claim"), request, false, &answer);
    json_decref(request);
    executor_note_error(executor, err != NULL ? err->message : STR(""));
    if (err != NULL) {
        observe(LOG_WARN, "claim_failed", F_STR("message", err->message));
        pool_destroy(pool);
        return executor->poll_ms;
    }
    const json_t *claimed;
    size_t index;
    json_array_foreach(read_json_array(answer, "jobs"), index, claimed) run_start(executor, claimed);
    note_pause(executor, read_json_bool(answer, "is_paused", false));
    pthread_mutex_lock(&executor->mutex);
    executor->poll_count++;
    executor->last_poll_ms = clock_unix_ms();
    pthread_mutex_unlock(&executor->mutex);
    int64_t wait = wait_of(executor, answer);
    pool_destroy(pool);
    return wait;
}

static void wait_for_bell(executor_t *executor, int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&executor->mutex);
    int jobs_before = executor->job_count;
    while (!executor->is_due && !executor->is_stopping && executor->job_count >= jobs_before) {
        jobs_before = executor->job_count; /* fewer: a slot is free */
        if (pthread_cond_timedwait(&executor->wake, &executor->mutex, &until) == ETIMEDOUT)
            break;
    }
    executor->is_due = false;
    pthread_mutex_unlock(&executor->mutex);
}

void *claim_thread(void *arg)
{
    executor_t *executor = arg;
    gateway_client_t *client = gateway_client_create(&executor->gateway);
    int64_t wait_ms = 0;
    while (!executor->is_stopping) {
        pthread_mutex_lock(&executor->mutex);
        int free_slots = executor->jobs_max - executor->job_count;
        pthread_mutex_unlock(&executor->mutex);
        apply_settings(executor, client);
        wait_ms = free_slots > 0 ? claim_once(executor, client, free_slots) : executor->poll_ms;
        wait_for_bell(executor, wait_ms);
    }
    gateway_client_destroy(client);
    return NULL;
}

static void on_line(void *arg, str_t line)
{
    executor_t *executor = arg;
    pool_t *pool = pool_create();
    json_t *bell = NULL;
    if (read_json(pool, line, NULL, &bell) == NULL && json_is_object(bell)) {
        str_t event = read_json_str(bell, "event");
        bool is_cancel = str_eq(event, STR("cancel"));
        pthread_mutex_lock(&executor->mutex);
        executor->stream_heard_us = clock_mono_us();
        if (is_cancel)
            executor->is_renew_due = true;
        pthread_mutex_unlock(&executor->mutex);
        if (!is_cancel && !str_eq(event, STR("heartbeat")))
            executor_wake(executor);
    }
    pool_destroy(pool);
}

void *stream_thread(void *arg)
{
    executor_t *executor = arg;
    int retry_s = 1;
    while (!executor->is_stopping) {
        gateway_client_t *client = gateway_client_create(&executor->gateway);
        pool_t *pool = pool_create();
        int64_t started = clock_mono_us();
        err_t *err = gateway_stream(client, pool, on_line, executor, &executor->is_stream_over);
        pthread_mutex_lock(&executor->mutex);
        executor->stream_heard_us = 0;
        executor->is_stream_over = executor->is_stopping;
        pthread_mutex_unlock(&executor->mutex);
        if (err != NULL && !executor->is_stopping)
            observe(LOG_DEBUG, "stream_lost", F_STR("message", err->message));
        pool_destroy(pool);
        gateway_client_destroy(client);
        retry_s = clock_mono_us() - started > 10000000 ? 1 : retry_s * 2;
        retry_s = retry_s > STREAM_RETRY_MAX_S ? STREAM_RETRY_MAX_S : retry_s;
        for (int i = 0; i < retry_s * 10 && !executor->is_stopping; i++)
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return NULL;
}
