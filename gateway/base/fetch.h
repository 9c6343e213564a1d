/* Outgoing HTTP(S) in blocking style (worker threads only), by libcurl: caps, deadlines, address policy. */
#ifndef BASE_FETCH_H
#define BASE_FETCH_H

#include "base/err.h"
#include "base/pool.h"
#include "base/target.h"

#include <stdatomic.h>

typedef struct {
    str_t name, value;
} fetch_header_t;

typedef struct {
    str_t method; /* null string: GET */
    str_t url;
    const fetch_header_t *headers;
    size_t header_count;
    str_t body;                  /* null string: none */
    str_t username, password;    /* Basic auth when username is set */
    int connect_timeout_ms;      /* 0: 5,000 */
    int timeout_ms;              /* whole exchange; 0: 30,000 */
    size_t response_max;         /* bytes; 0: 8 MiB */
    bool is_tls_unverified;      /* self-signed devices */
    bool is_tls_legacy;          /* TLS 1.0 and SECLEVEL 0 for old controllers */
    str_t ca_file;               /* PEM path; null string: system store */
    target_policy_t addr_policy; /* judged on the connected socket's address */
    /* When set, body bytes are handed over as they come (streams); returning false ends the exchange, which
     * is no error. response_max does not count then. */
    bool (*on_data)(void *arg, str_t chunk);
    void *arg;
    const atomic_bool *is_cancelled; /* polled about once a second; may be NULL */
} fetch_request_t;

typedef struct {
    int status;
    fetch_header_t *headers;
    size_t header_count;
    str_t body;
    int64_t elapsed_us;
} fetch_response_t;

/* Once per process, before threads start. */
void fetch_global_init(void);
void fetch_global_cleanup(void);

/* A client keeps connections alive for one thread at a time. */
typedef struct fetch fetch_t;
fetch_t *fetch_create(void);
void fetch_destroy(fetch_t *fetch);

/* Redirects are not followed. Any HTTP answer is success here; `*out` lives in `pool`.
 * Errors: family upstream, status 502/504, code one of: connect, timeout, tls, address, too_large, protocol,
 * cancelled. `*out` may be partly filled on error (elapsed_us always is). */
err_t *fetch_perform(fetch_t *fetch, pool_t *pool, const fetch_request_t *request,
                     fetch_response_t *out) MUST_CHECK;

/* First header of that name (case-insensitive), or the null string. */
str_t fetch_header(const fetch_response_t *response, str_t name);

#endif
