/* What becomes of the occurrences of one schedule that lie behind us. Pure. */
#ifndef SCHEDULER_DUE_H
#define SCHEDULER_DUE_H

#include "base/cron.h"

/* Times are seconds since 1970. */
typedef struct {
    int64_t last, now;   /* occurrences in (last, now] are to be judged */
    int grace_s;         /* an occurrence not older than this may still be run */
    bool is_running;     /* the previous run is still going: nothing may start */
    bool is_catching_up; /* the latest occurrence is run however old it is */
} due_moment_t;

typedef struct {
    bool is_due; /* run the occurrence of due_at now */
    int64_t due_at;
    int64_t missed_count; /* occurrences that are given up */
    int64_t missed_first, missed_last;
    int64_t handled; /* the new `last` */
    int64_t next;    /* look again then; CRON_NEVER */
} due_t;

/* At most the latest occurrence is run; all others in the span are missed. */
due_t due_judge(const cron_t *cron, const due_moment_t *moment);

#endif
