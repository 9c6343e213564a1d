/* One claimed job while it runs: what the handler knows, what it says, and whether it may go on.
 * Everything a handler reports is gathered and sent as one write that carries the fencing token. */
#ifndef EXECUTOR_JOB_H
#define EXECUTOR_JOB_H

#include "executor/executor.h"
#include "executor/settings.h"

#include <jansson.h>
#include <stdatomic.h>

typedef struct job {
    struct job *next; /* executor's list, under its mutex */
    executor_t *executor;
    pool_t *pool;             /* life of the job */
    gateway_client_t *client; /* the job thread's own */
    pthread_key_t client_key; /* those of its further threads */
    str_t id, type, token;    /* null strings when detached */
    str_t user_id;            /* who asked for detached work */
    int attempts;             /* 1: first time */
    const json_t *row;        /* the jobs row as claimed */
    const json_t *details;    /* its details, {} when absent */
    const json_t *scope;      /* its target_scope, {} when absent */
    json_t *tasks;            /* job_tasks rows */
    const json_t *journal;    /* step -> {state, detail}: what a former run has left */
    settings_t settings;

    atomic_bool is_cancelled; /* somebody cancelled it: no new work */
    atomic_bool is_graceful;  /* finish the current server, then stop as cancelled */
    atomic_bool is_lost;      /* the lease is another's: say nothing more */
    atomic_bool is_halted;    /* any of the above, or the executor stops: what the driver polls */

    pthread_mutex_t mutex; /* everything below */
    json_t *kept;          /* what job_append and job_add have gathered */
    json_t *patch, *gone, *console, *task_writes, *commands, *journal_writes, *audit;
    size_t command_bytes;
    int64_t flushed_us, seq;
    str_t outcome, error; /* outcome: completed unless told otherwise */
} job_t;

/* `claimed` is one element of the claim's answer; its JSON must live in `pool`, which the job takes over. */
job_t *job_create(executor_t *executor, pool_t *pool, const json_t *claimed);
/* Work that no row of jobs stands for: it has no lease, no tasks and nobody to report to. Only its activity
 * rows and audit entries (in the name of `user_id`, which may be null) reach the gateway. Takes over `pool`.
 */
job_t *job_create_detached(executor_t *executor, pool_t *pool, str_t user_id);
void job_destroy(job_t *job);

/* Appends a line to details.console_log: "[HH:MM:SS] [LEVEL] text", without secrets by construction of its
 * callers. */
void job_log(job_t *job, const char *level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* details.current_step: one sentence. Sends when the last write is long enough ago. */
void job_step(job_t *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets a key of details; takes the reference. */
void job_set(job_t *job, const char *key, json_t *value);
/* Removes a key of details (a secret that came in with the job). */
void job_remove(job_t *job, const char *key);
/* Appends to an array in details, adds to a number in details; both start anew with the job and go on after a
 * restart. */
void job_append(job_t *job, const char *key, json_t *value); /* takes the reference */
void job_add(job_t *job, const char *key, int64_t more);
void job_progress(job_t *job, size_t done, size_t total);

/* Ends the job as failed with details.error; the first error stays. */
void job_fail(job_t *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Id of the server's task (in the job's pool), made when create-job did not. `server_id` null string: a task
 * of its own. */
str_t job_task_id(job_t *job, str_t server_id);
/* status null: unchanged; progress < 0: unchanged; `line` null string: none. */
void job_task_write(job_t *job, str_t task_id, const char *status, int progress, str_t line);

/* An activity row, already redacted; takes the reference. */
void job_add_command(job_t *job, json_t *row);

/* An entry of the audit log in the name of the job's owner; takes the reference. */
void job_audit(job_t *job, const char *action, json_t *details);

/* Journal: `started` is written through before this returns; the step must not be done when it fails. */
err_t *job_journal_start(job_t *job, str_t step, json_t *detail) MUST_CHECK; /* takes the reference */
void job_journal_done(job_t *job, str_t step, json_t *detail);               /* goes with the next write */
/* `started` without waiting: for what another process can only tidy up. */
void job_journal_note(job_t *job, str_t step, json_t *detail);
/* What a former run has left of the step: NULL, "started" or "done". */
const char *job_journal_state(const job_t *job, str_t step, const json_t **detail);

/* Sends what has gathered; learns of cancellation. Also called when the last write is older than a third of a
 * second by the functions above. An error other than a lost lease keeps the data for the next time. */
err_t *job_flush(job_t *job) MUST_CHECK;
void job_flush_quietly(job_t *job);

/* The calling thread's client: a connection serves one thread. */
gateway_client_t *job_client(const job_t *job);
/* Runs `work(arg)` on up to `threads` threads, each with a client of its own, until all have returned. False:
 * none began. */
bool job_run_threads(job_t *job, int threads, void (*work)(void *arg), void *arg);

/* Whether to begin something new. */
static inline bool job_must_stop(const job_t *job)
{
    return job->is_halted || job->is_graceful;
}

/* What the gateway's answers say about the state of the job. */
void job_note_state(job_t *job, const json_t *state);
void job_note_lost(job_t *job);

/* Sends the end. Repeats for minutes if it must: an end that nobody hears would be repeated work. */
void job_finish(job_t *job);

#endif
