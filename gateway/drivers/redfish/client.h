/* Inside of the driver: one exchange with throttle, breaker, retries, records and classification. */
#ifndef REDFISH_CLIENT_H
#define REDFISH_CLIENT_H

#include "drivers/redfish/redfish.h"

typedef enum { REDFISH_AUTH_NONE, REDFISH_AUTH_SESSION, REDFISH_AUTH_BASIC } redfish_auth_t;

struct redfish {
    pool_t *pool; /* life of the client */
    redfish_options_t options;
    fetch_t *fetch;
    str_t base_url;
    char *password; /* heap, wiped */
    redfish_auth_t auth;
    char *token; /* heap, wiped; NULL without a session */
    str_t session_path;
    bool is_renewed; /* the one new session of a job was used up */
};

typedef struct {
    redfish_operation_t operation;
    str_t method, path;
    str_t body; /* null string: none */
    redfish_auth_t auth;
    bool is_idempotent;
    int connect_timeout_ms, timeout_ms; /* 0: the client's */
} redfish_call_t;

/* Any 2xx is success. `*out` in `pool`; on error it holds the last answer (status 0: none). */
err_t *redfish_exchange(redfish_t *redfish, pool_t *pool, const redfish_call_t *call,
                        fetch_response_t *response, json_t **body) MUST_CHECK;

/* answer.c: NULL for 2xx with a usable body (then *body is the object, or NULL without content), else the
 * error. */
err_t *redfish_classify(pool_t *pool, const redfish_call_t *call, const fetch_response_t *response,
                        json_t **body);
err_t *redfish_explain_fetch(pool_t *pool, const redfish_call_t *call, const err_t *cause);
bool redfish_is_transient(const err_t *err);

#endif
