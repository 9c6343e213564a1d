/* Types whose text costs the server more than the rest of the column: they are asked for in binary, and
 * written here as the server would write them with DateStyle ISO and the time zone UTC. */
#ifndef DB_BINARY_TEXT_H
#define DB_BINARY_TEXT_H

#include "base/str.h"

#define BINARY_TEXT_MAX 40 /* "infinity", a UUID's 36, "294276-12-31 23:59:59.999999+00" */

/* timestamp, timestamptz, uuid */
bool binary_is_cheaper(uint32_t type_oid);

/* Writes the text of a value of such a type, at most BINARY_TEXT_MAX bytes; how many. 0: it has not the size
 * that its type has. */
size_t binary_to_text(char *to, uint32_t type_oid, str_t value);

#endif
