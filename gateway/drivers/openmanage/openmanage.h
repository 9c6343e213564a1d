/* OpenManage Enterprise client (REST at https://HOST/api) in blocking style: one client per service and
 * thread. Knows neither jobs nor functions; every exchange is handed to a callback. Source of behaviour:
 * Dell's OpenManage Enterprise API guide (SessionService, DeviceService). */
#ifndef OPENMANAGE_OPENMANAGE_H
#define OPENMANAGE_OPENMANAGE_H

#include "base/err.h"
#include "base/fetch.h"
#include "base/pool.h"

#include <jansson.h>
#include <stdatomic.h>

typedef struct openmanage openmanage_t;

/* One exchange, borrowed for the call. Headers are as sent: they hold the session's token, the consumer
 * redacts. */
typedef struct {
    const char *method;
    str_t path, url; /* path keeps its query */
    const fetch_header_t *headers;
    size_t header_count;
    int status; /* 0: no answer */
    int64_t elapsed_us;
    bool is_success;
    str_t error; /* null string when is_success */
} openmanage_record_t;

typedef struct {
    str_t base_url; /* https://host:port */
    str_t username, password;
    bool is_verified; /* check the certificate */
    str_t ca_file;    /* PEM path; null string: system store */
    target_policy_t addr_policy;
    int timeout_ms;                                                  /* of one exchange; 0: 30,000 */
    const atomic_bool *is_cancelled;                                 /* may be NULL */
    void (*on_record)(void *arg, const openmanage_record_t *record); /* may be NULL */
    void *arg;
} openmanage_options_t;

/* Copies the options. Owner: the caller. */
openmanage_t *openmanage_create(const openmanage_options_t *options);

/* Ends the session on the service (best effort, also after errors), wipes the password. NULL is allowed. */
void openmanage_destroy(openmanage_t *openmanage);

/* Errors of all calls: family upstream; status 401, the service's own, or 502/504; code one of
 *   auth         the name or password is wrong: never repeated
 *   refused      any other HTTP status than 2xx
 *   protocol     no JSON, no list, pages without end or on another host, a session without a token
 *   connect, timeout, tls, address, too_large, cancelled (base/fetch.h)
 */
err_t *openmanage_open(openmanage_t *openmanage, pool_t *pool) MUST_CHECK;

/* All servers, in pages: [{device_id, service_tag, model, hostname, ip_address}], owned by `pool`; what the
 * service does not tell is absent. Chassis and other devices are left out. */
err_t *openmanage_servers(openmanage_t *openmanage, pool_t *pool, json_t **out) MUST_CHECK;

/* Adds bios_version and idrac_firmware of the software that the service lists as installed on it. */
err_t *openmanage_add_versions(openmanage_t *openmanage, pool_t *pool, json_t *server) MUST_CHECK;

#endif
