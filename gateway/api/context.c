#include "api/context.h"

err_t *api_identity(api_context_t *ctx, const identity_t **out)
{
    if (ctx->identity == NULL) {
        identity_t *identity = POOL_NEW(ctx->pool, identity_t);
        err_t *err = token_verify(ctx->gateway->tokens, ctx->pool, ctx->bearer, identity);
        if (err != NULL)
            return err;
        ctx->identity = identity;
    }
    *out = ctx->identity;
    return NULL;
}
