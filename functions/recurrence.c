#include "functions/recurrence.h"

#include "base/cron.h"
#include "base/read_json.h"

#include <time.h>

#define ROUNDS_MAX 1000000

static int days_in_month(int year, int month)
{
    struct tm last = {.tm_year = year, .tm_mon = month + 1, .tm_mday = 0, .tm_hour = 12};
    timegm(&last);
    return last.tm_mday;
}

static int bounded(const json_t *config, const char *key, int absent, int low, int high)
{
    int64_t value = read_json_int(config, key, absent);
    return value < low ? low : value > high ? high : (int)value;
}

/* Months and years: days beyond the month's end flow over before the day is set, as the planner's dates do.
 */
static void set_day_of_month(struct tm *at, const json_t *config)
{
    timegm(at);
    int day = bounded(config, "dayOfMonth", at->tm_mday, 1, 31),
        last = days_in_month(at->tm_year, at->tm_mon);
    at->tm_mday = day < last ? day : last;
}

/* The next time by the interval rule; INT64_MAX when the rule makes no sense. */
static int64_t interval_next(const json_t *config, int64_t after)
{
    struct tm at;
    time_t from = (time_t)after;
    str_t unit = read_json_str(config, "unit");
    int interval = bounded(config, "interval", 1, 1, 10000);
    gmtime_r(&from, &at);
    int weekday = bounded(config, "dayOfWeek", -1, -1, 6);
    bool has_hour = !str_eq(unit, STR("hours"));
    if (str_eq(unit, STR("hours")))
        at.tm_hour += interval;
    else if (str_eq(unit, STR("days")))
        at.tm_mday += interval;
    else if (str_eq(unit, STR("weeks")))
        at.tm_mday += 7 * interval;
    else if (str_eq(unit, STR("months")))
        at.tm_mon += interval;
    else if (str_eq(unit, STR("years")))
        at.tm_year += interval;
    else
        return INT64_MAX;
    timegm(&at);
    if (str_eq(unit, STR("weeks")) && weekday >= 0)
        at.tm_mday += (weekday - at.tm_wday + 7) % 7;
    if (str_eq(unit, STR("months")) || str_eq(unit, STR("years")))
        set_day_of_month(&at, config);
    if (has_hour)
        at.tm_hour = bounded(config, "hour", at.tm_hour, 0, 23);
    at.tm_min = bounded(config, "minute", at.tm_min, 0, 59);
    at.tm_sec = 0;
    return (int64_t)timegm(&at);
}

bool recurrence_due(const json_t *config, str_t pattern, int64_t base, int64_t now, int64_t *due)
{
    cron_t cron;
    bool is_interval = json_is_true(json_object_get(config, "enabled")), is_due = false;
    if (!is_interval && (pattern.len == 0 || !cron_parse(str_trim(pattern), &cron)))
        return false;
    int64_t at = base;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        int64_t next = is_interval ? interval_next(config, at) : cron_next(&cron, at);
        if (next > now || next <= at)
            break;
        at = *due = next;
        is_due = true;
    }
    return is_due;
}
