/* Configuration: one table of keys per program, filled from defaults, file, database and environment.
 * Names are those that Supabase and PostgREST users type. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/buf.h"
#include "base/err.h"

typedef enum { CONFIG_STRING, CONFIG_INT, CONFIG_BOOL, CONFIG_DURATION_MS, CONFIG_BYTES } config_type_t;

/* A row of the table: the key's first name is canonical, the others (space separated) are aliases. */
typedef struct {
    const char *names; /* "PGRST_DB_URI DATABASE_URL" */
    config_type_t type;
    const char *fallback; /* default as text, NULL: unset */
    bool is_secret;       /* redacted in dumps */
    bool is_reloadable;   /* SIGHUP and NOTIFY pgrst apply it */
    const char *help;     /* one line, for docs and --help */
} config_key_t;

typedef struct config config_t;

/* Durations: "10" (seconds), "500ms", "1m30s", "2h". Sizes: "8192", "8MB", "8MiB" (both 2^20). Booleans:
 * true, on, yes, 1 and their opposites. An empty value of anything but a string counts as not given. Lookups
 * and overrides may come from any thread. Reads: table defaults < `file` (NAME=value lines, # comments, may
 * be NULL) < process environment. A value that does not parse is an error naming the key (never its value).
 * `keys` ends with names == NULL. */
err_t *config_load(pool_t *errors, const config_key_t *keys, const char *file, config_t **out) MUST_CHECK;
void config_destroy(config_t *config);

/* Lookups by any name of the key. An unknown name is a bug and ends the process. Borrowed until destroy. */
str_t config_str(const config_t *config, const char *name);   /* null string: unset */
int64_t config_int(const config_t *config, const char *name); /* ms for durations, bytes for sizes */
bool config_bool(const config_t *config, const char *name);
bool config_is_set(const config_t *config, const char *name);

/* Overrides one value (in-database configuration); false when it does not parse. */
bool config_override(config_t *config, str_t name, str_t value);

/* NAME="value" lines; secrets as "<redacted>" unless `reveal`. */
void config_dump(const config_t *config, buf_t *out, bool reveal);

#endif
