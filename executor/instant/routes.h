/* The routes' handlers. They run on a worker, fill `answer`, and say what went wrong as an error: status 400
 * to 503 are answered as such, others as 500. */
#ifndef EXECUTOR_INSTANT_ROUTES_H
#define EXECUTOR_INSTANT_ROUTES_H

#include "executor/jobs/device.h"

typedef struct {
    job_t *job; /* detached: keeps the books */
    pool_t *pool;
    const json_t *input;
    json_t *answer; /* "success": true and, for a server's route, "server_id" are there */
    int64_t began_us;
    const json_t *server; /* of a server's route: its row, */
    device_t *device;     /* open */
} instant_call_t;

typedef err_t *(*instant_fn)(instant_call_t *call);

typedef struct {
    const char *path;
    bool is_of_server; /* opens the device of input.server_id first */
    instant_fn run;
} instant_route_t;

/* Reads of a server's device. */
err_t *instant_health_check(instant_call_t *call) MUST_CHECK;
err_t *instant_event_logs(instant_call_t *call) MUST_CHECK;
err_t *instant_firmware_inventory(instant_call_t *call) MUST_CHECK;
err_t *instant_idrac_jobs(instant_call_t *call) MUST_CHECK;
err_t *instant_console_launch(instant_call_t *call) MUST_CHECK;
err_t *instant_connectivity_test(instant_call_t *call) MUST_CHECK; /* opens the device itself */

/* Its configuration. */
err_t *instant_boot_config_read(instant_call_t *call) MUST_CHECK;
err_t *instant_bios_config_read(instant_call_t *call) MUST_CHECK;
err_t *instant_network_config_read(instant_call_t *call) MUST_CHECK;
err_t *instant_network_config_write(instant_call_t *call) MUST_CHECK;

/* A job, waited for. */
err_t *instant_power_control(instant_call_t *call) MUST_CHECK;
err_t *instant_vcenter_sync(instant_call_t *call) MUST_CHECK;
err_t *instant_partial_vcenter_sync(instant_call_t *call) MUST_CHECK;

/* Sets call->server. 400 without a server_id, 404 when there is none, 503 while all traffic to iDRACs is
 * switched off. */
err_t *instant_take_server(instant_call_t *call) MUST_CHECK;

#endif
