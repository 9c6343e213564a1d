/* Where outgoing connections may lead, whatever the protocol: judged on the address of each socket before it
 * connects, so that neither the spelling of a host nor what its name resolves to matters. */
#ifndef BASE_TARGET_H
#define BASE_TARGET_H

#include "base/err.h"

struct sockaddr;

typedef enum {
    TARGET_REMOTE, /* default: everything but loopback, link-local, metadata, multicast, reserved */
    TARGET_ANY     /* configured peers (executor, gateway, demo) */
} target_policy_t;

/* Whether TARGET_REMOTE forbids it. IPv4 addresses inside of IPv6 ones (mapped, translated, 6to4) count as
 * themselves; tunnels whose end cannot be told (Teredo, local NAT64 prefixes) are forbidden. */
bool target_is_refused(const struct sockaddr *addr);

/* The gate of one exchange by libcurl. */
typedef struct {
    target_policy_t policy;
    bool has_refused, has_allowed;
} target_gate_t;

/* Makes `curl` (a CURL *) open its sockets through `gate`, which must outlive the exchange, without proxies,
 * without signals, and give up in time also when a name server does not answer. */
void target_guard(void *curl, target_gate_t *gate);

/* The exchange failed because no address of the host is allowed. */
bool target_was_refused(const target_gate_t *gate);

typedef struct {
    int fd;        /* connected TCP, non-blocking; owner: the caller */
    str_t address; /* its numeric address, without brackets */
} target_socket_t;

/* Blocking, for workers. `host` is a name or an address; all addresses of a name that the policy allows are
 * tried. Errors, family upstream: 502 "connect", "address", 504 "timeout". */
err_t *target_connect(pool_t *pool, str_t host, uint16_t port, target_policy_t policy, int timeout_ms,
                      target_socket_t *out) MUST_CHECK;

/* Only asks the resolver of this host. Errors: 502 "connect", 504 "timeout". */
err_t *target_resolve(pool_t *pool, str_t host, int timeout_ms) MUST_CHECK;

#endif
