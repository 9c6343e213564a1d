/* Observations: code emits what happened; two consumers (log, metrics) decide what each means. */
#ifndef BASE_OBSERVE_H
#define BASE_OBSERVE_H

#include "base/str.h"

typedef enum { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level_t;

/* One field of an observation: a name and a string or a number. */
typedef struct {
    const char *name;
    str_t text; /* used when not the null string */
    int64_t number;
} observe_field_t;

#define F_STR(n, s) ((observe_field_t){.name = (n), .text = (s)})
#define F_CSTR(n, c) ((observe_field_t){.name = (n), .text = str_from_c(c)})
#define F_INT(n, i) ((observe_field_t){.name = (n), .number = (i)})

/* Writes one JSON line {ts, level, event, fields...} to standard error and bumps the counter
 * basalt_events_total{event=..}. `event` is a literal such as "db_connection_lost".
 * Thread-safe. Values are escaped, cut at 8 kB a line, and pass the redaction of log.h. */
void observe_at(log_level_t level, const char *event, const observe_field_t *fields, size_t count);
#define observe(level, event, ...)                                                                           \
    observe_at((level), (event), (const observe_field_t[]){__VA_ARGS__},                                     \
               sizeof((const observe_field_t[]){__VA_ARGS__}) / sizeof(observe_field_t))

#endif
