/* A vCenter's inventory (the form of drivers/vsphere) into the product's tables, within one transaction. */
#ifndef FUNCTIONS_VCENTER_STORE_H
#define FUNCTIONS_VCENTER_STORE_H

#include "functions/vcenter_hosts.h"

/* Hosts, and of the other lists what is there. What cannot be taken is counted and named in `summary`; what
 * the service no longer has is marked, never deleted (raised alarms apart), when `is_complete` and the row of
 * vcenters is known. Of a complete one the clusters become server groups. An error ends the whole
 * transaction. */
err_t *vcenter_store(api_task_t *task, db_session_t *session, const sync_request_t *request,
                     const json_t *inventory, bool is_complete, sync_summary_t *summary) MUST_CHECK;

#endif
