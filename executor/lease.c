#include "executor/claim.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/read_json.h"
#include "executor/job.h"
#include "executor/run.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <time.h>

enum { STREAM_SILENCE_US = 45000000, HEARTBEAT_US = 15000000, JOBS_MAX = 128, TICK_MS = 200 };

typedef struct {
    str_t id, token; /* copies: the job may end meanwhile */
} held_t;

static size_t list_held(executor_t *executor, pool_t *pool, held_t *held)
{
    size_t count = 0;
    pthread_mutex_lock(&executor->mutex);
    for (job_t *job = executor->jobs; job != NULL && count < JOBS_MAX; job = job->next)
        held[count++] = (held_t){pool_str(pool, job->id), pool_str(pool, job->token)};
    pthread_mutex_unlock(&executor->mutex);
    return count;
}

/* What was learnt about a job, if it still runs. */
static void tell(executor_t *executor, str_t id, const json_t *state)
{
    pthread_mutex_lock(&executor->mutex);
    for (job_t *job = executor->jobs; job != NULL; job = job->next) {
        if (!str_eq(job->id, id))
            continue;
        if (state != NULL)
            job_note_state(job, state);
        else
            job_note_lost(job);
    }
    pthread_mutex_unlock(&executor->mutex);
}

static void renew_all(executor_t *executor, gateway_client_t *client)
{
    pool_t *pool = pool_create();
    held_t held[JOBS_MAX];
    size_t count = list_held(executor, pool, held);
    for (size_t i = 0; i < count; i++) {
        json_t *answer = NULL;
        json_t *body = json_pack("{s:s%,s:i}", "token", held[i].token.base, held[i].token.len,
                                 "lease_seconds", executor->lease_seconds);
        err_t *err = gateway_jobs_post(client, pool, pool_printf(pool, "%.*s/renew", STR_ARG(held[i].id)),
                                       body, true, &answer);
        json_decref(body);
        if (err == NULL)
            tell(executor, held[i].id, answer);
        else if (err->status == 409)
            tell(executor, held[i].id, NULL);
        else
            observe(LOG_WARN, "renew_failed", F_STR("job", held[i].id), F_STR("message", err->message));
    }
    pool_destroy(pool);
}

/* The first address that is not loopback, for people who look for the machine. */
static str_t own_address(pool_t *pool)
{
    struct ifaddrs *all = NULL;
    char text[INET_ADDRSTRLEN];
    str_t found = STR_NULL;
    if (getifaddrs(&all) != 0)
        return found;
    for (struct ifaddrs *each = all; each != NULL && found.len == 0; each = each->ifa_next) {
        if (each->ifa_addr == NULL || each->ifa_addr->sa_family != AF_INET ||
            (each->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)each->ifa_addr;
        if (inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)) != NULL)
            found = pool_str(pool, str_from_c(text));
    }
    freeifaddrs(all);
    return found;
}

static json_t *build_heartbeat(executor_t *executor, pool_t *pool)
{
    str_t address = own_address(pool), now = clock_iso8601(pool, clock_unix_ms());
    json_t *types = json_array();
    for (const job_type_t *row = JOB_TYPES; row->type != NULL; row++)
        json_array_append_new(types, json_string(row->type));
    pthread_mutex_lock(&executor->mutex);
    json_t *row =
        json_pack("{s:s%,s:s%,s:s,s:s%,s:I,s:I,s:s%,s:o}", "executor_id", executor->id.base, executor->id.len,
                  "hostname", executor->hostname.base, executor->hostname.len, "version", EXECUTOR_VERSION,
                  "last_seen_at", now.base, now.len, "poll_count", (json_int_t)executor->poll_count,
                  "jobs_processed", (json_int_t)executor->jobs_processed, "startup_time",
                  executor->started_at.base, executor->started_at.len, "capabilities", types);
    json_object_set_new(row, "last_error",
                        executor->last_error[0] != '\0' ? json_string(executor->last_error) : json_null());
    pthread_mutex_unlock(&executor->mutex);
    json_object_set_new(row, "ip_address",
                        address.len > 0 ? json_stringn(address.base, address.len) : json_null());
    return row;
}

static void beat(executor_t *executor, gateway_client_t *client)
{
    pool_t *pool = pool_create();
    json_t *row = build_heartbeat(executor, pool);
    err_t *err = gateway_write(client, pool, STR("POST"), STR("executor_heartbeats?on_conflict=executor_id"),
                               row, STR("resolution=merge-duplicates"), NULL);
    json_decref(row);
    if (err != NULL)
        observe(LOG_WARN, "heartbeat_failed", F_STR("message", err->message));
    pool_destroy(pool);
}

void *lease_thread(void *arg)
{
    executor_t *executor = arg;
    gateway_client_t *client = gateway_client_create(&executor->gateway);
    int64_t renew_us = clock_mono_us(), beat_us = 0;
    /* Runs on while jobs are ending after a stop: their leases must not run out under them. */
    for (;;) {
        int64_t now = clock_mono_us();
        pthread_mutex_lock(&executor->mutex);
        bool is_due =
            executor->is_renew_due || now - renew_us >= (int64_t)executor->lease_seconds * 1000000 / 3;
        bool is_over = executor->is_stopping && executor->jobs == NULL;
        executor->is_renew_due = false;
        /* The gateway speaks each 15 s: after three times as long the connection is dead, whatever TCP
         * thinks. */
        bool is_silent =
            executor->stream_heard_us != 0 && now - executor->stream_heard_us > STREAM_SILENCE_US;
        executor->is_stream_over = executor->is_stopping || is_silent;
        pthread_mutex_unlock(&executor->mutex);
        if (is_over)
            break;
        if (is_due) {
            renew_all(executor, client);
            renew_us = now;
        }
        if (beat_us == 0 || now - beat_us >= HEARTBEAT_US) {
            beat(executor, client);
            beat_us = now;
        }
        nanosleep(&(struct timespec){.tv_nsec = TICK_MS * 1000000}, NULL);
    }
    gateway_client_destroy(client);
    return NULL;
}
