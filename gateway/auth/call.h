/* One request to /auth/v1 on its worker: parameters in, answer out, and who is asking. */
#ifndef AUTH_CALL_H
#define AUTH_CALL_H

#include "api/task.h"
#include "auth/audit.h"
#include "auth/session.h"
#include "auth/user.h"

struct auth_limits;

/* The room's process state. */
typedef struct {
    gateway_t *gateway;
    struct auth_limits *limits;
} auth_t;

typedef struct {
    auth_scope_t scope;
    api_task_t *task;
    auth_t *auth;
    pool_t *pool;
    str_t path_params[2]; /* the {..} segments of the endpoint's path */
    const json_t *body;   /* an object, or NULL when the endpoint takes none */
    err_t *body_error;    /* the first member of a wrong type */
    /* Filled for endpoints that need a user: */
    const json_t *claims;
    auth_user_t *user;
    str_t session_id, session_aal; /* null strings: the token has no session */
    int64_t session_created_ms;
    str_t admin_role; /* endpoints for administrators */
    str_t weak_password;
} auth_call_t;

typedef enum {
    AUTH_PUBLIC = 0,
    AUTH_USER = 1,  /* bearer of a user whose session exists; the transaction is open afterwards */
    AUTH_ADMIN = 2, /* bearer with an admin role */
    AUTH_BODY = 4,  /* a JSON object is required */
    AUTH_BODY_OPTIONAL = 8,
    AUTH_HASHES = 16, /* runs on the hash workers */
    AUTH_NOT_ANONYMOUS = 32,
    AUTH_MAILS = 64 /* may wait for a mail server: runs on workers of its own */
} auth_flag_t;

typedef enum {
    AUTH_LIMIT_NONE,
    AUTH_LIMIT_OTP,
    AUTH_LIMIT_VERIFY,
    AUTH_LIMIT_TOKEN,
    AUTH_LIMIT_ANONYMOUS,
    AUTH_LIMIT_FACTOR,
    AUTH_LIMIT_COUNT
} auth_limit_t;

/* An endpoint: sequential code that sets the reply or returns an error. It need not end its transaction on
 * error. */
typedef err_t *(*auth_handler_fn)(auth_call_t *call);

typedef struct {
    const char *method, *path; /* "/admin/users/{}" */
    unsigned flags;
    auth_limit_t limit;
    auth_handler_fn run;
} auth_endpoint_t;

/* Members of the body; null string / NULL when absent or null. A wrong type is kept in call->body_error,
 * which the dispatcher turns into 400 bad_json; handlers ask `call_body_error` once after reading. */
str_t call_str(auth_call_t *call, const char *name);
const json_t *call_object(auth_call_t *call, const char *name);
bool call_bool(auth_call_t *call, const char *name, bool absent);
err_t *call_body_error(const auth_call_t *call) MUST_CHECK;

/* Query parameter, or a member of a form body. */
str_t call_param(auth_call_t *call, const char *name);

/* X-JWT-AUD, else the token's audience unless it is an administrator's, else GOTRUE_JWT_AUD. */
str_t call_audience(auth_call_t *call);

/* Reads and judges the bearer: call->claims, user, session. Opens the transaction. */
err_t *call_authenticate(auth_call_t *call) MUST_CHECK;
err_t *call_require_admin(auth_call_t *call) MUST_CHECK;
/* The actor of an administrator's audit entries. */
auth_actor_t call_admin(const auth_call_t *call);

void call_reply(auth_call_t *call, int status, str_t json);
/* The Session object and what goes with it (auth_session_mark_reply). */
void call_reply_session(auth_call_t *call, const auth_session_t *session, str_t json);

/* Takes from the caller's bucket; 429 over_request_rate_limit. Only where GOTRUE_RATE_LIMIT_HEADER tells
 * addresses apart, as in GoTrue. */
err_t *call_limit(auth_call_t *call, auth_limit_t limit) MUST_CHECK;
/* Wrong codes and passwords are counted for (address, account), header or not: 60 in five minutes. `account`
 * is what the caller claims to be: an address or a user id. By both, so that neither one address behind a
 * proxy locks out everybody nor one account can be locked from everywhere. */
err_t *call_check_guesses(auth_call_t *call, str_t account) MUST_CHECK;
void call_count_guess(auth_call_t *call, str_t account);
/* One mail more for the process; 429 over_email_send_rate_limit. */
err_t *call_take_mail(auth_call_t *call) MUST_CHECK;

#define call_error(call, status, code, ...) auth_error((call)->pool, (status), (code), __VA_ARGS__)

#endif
