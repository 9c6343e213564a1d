/* Arrays of texts as PostgreSQL writes them. */
#ifndef REST_ARRAY_H
#define REST_ARRAY_H

#include "base/buf.h"

/* `{a,"b c",NULL}` to `["a","b c",null]`: what to_json makes of the array, at half of its cost for the
 * server. Bounds ("[0:1]={..}") are left out as there. */
void rest_array_to_json(buf_t *out, str_t literal);

#endif
