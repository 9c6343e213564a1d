#include "drivers/redfish/client.h"

/* Where generations keep the system event log: 9 and 10, documented by the product's seed, 8, and the rest.
 */
static const char *const LOG_PATHS[] = {
    REDFISH_MANAGER "/LogServices/Sel/Entries",
    REDFISH_SYSTEM "/LogServices/EventLog/Entries",
    REDFISH_MANAGER "/Logs/Sel",
    REDFISH_SYSTEM "/LogServices/Sel/Entries",
};

err_t *redfish_read_events(redfish_t *redfish, pool_t *pool, size_t limit, json_t **out, str_t *log_path)
{
    err_t *err = NULL;
    for (size_t i = 0; i < sizeof(LOG_PATHS) / sizeof(LOG_PATHS[0]); i++) {
        *log_path = str_from_c(LOG_PATHS[i]);
        err = redfish_members(redfish, pool, *log_path, limit, out);
        if (err == NULL || !str_eq(err->code, STR("not_supported")))
            return err;
    }
    return err;
}
