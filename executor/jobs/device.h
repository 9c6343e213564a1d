/* A device opened for a job: credentials found, session made, every exchange written down as an activity row.
 */
#ifndef EXECUTOR_JOBS_DEVICE_H
#define EXECUTOR_JOBS_DEVICE_H

#include "drivers/redfish/redfish.h"
#include "executor/activity.h"
#include "executor/credential_book.h"
#include "executor/job.h"

typedef struct {
    job_t *job;
    pool_t *pool; /* life of the device */
    redfish_t *redfish;
    credential_t credential;
    activity_about_t about;
    bool is_legacy_tls;
    bool is_polling; /* rows wait in `held` until device_poll_keep */
    json_t *held;
} device_t;

/* What a device is opened with. */
typedef struct {
    str_t address;
    str_t server_id, task_id; /* null strings: none */
    bool is_legacy_tls;
    bool is_guard_forced; /* an operator asks: in spite of an open breaker */
    bool is_unguarded;    /* no throttle, no breaker: looking whether there is a device at all */
    int connect_timeout_ms, timeout_ms; /* 0: as the settings say */
    int attempts_max;                   /* 0: as the settings say */
    credential_t credential;
} device_options_t;

/* Without any exchange yet. The credential's password is wiped. Owner of `device`'s storage: the caller. */
void device_create(device_t *device, job_t *job, pool_t *pool, const device_options_t *options);

/* Opens a session; when the modern TLS handshake fails, once more with the old protocol (is_legacy_tls
 * tells). */
err_t *device_open(device_t *device) MUST_CHECK;

/* Finds the server's credentials, opens the device, and remembers on the server's row what was learnt:
 * reachable or not, password good or not, old TLS. */
err_t *device_open_server(device_t *device, job_t *job, pool_t *pool, const json_t *server,
                          str_t task_id) MUST_CHECK;

/* Gives the session back. */
void device_close(device_t *device);

/* Repeated questions (waiting for a power state): only answers that say something new are written down. */
void device_poll_begin(device_t *device);
void device_poll_keep(device_t *device, bool is_news);
void device_poll_drop(device_t *device); /* forgets what waits */
void device_poll_end(device_t *device);  /* the last one is always kept */

/* Reads the credential book once per job step. */
err_t *device_book(job_t *job, pool_t *pool, credential_book_t *out) MUST_CHECK;

/* PATCH of a row, best effort: a failure is logged, not returned. `changes`: reference taken. */
void device_patch_row(job_t *job, pool_t *pool, const char *table, str_t id, json_t *changes);
json_t *device_now(pool_t *pool); /* the time as JSON text */
json_t *device_text(str_t text);  /* null for the null or empty string */

/* What a look at its health says about the server itself. */
void device_note_health(job_t *job, pool_t *pool, str_t server_id, const redfish_health_t *health);

/* connection_status and friends of a server after an error. */
json_t *device_failure_columns(pool_t *pool, const err_t *err);

#endif
