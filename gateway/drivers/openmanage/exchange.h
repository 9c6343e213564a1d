/* Inside of the driver: one exchange. */
#ifndef OPENMANAGE_EXCHANGE_H
#define OPENMANAGE_EXCHANGE_H

#include "drivers/openmanage/openmanage.h"

/* GET of a path that begins with '/'; `*body` is JSON owned by `pool`. */
err_t *openmanage_get(openmanage_t *openmanage, pool_t *pool, str_t path, json_t **body) MUST_CHECK;

/* The path of a link that the service gave. Error 502 for one that leads elsewhere, where the token would go.
 */
err_t *openmanage_link(const openmanage_t *openmanage, pool_t *pool, str_t link, str_t *path) MUST_CHECK;

#endif
