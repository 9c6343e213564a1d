/* Directory sign-in on the executor, which is where directories can be reached: the person is checked, the
 * gateway's function idm-provision makes the account and the session, and a ticket carries the proof from
 * here to there. Blocking: worker threads. docs/executor.md "Sign-in". */
#ifndef EXECUTOR_IDM_LOGIN_H
#define EXECUTOR_IDM_LOGIN_H

#include "executor/executor.h"
#include "executor/try_limit.h"

typedef struct {
    int status;
    str_t body; /* JSON */
} idm_answer_t;

/* Judges name and password. `*out` lives in `pool`; it never holds the password. */
void idm_login(executor_t *executor, try_limit_t *limit, pool_t *pool, str_t client_addr, str_t username,
               str_t password, idm_answer_t *out);

#endif
