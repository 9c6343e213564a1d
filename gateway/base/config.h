/* Configuration: one table of keys per program, filled from defaults, file, database and environment.
 * Names are those that Supabase and PostgREST users type. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/buf.h"
#include "base/err.h"

typedef enum {
    CONFIG_STRING,
    CONFIG_LIST,
    CONFIG_INT,
    CONFIG_BOOL,
    CONFIG_DURATION_MS,
    CONFIG_BYTES
} config_type_t;

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
 * true, on, yes, a number and their opposites. An empty value counts as not given, except of a list and of a
 * string without a default. Lookups and overrides may come from any thread. Reads: table defaults < `file`
 * (config_file.h; may be NULL) < process environment. A value that does not parse is an error naming the key
 * (never its value). `keys` ends with names == NULL. */
err_t *config_load(pool_t *errors, const config_key_t *keys, const char *file, config_t **out) MUST_CHECK;
void config_destroy(config_t *config);

/* Lookups by any name of the key. An unknown name is a bug and ends the process. Borrowed until destroy. */
str_t config_str(const config_t *config, const char *name);   /* null string: unset */
int64_t config_int(const config_t *config, const char *name); /* ms for durations, bytes for sizes */
bool config_bool(const config_t *config, const char *name);
bool config_is_set(const config_t *config, const char *name);
bool config_is_given(const config_t *config, const char *name); /* other than by its default */
const config_key_t *config_keys(const config_t *config);        /* the table that it was loaded with */

typedef struct {
    str_t name, value;
} config_entry_t;

/* An open family of names: those of environment and file that begin with `prefix`, which is cut off; the
 * environment's win. Copied into `pool`. */
size_t config_family(const config_t *config, pool_t *pool, str_t prefix, const config_entry_t **out);

/* Takes the values of all keys that are not reloadable from `old`, loaded with the same table. */
void config_keep_fixed(config_t *config, const config_t *old);

/* Whether both, loaded with the same table, say the same. */
bool config_equals(const config_t *a, const config_t *b);

/* Overrides one value (in-database configuration); false when it does not parse. */
bool config_override(config_t *config, str_t name, str_t value);

/* NAME="value" lines; secrets as "<redacted>" unless `reveal`. */
void config_dump(const config_t *config, buf_t *out, bool reveal);

#endif
