/* Sends the notices of jobs that the database queued (supabase/bootstrap/76_job_notices.sql): told by NOTIFY,
 * behind that a slow poll; on a worker, one drain at a time. Any number of gateways may do so. */
#ifndef FUNCTIONS_NOTICE_QUEUE_H
#define FUNCTIONS_NOTICE_QUEUE_H

#include "api/gateway.h"

/* Starts it; its state lives in `pool`. Does nothing without an internal login. */
void notice_queue_start(gateway_t *gateway, pool_t *pool);

#endif
