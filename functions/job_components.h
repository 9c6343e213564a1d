/* The component jobs of a full update of servers. */
#ifndef FUNCTIONS_JOB_COMPONENTS_H
#define FUNCTIONS_JOB_COMPONENTS_H

#include "functions/fn.h"

/* Queues the children of `job_id`, in their order, with its scope and owner, when that is a
 * full_server_update; does nothing for other jobs. */
err_t *job_components_insert(db_session_t *session, str_t job_id) MUST_CHECK;

#endif
