/* Cron patterns and when they are due next, in GMT. Pure: shared by the scheduler and by maintenance windows.
 *
 * Five fields (minute hour day-of-month month day-of-week), each a list of "*", n, a-b, and any of these with
 * "/step"; n/step means from n to the end of the range. Months and days have English three-letter names in
 * any case; Sunday is 0 and 7. "$" alone as day-of-month is the last day of the month. When neither day field
 * begins with "*" a day that matches either of them is due, else it must match both (Vixie cron). Also
 * "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually" and "N seconds" with N from
 * 1 to 59. "@reboot" is refused: a gateway that takes the lead over is no boot.
 * The check in supabase/bootstrap/80_cron.sql accepts the same language; a test compares them. */
#ifndef BASE_CRON_H
#define BASE_CRON_H

#include "base/str.h"

/* Value type; fill it with cron_parse. */
typedef struct {
    uint64_t minutes; /* bit n: minute n; likewise below */
    uint32_t hours, days;
    uint16_t months;  /* bits 1..12 */
    uint8_t weekdays; /* bits 0..6, Sunday first */
    bool is_day_star, is_weekday_star;
    bool is_last_day; /* "$" */
    int interval_s;   /* "N seconds": the fields above are unused then; 0: a pattern */
} cron_t;

#define CRON_NEVER INT64_MAX

/* False when `text` is no schedule; `*out` is undefined then. */
bool cron_parse(str_t text, cron_t *out);

/* The first time due strictly after `after` (seconds since 1970); CRON_NEVER for a date that does not come
 * within nine years (30 February). An interval counts from `after` itself. */
int64_t cron_next(const cron_t *cron, int64_t after);

#endif
