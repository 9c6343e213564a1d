/* A vCenter as jobs see it: which one is meant, how it is asked, where its inventory goes. */
#ifndef EXECUTOR_JOBS_VCENTER_H
#define EXECUTOR_JOBS_VCENTER_H

#include "drivers/vsphere/vsphere.h"
#include "executor/jobs/service.h"

/* The older settings hold one vCenter, in other columns. */
#define VCENTER_SETTINGS_QUERY                                                                               \
    "vcenter_settings?select=*,name:host,password_encrypted:password&order=created_at&limit=1"

/* A client of {host, port, username, verify_ssl}; `vcenter` must outlive it. Error 400 for what is no host or
 * port. */
err_t *vcenter_client(service_t *vcenter, const json_t *row, str_t password, int timeout_ms, int deadline_ms,
                      vsphere_t **out) MUST_CHECK;

/* Hands an inventory (the form of drivers/vsphere) to the gateway, in parts well below what it takes at once;
 * the job's log names what could not be stored. `id`: row of vcenters, or null. The items of the
 * inventory are used up, its lists keep their length.
 */
err_t *vcenter_store_inventory(service_t *vcenter, str_t id, str_t name, json_t *inventory,
                               service_stored_t *stored) MUST_CHECK;

#endif
