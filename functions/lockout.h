/* Locks against guessing (auth_rate_limits): an attempt is counted before the secret is looked at, in order
 * of arrival, so that parallel guesses get no more tries than one after another. A second, wider limit counts
 * per client address. docs/functions.md "Sign-in". */
#ifndef FUNCTIONS_LOCKOUT_H
#define FUNCTIONS_LOCKOUT_H

#include "functions/fn.h"

typedef struct {
    str_t identifier; /* as typed; spellings of one name share a counter */
    const char *type; /* "username", "break_glass_email" */
    int64_t max, minutes;
    /* Filled by lockout_enter: */
    bool is_locked;
    int64_t seconds_left, remaining; /* tries left after this one */
} lockout_t;

/* Counts an attempt, unless it is locked. */
err_t *lockout_enter(api_task_t *task, lockout_t *lock) MUST_CHECK;
/* The secret was right: the identifier starts anew, the address gets its try back. */
err_t *lockout_success(api_task_t *task, const lockout_t *lock) MUST_CHECK;
/* The secret could not be judged (a server is away): the try is given back. */
void lockout_release(api_task_t *task, const lockout_t *lock);

/* 429 with lockout_remaining_seconds. */
void lockout_reply(api_task_t *task, const lockout_t *lock, const char *message);

#endif
