/* The only renderer of results and errors. */
#ifndef API_RESPOND_H
#define API_RESPOND_H

#include "api/context.h"
#include "base/emit.h"

/* Renders `err` in the style of the context's family, with its status and headers, and ends the request. */
void api_respond_error(api_context_t *ctx, const err_t *err);

/* Body of `err` in a style, for answers that are built elsewhere (workers, streams). GoTrue's style has two
 * forms: `api_version` null string = legacy. */
str_t api_error_body(pool_t *pool, api_style_t style, str_t api_version, const err_t *err);
str_t api_error_content_type(api_style_t style);

/* JSON answer; `json` in the request's pool. */
void api_respond_json(api_context_t *ctx, int status, str_t json);

#endif
