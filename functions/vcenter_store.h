/* A vCenter's inventory (the form of drivers/vsphere) into the product's tables, within one transaction. */
#ifndef FUNCTIONS_VCENTER_STORE_H
#define FUNCTIONS_VCENTER_STORE_H

#include "functions/vcenter_hosts.h"

/* Hosts, and of the other lists what is there, with what hangs on it. What cannot be taken is counted and
 * named in `summary`. With `is_complete` the clusters become server groups, and, when the row of vcenters is
 * known, what the service no longer has is marked, never deleted (raised alarms apart): what the member
 * `present` ({list: [key]}, keys are ids, of clusters names) does not name, without such a member what the
 * lists do not hold. So a large inventory may come in parts: the hosts and `present` first, the rest
 * afterwards. An error ends the whole transaction. */
err_t *vcenter_store(api_task_t *task, db_session_t *session, const sync_request_t *request,
                     const json_t *inventory, bool is_complete, sync_summary_t *summary) MUST_CHECK;

#endif
