#include "base/cron.h"

#include <ctype.h>

enum { YEARS_AHEAD = 9, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

typedef struct {
    unsigned low, high;
    const char *names; /* three letters each, for low, low + 1, ...; "" when there are none */
} field_t;

static const field_t FIELDS[5] = {
    {0, 59, ""},
    {0, 23, ""},
    {1, 31, ""},
    {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {0, 7, "sunmontuewedthufrisat"},
};

static const struct {
    const char *name, *pattern;
} MACROS[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

/* --- parsing --- */

static bool parse_number(str_t text, size_t digits_max, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(text.base[i] - '0');
    }
    return text.len > 0 && text.len <= digits_max;
}

static bool parse_value(const field_t *field, str_t text, unsigned *out)
{
    str_t names = str_from_c(field->names);
    for (size_t i = 0; i < names.len && text.len == 3; i += 3) {
        if (str_eq_nocase(text, str_slice(names, i, i + 3))) {
            *out = field->low + (unsigned)(i / 3);
            return true;
        }
    }
    return parse_number(text, 2, out) && *out >= field->low && *out <= field->high;
}

/* "*", "n" or "a-b", optionally "/step". */
static bool parse_item(const field_t *field, str_t item, uint64_t *bits)
{
    str_t step_text = item;
    str_t range = str_split(&step_text, '/');
    str_t to_text = range;
    str_t from_text = str_split(&to_text, '-');
    unsigned from = field->low, to = field->high, step = 1;
    bool has_step = !str_is_null(step_text), has_range = !str_is_null(to_text);
    if (has_step && (!parse_number(step_text, 3, &step) || step == 0))
        return false;
    if (str_eq(from_text, STR("*"))) {
        if (has_range)
            return false;
    } else {
        if (!parse_value(field, from_text, &from))
            return false;
        to = has_step ? field->high : from;
        if (has_range && (!parse_value(field, to_text, &to) || to < from))
            return false;
    }
    for (unsigned value = from; value <= to; value += step)
        *bits |= UINT64_C(1) << value;
    return true;
}

static bool parse_field(const field_t *field, str_t text, uint64_t *bits)
{
    *bits = 0;
    if (text.len == 0)
        return false;
    while (!str_is_null(text)) {
        if (!parse_item(field, str_split(&text, ','), bits))
            return false;
    }
    return true;
}

/* The next word, cut from `*rest`; white space as in C. */
static str_t next_word(str_t *rest)
{
    size_t from = 0;
    while (from < rest->len && !isspace((unsigned char)rest->base[from]))
        from++;
    str_t word = str_slice(*rest, 0, from);
    while (from < rest->len && isspace((unsigned char)rest->base[from]))
        from++;
    *rest = str_slice(*rest, from, rest->len);
    return word;
}

static bool parse_interval(str_t text, cron_t *out)
{
    unsigned seconds = 0;
    str_t number = next_word(&text);
    bool is_word = str_eq_nocase(text, STR("second")) || str_eq_nocase(text, STR("seconds"));
    if (!is_word || !parse_number(number, 2, &seconds) || number.base[0] == '0' || seconds > 59)
        return false;
    *out = (cron_t){.interval_s = (int)seconds};
    return true;
}

static bool parse_pattern(str_t text, cron_t *out)
{
    uint64_t bits[5];
    *out = (cron_t){0};
    bool ends_in_space = text.len > 0 && isspace((unsigned char)text.base[text.len - 1]);
    for (size_t i = 0; i < 5; i++) {
        str_t word = next_word(&text);
        bool is_star = word.len > 0 && word.base[0] == '*';
        if (i == 2 && str_eq(word, STR("$"))) {
            out->is_last_day = true;
            bits[i] = 0;
        } else if (!parse_field(&FIELDS[i], word, &bits[i])) {
            return false;
        }
        out->is_day_star = out->is_day_star || (i == 2 && is_star);
        out->is_weekday_star = out->is_weekday_star || (i == 4 && is_star);
    }
    out->minutes = bits[0];
    out->hours = (uint32_t)bits[1];
    out->days = (uint32_t)bits[2];
    out->months = (uint16_t)bits[3];
    out->weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f);
    return text.len == 0 && !ends_in_space;
}

bool cron_parse(str_t text, cron_t *out)
{
    while (text.len > 0 && text.base[0] == ' ')
        text = str_slice(text, 1, text.len);
    while (text.len > 0 && text.base[text.len - 1] == ' ')
        text.len--;
    for (size_t i = 0; i < sizeof(MACROS) / sizeof(MACROS[0]); i++) {
        if (str_eq_nocase(text, str_from_c(MACROS[i].name)))
            return parse_pattern(str_from_c(MACROS[i].pattern), out);
    }
    return parse_interval(text, out) || parse_pattern(text, out);
}

/* --- the calendar: proleptic Gregorian, days since 1970-01-01 --- */

typedef struct {
    int64_t year;
    unsigned month, day; /* from 1 */
} date_t;

static int64_t days_of(date_t date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year; /* years begin in March */
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * ((int64_t)date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static date_t date_of(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    date_t date = {.day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
                   .month = (unsigned)(month < 10 ? month + 3 : month - 9)};
    date.year = year + era * 400 + (date.month <= 2);
    return date;
}

static date_t first_of_next_month(date_t date)
{
    return date.month == 12 ? (date_t){date.year + 1, 1, 1} : (date_t){date.year, date.month + 1, 1};
}

/* --- what is due --- */

static bool is_day_due(const cron_t *cron, int64_t days, date_t date)
{
    unsigned weekday = (unsigned)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    bool is_weekday = (cron->weekdays >> weekday & 1) != 0;
    bool is_day = cron->is_last_day ? days + 1 == days_of(first_of_next_month(date))
                                    : (cron->days >> date.day & 1) != 0;
    return cron->is_day_star || cron->is_weekday_star ? is_day && is_weekday : is_day || is_weekday;
}

/* First set bit at or above `from`, or -1. */
static int next_bit(uint64_t bits, unsigned from)
{
    bits = from > 63 ? 0 : bits >> from << from;
    return bits == 0 ? -1 : __builtin_ctzll(bits);
}

/* First due second of the day at or after `from` (a full minute), or -1. */
static int64_t next_in_day(const cron_t *cron, int64_t from)
{
    unsigned at_hour = (unsigned)(from / HOUR_S), at_minute = (unsigned)(from % HOUR_S / MINUTE_S);
    int hour = next_bit(cron->hours, at_hour);
    int minute = hour < 0 ? -1 : next_bit(cron->minutes, (unsigned)hour == at_hour ? at_minute : 0);
    if (hour >= 0 && minute < 0) {
        hour = next_bit(cron->hours, (unsigned)hour + 1);
        minute = next_bit(cron->minutes, 0);
    }
    return hour < 0 ? -1 : (int64_t)hour * HOUR_S + (int64_t)minute * MINUTE_S;
}

int64_t cron_next(const cron_t *cron, int64_t after)
{
    if (cron->interval_s > 0)
        return after + cron->interval_s;
    int64_t second = after - ((after % MINUTE_S) + MINUTE_S) % MINUTE_S + MINUTE_S; /* the next full minute */
    int64_t days = second / DAY_S - (second % DAY_S < 0);
    int64_t from = second - days * DAY_S;
    date_t date = date_of(days);
    int64_t last_year = date.year + YEARS_AHEAD;
    while (date.year <= last_year) {
        if ((cron->months >> date.month & 1) == 0) {
            date = first_of_next_month(date);
            days = days_of(date);
            from = 0;
            continue;
        }
        int64_t at = is_day_due(cron, days, date) ? next_in_day(cron, from) : -1;
        if (at >= 0)
            return days * DAY_S + at;
        date = date_of(++days);
        from = 0;
    }
    return CRON_NEVER;
}
