/* Redfish client for Dell's iDRAC, in blocking style: one client per device and thread.
 * Knows neither jobs nor the gateway; what it sends and receives is handed to a callback as records.
 * Sources of behaviour: DMTF DSP0266 (sessions, paging, errors) and Dell's published iDRAC guides. */
#ifndef REDFISH_REDFISH_H
#define REDFISH_REDFISH_H

#include "base/err.h"
#include "base/fetch.h"
#include "base/pool.h"
#include "drivers/redfish/guard.h"

#include <jansson.h>
#include <stdatomic.h>

#define REDFISH_SYSTEM "/redfish/v1/Systems/System.Embedded.1"
#define REDFISH_CHASSIS "/redfish/v1/Chassis/System.Embedded.1"
#define REDFISH_MANAGER "/redfish/v1/Managers/iDRAC.Embedded.1"

typedef struct redfish redfish_t;

typedef enum {
    REDFISH_API,          /* with a session token, or without credentials */
    REDFISH_API_FALLBACK, /* with Basic, because the device gave no session */
    REDFISH_SESSION_CREATE,
    REDFISH_SESSION_DELETE
} redfish_operation_t;

/* As activity rows call it (operation_type): idrac_api, idrac_api_fallback, session_create, session_delete.
 */
const char *redfish_operation_name(redfish_operation_t operation);

/* One exchange, borrowed for the call. Headers and bodies are as sent: they hold secrets, the consumer
 * redacts. */
typedef struct {
    redfish_operation_t operation;
    str_t method, path, url; /* path keeps its query */
    const fetch_header_t *headers;
    size_t header_count;
    str_t request_body;  /* null string: none */
    int status;          /* 0: no answer */
    str_t response_body; /* null string: none */
    int64_t elapsed_us;
    bool is_success; /* 2xx and a usable body */
    str_t error;     /* null string when is_success */
} redfish_record_t;

typedef struct {
    str_t address; /* "10.0.0.5", "10.0.0.5:8443", "fe80::1" or "[fe80::1]:8443" */
    str_t username, password;
    bool is_verified;     /* check the certificate; default off, self-signed is normal here */
    bool is_legacy_tls;   /* firmware 2.x */
    bool is_guard_forced; /* go on in spite of an open breaker */
    target_policy_t addr_policy;
    int connect_timeout_ms;          /* 0: 5,000 (10,000 with legacy TLS) */
    int timeout_ms;                  /* of one exchange; 0: 30,000 */
    int64_t deadline_us;             /* of clock_mono_us, over all but the end of the session; 0: none */
    int attempts_max;                /* of idempotent requests; 0: 3 */
    int retry_delay_ms;              /* first wait, doubled each time, at most 60 s; 0: 2,000 */
    redfish_guard_t *guard;          /* may be NULL in tests */
    const atomic_bool *is_cancelled; /* may be NULL */
    void (*on_record)(void *arg, const redfish_record_t *record); /* may be NULL */
    void *arg;
} redfish_options_t;

/* Copies the options. Owner: the caller. */
redfish_t *redfish_create(const redfish_options_t *options);

/* Deletes the session on the device (best effort, also after errors), wipes the password. NULL is allowed. */
void redfish_destroy(redfish_t *redfish);

/* Errors of all calls: family upstream; status as the device's, else 502/504; code one of
 *   auth          401/403: never repeated
 *   breaker       not sent: the device failed too often lately
 *   connect, timeout, tls, address, cancelled      no answer
 *   protocol      an answer that is no Redfish (garbage, cut, too large, another shape)
 *   not_supported 404, 405, 501
 *   busy          503, queue full, another export running ... : later again
 *   conflict      409
 *   device        any other refusal
 * message: one sentence for people, with the device's own text; details: the device's message code (RAC0218),
 * or "handshake" when TLS was broken off.
 */

/* From now on with old TLS and old ciphers: the modern handshake failed. */
void redfish_use_legacy_tls(redfish_t *redfish);

/* Opens a session; devices without free slots or session service are used with Basic from then on. */
err_t *redfish_open(redfish_t *redfish, pool_t *pool) MUST_CHECK;

/* Path of the open session, or the null string. Borrowed until destroy. */
str_t redfish_session_path(const redfish_t *redfish);
/* Ends a session that a former process has left on the device: it has few of them. Best effort. */
void redfish_drop_session(redfish_t *redfish, pool_t *pool, str_t path);

/* The service root, asked without credentials: proves that a Redfish service is there, not that the password
 * is good. */
err_t *redfish_probe(redfish_t *redfish, pool_t *pool, json_t **out) MUST_CHECK;

/* GET of one resource; `*out` is an object owned by `pool`. Idempotent: repeated after transient failures. */
err_t *redfish_get(redfish_t *redfish, pool_t *pool, str_t path, json_t **out) MUST_CHECK;

typedef struct {
    int status;
    str_t location; /* path of the task or job, or null string */
    json_t *body;   /* NULL: none */
} redfish_answer_t;

/* POST or PATCH; repeated only when the connection failed before anything was sent. `out` may be NULL. */
err_t *redfish_post(redfish_t *redfish, pool_t *pool, str_t path, json_t *body,
                    redfish_answer_t *out) MUST_CHECK;
err_t *redfish_patch(redfish_t *redfish, pool_t *pool, str_t path, json_t *body,
                     redfish_answer_t *out) MUST_CHECK;

/* Members of a collection as whole resources, at most `limit`: follows pages, and links where the device does
 * not expand. Stops at a missing link, an empty page, a link seen before, or a refused $skip. `*out` owned by
 * `pool`. */
err_t *redfish_members(redfish_t *redfish, pool_t *pool, str_t path, size_t limit, json_t **out) MUST_CHECK;

/* What the service root tells about the device. */
typedef struct {
    bool is_idrac;
    str_t product, vendor, redfish_version, service_tag, mac_address;
} redfish_identity_t;
void redfish_identify(const json_t *root, redfish_identity_t *out); /* borrowed from root */

/* System and manager in one view; strings are null where the device says nothing. */
typedef struct {
    str_t hostname, model, manufacturer, service_tag, bios_version, power_state, health, firmware_version,
        cpu_model;
    int64_t cpu_count, memory_gb; /* 0: unknown */
    const json_t *system;         /* whole resource, borrowed from the pool */
} redfish_system_t;
err_t *redfish_read_system(redfish_t *redfish, pool_t *pool, redfish_system_t *out) MUST_CHECK;
/* Fills firmware_version; a device that does not tell leaves it null. */
err_t *redfish_read_manager(redfish_t *redfish, pool_t *pool, redfish_system_t *out) MUST_CHECK;
void redfish_parse_system(pool_t *pool, const json_t *body, redfish_system_t *out);

/* True when the system's Actions list `type`, or list nothing. */
bool redfish_allows_reset(const json_t *system, str_t type);
err_t *redfish_reset(redfish_t *redfish, pool_t *pool, const json_t *system, str_t type) MUST_CHECK;

typedef struct {
    str_t power_state, overall_health;             /* null: unknown */
    str_t fan, psu, storage, memory, cpu, network; /* OK, Warning, Critical or null */
    bool has_temperature;
    double temperature; /* mean of all readings, one decimal */
    json_t *sensors;    /* {"temperatures":[up to 5],"fans":[up to 5]} */
    json_t *missing;    /* names of parts that could not be read, with the reason: {"storage":"..."} */
    redfish_system_t system;
} redfish_health_t;
/* Fails only when the system itself cannot be read; parts that fail are null and named in `missing`. */
err_t *redfish_read_health(redfish_t *redfish, pool_t *pool, redfish_health_t *out) MUST_CHECK;

/* OK when all known values are OK, Critical when any is, else Warning; null string when nothing is known.
 * `items`: array of resources with Status; absent parts do not count. */
str_t redfish_rollup(const json_t *items);

/* The newest `limit` entries of the system event log, each as the device gave it. `*log_path`: where they
 * were found. */
err_t *redfish_read_events(redfish_t *redfish, pool_t *pool, size_t limit, json_t **out,
                           str_t *log_path) MUST_CHECK;

/* Path of a link that the device gave: absolute URLs lose their authority, so that credentials stay with the
 * device. Null string when it is not below /redfish/. */
str_t redfish_link_path(str_t link);

#endif
