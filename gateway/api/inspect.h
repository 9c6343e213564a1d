/* What rooms can show of their live state; the admin listener prints it without knowing them. Loop thread
 * only. */
#ifndef API_INSPECT_H
#define API_INSPECT_H

#include "api/gateway.h"

/* The registry itself: made and freed by main. */
struct api_inspect *api_inspect_create(void);
void api_inspect_destroy(struct api_inspect *inspect);

/* `write` appends one JSON value. `name` is a literal: "pools", "sockets", "topics", "schema". */
void api_inspect_add(gateway_t *gateway, const char *name, void (*write)(void *arg, buf_t *out), void *arg);
/* Readiness: every registered check must say true; `why` is a literal shown when it does not. */
void api_ready_add(gateway_t *gateway, const char *why, bool (*is_ready)(void *arg), void *arg);

/* Used by admin. */
bool api_inspect_write(gateway_t *gateway, str_t name, buf_t *out); /* false: unknown name */
void api_inspect_names(gateway_t *gateway, buf_t *out);             /* JSON array */
const char *api_not_ready(gateway_t *gateway);                      /* NULL: ready */

#endif
