/* Another program for one piece of work: gets its input, gives its output, ends in time or is killed.
 * Blocking, for workers. */
#ifndef BASE_SUBPROCESS_H
#define BASE_SUBPROCESS_H

#include "base/err.h"

typedef struct {
    const char *program; /* in the directory of this process's own program */
    str_t input;         /* at most 64 KiB */
    int timeout_ms;
    size_t output_max; /* bytes; more is an error */
} subprocess_t;

/* Runs it with an empty environment, no arguments and no other descriptors; what it says on standard error is
 * dropped. Errors, family upstream: 502 "missing" (no such program), "failed" (it ended with another status
 * than 0), "too_large", 504 "timeout". */
err_t *subprocess_run(pool_t *pool, const subprocess_t *what, str_t *output) MUST_CHECK;

#endif
