/* Is a URL this gateway's own API? Scheduled SQL calls /functions/v1 on it, which usually is loopback. */
#ifndef SCHEDULER_OWN_ADDRESS_H
#define SCHEDULER_OWN_ADDRESS_H

#include "base/config.h"

/* True when the URL's host and port are those of API_EXTERNAL_URL, or of BASALT_LISTEN on this machine. Only
 * plain URLs count: with a user part, escapes or anything else odd in front of the path it is not ours. */
bool own_address_is(const config_t *config, str_t url);

#endif
