/* Hosts that a vCenter reported, into vcenter_hosts: for the function that is given them and the one that
 * asks. */
#ifndef FUNCTIONS_VCENTER_HOSTS_H
#define FUNCTIONS_VCENTER_HOSTS_H

#include "functions/sync_summary.h"

typedef struct {
    str_t user, job_id, source; /* null strings when absent; source: the row of vcenters */
} sync_request_t;

/* One host: {name, vcenter_id (managed object id), cluster?, serial_number?, esxi_version?, status?,
 * maintenance_mode?}. Absent values leave what is stored. A host that cannot be taken is counted and named in
 * `summary`; an error ends the whole transaction. */
err_t *vcenter_hosts_take(api_task_t *task, db_session_t *session, const sync_request_t *request,
                          const json_t *host, sync_summary_t *summary) MUST_CHECK;

#endif
