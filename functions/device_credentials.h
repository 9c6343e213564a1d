/* Stored accounts of devices, in the executor's own order (drivers/credentials). */
#ifndef FUNCTIONS_DEVICE_CREDENTIALS_H
#define FUNCTIONS_DEVICE_CREDENTIALS_H

#include "functions/device_info.h"

/* Fill username and password of `where`. Errors: those of the database; family upstream, code
 * "no_credentials", "undecipherable". */

/* For the server where->server_id, and only at the address that is stored for it: a stored password goes
 * nowhere else. */
err_t *device_credentials_of_server(api_task_t *task, device_where_t *where) MUST_CHECK;
/* For an address that may be nobody's yet: address ranges by priority, then the default sets. */
err_t *device_credentials_of_address(api_task_t *task, device_where_t *where) MUST_CHECK;
err_t *device_credentials_of_set(api_task_t *task, str_t set_id, device_where_t *where) MUST_CHECK;

#endif
