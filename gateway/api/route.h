/* The route table: prefix to handler. The longest prefix wins. */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/context.h"

/* Must answer through api/respond or http_stream, now or later. */
typedef void (*api_handler_fn)(void *arg, api_context_t *ctx);

typedef struct {
    const char *prefix; /* "/rest/v1": matches it and everything below at a '/' */
    api_style_t style;
    api_handler_fn handler;
    void *arg;
    const char *cors_headers; /* allowed request headers besides the common set, or NULL */
    const char *cors_expose;  /* exposed response headers, or NULL */
    bool has_own_cors;        /* the handler answers OPTIONS itself and sets its CORS headers */
} api_route_t;

/* The table itself: made and freed by main. */
struct api_routes *api_routes_create(void);
void api_routes_destroy(struct api_routes *routes);

void api_route_add(gateway_t *gateway, const api_route_t *route); /* copied; before the server listens */

/* The listener's handler (arg = gateway): builds the context, answers preflights, finds the route, logs. */
void api_dispatch(void *gateway, http_request_t *request);

/* The listener's words for errors before a request is complete, in the shape of the route (http_refusal_fn).
 */
str_t api_refusal(void *gateway, pool_t *pool, str_t path, int status, const char *reason,
                  str_t *content_type);

#endif
