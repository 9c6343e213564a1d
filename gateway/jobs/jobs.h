/* Service-only routes for executors, below /jobs/v1. All rules live in SQL
 * (supabase/bootstrap/7*_jobs_*.sql); this room carries JSON to them and streams the job bell.
 *
 *   POST /claim        {executor_id, boot_id, types|null, max, lease_seconds} -> {jobs, is_paused, next_due}
 *   POST /{id}/renew   {token, lease_seconds} -> {status, graceful_cancel, expires_at}
 *   POST /{id}/report  {token, details, remove, console, tasks, steps, commands, journal, audit}
 *                      -> {status, graceful_cancel}
 *   POST /{id}/finish  as report, and {status} -> {status, is_changed}
 *   GET /stream        NDJSON without end: {"event":"hello"|"resync"|"heartbeat"|"job"|"cancel", ...}
 *
 * 401 without a token, 403 for any role but service_role, 409 when the fencing token is not the current one.
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "api/gateway.h"

void jobs_register(gateway_t *gateway, pool_t *pool); /* its state lives in `pool` */

#endif
