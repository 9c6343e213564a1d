/* What happens on a clock: the leader among the gateways of a database runs cron.job (where pg_cron is not
 * installed), sends what net.http_post queued (where pg_net is not), and calls the functions and the
 * housekeeping of schedules.c. docs/operations.md, "Schedules". */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include "api/gateway.h"

/* Joins the election; the scheduler lives in `pool` (life of the process). Does nothing without an internal
 * login or with BASALT_SCHEDULER=false. */
void scheduler_register(gateway_t *gateway, pool_t *pool);

#endif
