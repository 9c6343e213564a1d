/* A vCenter as jobs see it: which one is meant, its password opened, every exchange written down as an
 * activity row. */
#ifndef EXECUTOR_JOBS_VCENTER_H
#define EXECUTOR_JOBS_VCENTER_H

#include "drivers/vsphere/vsphere.h"
#include "executor/activity.h"
#include "executor/job.h"

/* The older settings hold one vCenter, in other columns. */
#define VCENTER_SETTINGS_QUERY                                                                               \
    "vcenter_settings?select=*,name:host,password_encrypted:password&order=created_at&limit=1"

typedef struct {
    job_t *job;
    pool_t *pool;
    str_t key, task_id; /* master key of stored passwords */
    activity_about_t about;
} vcenter_t;

/* Makes the pool and the job's task, reads the key. vcenter_end in any case. */
err_t *vcenter_begin(vcenter_t *vcenter, job_t *job) MUST_CHECK;
void vcenter_end(vcenter_t *vcenter);

/* The stored password of a row, in the pool; the caller wipes it. */
err_t *vcenter_password(const vcenter_t *vcenter, const json_t *row, str_t *password) MUST_CHECK;

/* A client of {host, port, username, verify_ssl}; `vcenter` must outlive it. Error 400 for what is no host or
 * port. */
err_t *vcenter_client(vcenter_t *vcenter, const json_t *row, str_t password, int timeout_ms, int deadline_ms,
                      vsphere_t **out) MUST_CHECK;

typedef struct {
    int64_t total, added, updated, linked; /* hosts */
    int64_t failed;                        /* items of all kinds */
} vcenter_stored_t;

/* Hands an inventory (the form of drivers/vsphere) to the gateway, in parts well below what it takes at once;
 * the job's log names what could not be stored. `id`: row of vcenters, or null. The items of the
 * inventory are used up, its lists keep their length.
 */
err_t *vcenter_store_inventory(vcenter_t *vcenter, str_t id, str_t name, json_t *inventory,
                               vcenter_stored_t *stored) MUST_CHECK;

/* https://host:port, with brackets where they belong. Error as vcenter_client. */
err_t *vcenter_url(pool_t *pool, str_t host, int64_t port, str_t *out) MUST_CHECK;

#endif
