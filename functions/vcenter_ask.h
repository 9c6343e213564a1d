/* What a vCenter is asked: whether it lets somebody in, and what it holds. Blocking, outside of transactions.
 */
#ifndef FUNCTIONS_VCENTER_ASK_H
#define FUNCTIONS_VCENTER_ASK_H

#include "functions/peer.h"

/* Signs in and out again: over the REST interface, or over SOAP where there is none. `peer` is initialised;
 * its elapsed_us becomes that of the login. `version` (NULL: not wanted): the null string when it is not
 * told. */
err_t *vcenter_sign_in(peer_t *peer, const char *command_type, str_t *version) MUST_CHECK;

/* The inventory in the form of drivers/vsphere, owned by the task's pool. Over SOAP; a service without that
 * is asked over REST and tells of hosts alone. `peer` is initialised. Errors are worded for people. */
err_t *vcenter_read(peer_t *peer, json_t **inventory) MUST_CHECK;

/* vcenter_rest.c: appends to `hosts`; the session is open. */
err_t *vcenter_rest_hosts(peer_t *peer, json_t *hosts) MUST_CHECK;
err_t *vcenter_explain(pool_t *pool, const char *what, const err_t *err);

#endif
