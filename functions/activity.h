/* What functions ask of devices and services, as rows of idrac_commands. A row is written in a transaction of
 * its own after the exchange, honours log_level and the size limits of activity_settings, and holds no
 * secret. */
#ifndef FUNCTIONS_ACTIVITY_H
#define FUNCTIONS_ACTIVITY_H

#include "base/fetch.h"
#include "functions/fn.h"

typedef struct {
    const char *command_type;   /* GET, VCENTER_AUTH ... */
    const char *operation_type; /* a value of public.operation_type */
    const char *source;         /* edge_function ... */
    str_t endpoint, full_url;
    str_t server_id, user_id; /* null string: none; a server that is gone becomes none */
    const fetch_header_t *headers;
    size_t header_count;
    str_t request_body, response_body; /* null string: none; what is no JSON is stored as size and digest */
    int status;                        /* 0: no answer */
    int64_t elapsed_us;
    bool is_success;
    str_t error;          /* null string: none */
    const str_t *secrets; /* masked wherever they occur, beside everything under a secret's name */
    size_t secret_count;
} activity_t;

/* Writes the row unless the settings say otherwise. Trouble is logged and does not concern the caller. */
void activity_note(gateway_t *gateway, pool_t *pool, const activity_t *activity);

#endif
