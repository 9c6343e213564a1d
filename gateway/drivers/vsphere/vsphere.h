/* vSphere client (SOAP at https://HOST/sdk, namespace urn:vim25) in blocking style: one client per vCenter
 * and thread. Knows neither jobs nor functions; what it sends and receives is handed to a callback as
 * records. Sources of behaviour: VMware's vSphere Web Services reference (PropertyCollector, ContainerView,
 * faults). */
#ifndef VSPHERE_VSPHERE_H
#define VSPHERE_VSPHERE_H

#include "base/err.h"
#include "base/fetch.h"
#include "base/pool.h"

#include <jansson.h>
#include <stdatomic.h>

typedef struct vsphere vsphere_t;

/* One exchange, borrowed for the call. Headers are as sent: they hold the session, the consumer redacts. */
typedef struct {
    const char *operation; /* Login, RetrievePropertiesEx ... */
    str_t path, url;
    const fetch_header_t *headers;
    size_t header_count;
    str_t request_body; /* null string for a login: it holds the password */
    int status;         /* 0: no answer */
    int64_t elapsed_us;
    bool is_success;
    str_t error; /* null string when is_success */
} vsphere_record_t;

typedef struct {
    str_t base_url; /* https://host:port */
    str_t username, password;
    bool is_verified; /* check the certificate */
    str_t ca_file;    /* PEM path; null string: system store */
    target_policy_t addr_policy;
    int timeout_ms;                  /* of one exchange; 0: 30,000 */
    int deadline_ms;                 /* of everything from open on, logout excepted; 0: 120,000 */
    const atomic_bool *is_cancelled; /* may be NULL */
    void (*on_record)(void *arg, const vsphere_record_t *record); /* may be NULL */
    void *arg;
} vsphere_options_t;

typedef struct {
    str_t name, version, build, instance_uuid;
} vsphere_about_t;

/* Copies the options. Owner: the caller. */
vsphere_t *vsphere_create(const vsphere_options_t *options);

/* Ends the session on the vCenter (best effort, also after errors), wipes the password. NULL is allowed. */
void vsphere_destroy(vsphere_t *vsphere);

/* Errors of all calls: family upstream; status 401, the service's own, or 502/504; code one of
 *   auth          the name or password is wrong: never repeated
 *   refused       an HTTP status instead of SOAP; before the login: there may be no SOAP service at all
 *   fault         the service refused; details hold the fault's type
 *   protocol      an answer that is no SOAP (garbage, cut, a document type, too deep, too many elements)
 *   connect, timeout, tls, address, too_large, cancelled
 */

/* Asks what the service is and signs in. `about` may be NULL; its strings live as long as the client. */
err_t *vsphere_open(vsphere_t *vsphere, pool_t *pool, vsphere_about_t *about) MUST_CHECK;

/* Everything that a sync stores, as one JSON object owned by `pool`:
 *   about{name,version,build,instance_uuid}
 *   hosts[{vcenter_id,name,cluster,serial_number,esxi_version,status,maintenance_mode,cpu_usage_mhz,
 *          memory_usage_mb,uptime_seconds,memory_size,vendor,model,power_state,cpu_model,cpu_cores,cpu_mhz,
 *          management_ip}]
 *   clusters[{vcenter_id,cluster_name,total_cpu_mhz,...}]  vms  datastores  networks  alarms
 * Members are named as the product's columns; what a service does not tell is absent. vcenter_id is the
 * managed object id. A session that ends meanwhile is opened anew twice at most. */
err_t *vsphere_inventory(vsphere_t *vsphere, pool_t *pool, json_t **out) MUST_CHECK;

#endif
