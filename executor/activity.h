/* Exchanges with devices as activity rows (idrac_commands), without secrets and within the configured size.
 */
#ifndef EXECUTOR_ACTIVITY_H
#define EXECUTOR_ACTIVITY_H

#include "drivers/redfish/redfish.h"
#include "executor/settings.h"

#include <jansson.h>

typedef struct {
    str_t server_id, task_id;   /* null strings: none */
    str_t secret;               /* the device's password: masked wherever it occurs */
    const char *operation_type; /* of public.operation_type; NULL: the record's */
} activity_about_t;

/* NULL when the log level says that no row is written. Owner: the caller. */
json_t *activity_row(pool_t *pool, const settings_t *settings, const activity_about_t *about,
                     const redfish_record_t *record);

#endif
