/* One request as every endpoint sees it: pool, identity, timings, ids. Lives in the request's pool. */
#ifndef API_CONTEXT_H
#define API_CONTEXT_H

#include "api/gateway.h"
#include "http/request.h"
#include "token/token.h"

/* Which peer's error shape and header habits an endpoint family has. */
typedef enum {
    API_STYLE_REST,
    API_STYLE_REST_MINIMAL, /* code and message only (PGRST_CLIENT_ERROR_VERBOSITY=minimal) */
    API_STYLE_AUTH,
    API_STYLE_FUNCTION,
    API_STYLE_PLAIN
} api_style_t;

typedef struct {
    gateway_t *gateway;
    http_request_t *request;
    pool_t *pool;
    api_style_t style;
    str_t path;       /* behind the route's prefix, raw, begins with '/' or is empty */
    str_t request_id; /* from X-Request-Id when sane, else made */
    int64_t started_us;
    str_t bearer;               /* Authorization: Bearer, else apikey; null string when neither */
    str_t apikey;               /* the apikey header, may be null */
    bool has_authorization;     /* an Authorization: Bearer header was sent */
    const identity_t *identity; /* set by the first api_identity that succeeds */
} api_context_t;

/* Verifies ctx->bearer (once; later calls return the same). Error as token_verify. */
err_t *api_identity(api_context_t *ctx, const identity_t **out) MUST_CHECK;

#endif
