/* Visiting one unknown address: is there an iDRAC, which account opens it, what is it; and the server's row
 * for it. */
#ifndef EXECUTOR_JOBS_DISCOVERY_H
#define EXECUTOR_JOBS_DISCOVERY_H

#include "executor/jobs/device.h"

/* A scan in progress; its threads share it. */
typedef struct {
    job_t *job;
    credential_book_t book; /* read only */
    str_t *addresses;
    size_t address_count;
    pthread_mutex_t mutex; /* everything below */
    size_t next, done, in_detecting, in_authenticating;
    size_t stage1_passed, stage2_passed, discovered, auth_failures, failed;
    int64_t published_us;
    json_t *results, *auth_failed;
} scan_t;

typedef enum {
    DISCOVERY_FILTERED,
    DISCOVERY_AUTH_FAILED,
    DISCOVERY_SYNCED,
    DISCOVERY_ERROR
} discovery_kind_t;

typedef struct {
    discovery_kind_t kind;
    bool is_reachable, is_idrac;
    const char *filter_reason; /* port_closed, not_idrac, timeout, or NULL */
    str_t server_id, error;    /* in the visit's pool, as are: */
    str_t model, service_tag;
} discovery_outcome_t;

/* On a scan's thread. */
void discovery_visit(scan_t *scan, pool_t *pool, str_t address, discovery_outcome_t *out);

/* What a device tells about itself. */
typedef struct {
    redfish_identity_t identity;
    redfish_system_t system;
} discovery_facts_t;

err_t *discovery_read(redfish_t *redfish, pool_t *pool, discovery_facts_t *out) MUST_CHECK;
/* Columns of servers for these facts. Owner: the caller. */
json_t *discovery_columns(pool_t *pool, const discovery_facts_t *facts);
/* Links server and ESXi host by serial number, both ways; best effort. */
void discovery_link_host(gateway_client_t *client, pool_t *pool, str_t server_id, str_t service_tag);

#endif
