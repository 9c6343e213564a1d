/* Which values the configuration may have beyond their types. */
#ifndef OPTIONS_CHECK_H
#define OPTIONS_CHECK_H

#include "base/config.h"

/* The first value that cannot be used, in PostgREST's words where it has any; keys and secrets of tokens
 * included. Asked before anything starts, and before a reloaded configuration replaces the one in force. */
err_t *options_check(pool_t *errors, const config_t *config) MUST_CHECK;

/* Of a mode in octal digits (PGRST_SERVER_UNIX_SOCKET_MODE); 0: not one between 600 and 777. */
unsigned options_socket_mode(str_t text);

#endif
