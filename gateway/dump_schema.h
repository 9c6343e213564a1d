/* The command --dump-schema: reads the schema once and prints it (schema/dump.h). */
#ifndef DUMP_SCHEMA_H
#define DUMP_SCHEMA_H

#include "base/config.h"

/* The exit status: 0, or 1 when the schema could not be read, which is then told in the log. `config` holds
 * the settings of the database already. */
int dump_schema(const config_t *config);

#endif
