/* One line of a configuration file, in either of two forms: NAME=value as in an environment file, and
 * PostgREST's own `db-uri = "postgres://..."`, whose names become those of its environment (PGRST_DB_URI). */
#ifndef BASE_CONFIG_FILE_H
#define BASE_CONFIG_FILE_H

#include "base/pool.h"
#include "base/str.h"

typedef enum {
    CONFIG_LINE_NONE, /* blank, a comment, or no assignment */
    CONFIG_LINE_NAME, /* NAME=value, optionally behind "export ", the value in quotes of either kind or none
                       */
    CONFIG_LINE_POSTGREST, /* name = value: "text" with \" \\ \n, $$ for a dollar sign, $(NAME) from the
                              environment; or a bare word or number; a comment may follow */
    CONFIG_LINE_BROKEN     /* begins like PostgREST's form but does not end like it */
} config_line_t;

/* app.settings.some_name becomes PGRST_APP_SETTINGS_some_name, its case kept. Both results live in `pool`. */
config_line_t config_line_parse(pool_t *pool, str_t line, str_t *name, str_t *value);

#endif
