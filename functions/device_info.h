/* What a device tells about itself over Redfish, for the preview of a server and its refresh. */
#ifndef FUNCTIONS_DEVICE_INFO_H
#define FUNCTIONS_DEVICE_INFO_H

#include "drivers/redfish/redfish.h"
#include "functions/fn.h"

typedef struct {
    str_t address, username, password, server_id; /* server_id: null string when there is no row */
    bool is_legacy_tls;
} device_where_t;

typedef struct {
    redfish_system_t system;
    redfish_identity_t identity;
    str_t endpoints; /* JSON object: systems, managers, chassis, update_service, task_service, session_service
                      */
    str_t interfaces; /* path of the controller's own network interfaces; null string: not told */
    int64_t root_us, system_us, manager_us, total_us;
    bool has_session;
} device_info_t;

/* Asks root, system and controller; each exchange leaves an activity row. On an error `*stage` says where:
 * "Failed to connect to iDRAC" or "Failed to retrieve system information". */
err_t *device_info_read(api_task_t *task, const device_where_t *where, device_info_t *out,
                        const char **stage) MUST_CHECK;

/* Text of an upstream failure for `details`. */
str_t device_info_failure(api_task_t *task, const char *stage, const err_t *err);

/* What the tables call it, "hostname" to "redfish_version", into the current object. */
void device_info_emit_system(emit_t *emit, const device_info_t *info);

/* "response_times" and "auth_method", into the current object. */
void device_info_emit_times(emit_t *emit, const device_info_t *info);

#endif
