/* The table of edge functions: declared here, defined by functions/registry.c, read by the /functions/v1
 * route. */
#ifndef API_FN_TABLE_H
#define API_FN_TABLE_H

#include "api/task.h"

/* Who may call. Checked before the handler runs. */
typedef enum {
    FN_AUTH_NONE,     /* public */
    FN_AUTH_USER,     /* a signed-in user (sub present) */
    FN_AUTH_ROLE,     /* a signed-in user with one of `roles` in user_roles */
    FN_AUTH_SERVICE,  /* the service role */
    FN_AUTH_EXECUTOR, /* service role or the executor's HMAC signature */
    FN_AUTH_OWN       /* the handler decides (documented beside it) */
} fn_auth_t;

typedef struct {
    const char *name;    /* path segment below /functions/v1/ */
    const char *methods; /* "POST" or "GET POST" */
    fn_auth_t auth;
    const char *roles;     /* FN_AUTH_ROLE: "admin operator" */
    const char *forbidden; /* FN_AUTH_ROLE: error text of the 403 */
    size_t body_max;   /* bytes */
    int timeout_ms;
    void (*run)(api_task_t *task);
    const char *help; /* one line for docs/functions.md */
} fn_entry_t;

extern const fn_entry_t FN_TABLE[]; /* ends with name == NULL */

#endif
