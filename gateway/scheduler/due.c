#include "scheduler/due.h"

/* Occurrences counted one by one: more than two months of minutes. */
enum { COUNT_MAX = 100000 };

typedef struct {
    int64_t count, first, last, before_last, next;
} span_t;

static span_t count_interval(const cron_t *cron, const due_moment_t *moment)
{
    span_t span = {.count = (moment->now - moment->last) / cron->interval_s};
    span.first = moment->last + cron->interval_s;
    span.last = moment->last + span.count * cron->interval_s;
    span.before_last = span.last - cron->interval_s;
    span.next = span.last + cron->interval_s;
    return span;
}

static span_t count_pattern(const cron_t *cron, const due_moment_t *moment)
{
    span_t span = {.next = cron_next(cron, moment->last)};
    span.first = span.next;
    while (span.next <= moment->now && span.count < COUNT_MAX) {
        span.before_last = span.last;
        span.last = span.next;
        span.count++;
        span.next = cron_next(cron, span.next);
    }
    return span;
}

due_t due_judge(const cron_t *cron, const due_moment_t *moment)
{
    bool is_past = moment->now > moment->last; /* a clock that was set back: wait until it is there again */
    span_t span = {.next = cron_next(cron, moment->last)};
    if (is_past)
        span = cron->interval_s > 0 ? count_interval(cron, moment) : count_pattern(cron, moment);
    due_t due = {.handled = moment->last, .next = span.next};
    if (span.count == 0)
        return due;
    bool is_fresh = moment->is_catching_up || moment->now - span.last <= moment->grace_s;
    due.handled = due.due_at = span.last;
    due.is_due = is_fresh && !moment->is_running;
    due.missed_count = due.is_due ? span.count - 1 : span.count;
    due.missed_first = span.first;
    due.missed_last = due.is_due ? span.before_last : span.last;
    return due;
}
