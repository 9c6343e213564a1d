/* A service with a REST interface and a session: vCenter and OpenManage Enterprise. Blocking, on a worker; no
 * transaction may be open meanwhile. Address policy, deadlines and certificates as configured; redirects are
 * not followed; each exchange leaves an activity row. */
#ifndef FUNCTIONS_PEER_H
#define FUNCTIONS_PEER_H

#include "functions/activity.h"

typedef struct {
    str_t id;   /* row of vcenters; null string: none */
    str_t name; /* for people */
    str_t host; /* a name or address, no URL */
    int64_t port;
    str_t username, password; /* clear */
    bool is_verified;         /* checks the certificate */
} peer_where_t;

typedef struct {
    api_task_t *task;
    peer_where_t where;
    fetch_t *fetch;
    const char *operation_type, *source;
    str_t base_url;     /* https://host:port */
    str_t token_header; /* name of the header with the session's token */
    str_t token;        /* null string: no session */
    str_t session_path; /* ended by DELETE there */
    str_t api;          /* vCenter: "/api" or "/rest" */
    int timeout_ms;     /* of one exchange; 0: 10,000 */
    int64_t elapsed_us; /* of the last exchange */
    bool is_quiet;      /* leaves no rows */
} peer_t;

/* What outgoing requests of functions may reach. */
target_policy_t peer_policy(const gateway_t *gateway);
/* Whether `host` can be nothing but a host name or an address. */
bool peer_is_host(str_t host);
/* What browsers would print of a transport error (its code and text). */
str_t peer_failure(const err_t *err);

/* Prepares `peer`, whose task, where, operation_type and source are set. 400 for what is no host or port. */
err_t *peer_init(peer_t *peer) MUST_CHECK;
/* Ends the session on the service, if any, and forgets the secrets. */
void peer_close(peer_t *peer);

typedef struct {
    const char *method, *command_type;
    str_t path;
    str_t body;    /* null string: none */
    bool is_login; /* Basic with the user's name and password */
} peer_call_t;

/* An answer other than 2xx is an error with its status, code "refused" and message "<status> <reason>"; else
 * the codes of base/fetch. `*body` (NULL: not wanted) is the answer's JSON or NULL; `response` may be NULL.
 */
err_t *peer_exchange(peer_t *peer, const peer_call_t *call, fetch_response_t *response,
                     json_t **body) MUST_CHECK;

/* Sessions: /api/session, or that of vCenter before 7. */
err_t *peer_open_vcenter(peer_t *peer, const char *command_type) MUST_CHECK;
err_t *peer_open_openmanage(peer_t *peer, const char *command_type) MUST_CHECK;
/* GET of a list in either form, [...] or {"value":[...]}; `*out` is an array owned by the task's pool. */
err_t *peer_list(peer_t *peer, str_t path, json_t **out) MUST_CHECK;

#endif
