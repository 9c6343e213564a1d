/* The built UI: files below BASALT_UI_DIR, index.html for paths without a file (single-page routing). Read at
 * start and on reload into memory; nothing outside the directory can be named. */
#ifndef SITE_SITE_H
#define SITE_SITE_H

#include "api/gateway.h"

/* The files live in `process_pool`. */
void site_register(gateway_t *gateway, pool_t *process_pool);

#endif
