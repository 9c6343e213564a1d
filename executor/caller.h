/* Who calls the executor's HTTP API and expects it to act: behind the gateway that passes on the token of the
 * signed-in user, or a browser on this machine, which has none. */
#ifndef EXECUTOR_CALLER_H
#define EXECUTOR_CALLER_H

#include "executor/executor.h"

/* `*user_id`: the user, in `pool`; the null string for who came without a token to a listener on loopback, or
 * with the service role key. Errors: 401 not signed in, 403 neither administrator nor operator, 503 when the
 * gateway cannot tell. Blocking. */
err_t *caller_check(executor_t *executor, pool_t *pool, str_t authorization, str_t *user_id) MUST_CHECK;

#endif
