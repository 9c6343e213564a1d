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
    FN_AUTH_EXECUTOR, /* service role, the executor's signature, or a user with one of `roles` */
    FN_AUTH_OWN       /* the handler decides (documented beside it) */
} fn_auth_t;

typedef struct {
    const char *name;    /* path segment below /functions/v1/ */
    const char *methods; /* "POST" or "GET POST" */
    fn_auth_t auth;
    const char *roles;     /* FN_AUTH_ROLE: "admin operator" */
    const char *forbidden; /* FN_AUTH_ROLE: error text of the 403 */
    size_t body_max;       /* bytes */
    int timeout_ms;        /* from the request until nothing more is written; then the answer is 504 */
    void (*run)(api_task_t *task);
    const char *help;      /* one line for docs/functions.md */
    const char *no_token;  /* error text of the 401 without a token; NULL: "Unauthorized" */
    const char *bad_token; /* the same with one that is not good, or whose user or session is gone */
} fn_entry_t;

extern const fn_entry_t FN_TABLE[]; /* ends with name == NULL */

/* Runs the function of a row (task->arg) for a caller who needs no further check, within its time limit. */
void fn_run(api_task_t *task);

#endif
