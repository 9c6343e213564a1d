/* Media types: names of what a client sends and accepts. Source: PostgREST documentation, "Media types". */
#ifndef REST_MEDIA_H
#define REST_MEDIA_H

#include "rest/ast.h"

/* One media type with parameters; anything unknown is REST_MEDIA_OTHER. */
rest_media_t rest_media_parse(pool_t *pool, str_t text);

/* An Accept header, best first (quality, then specificity, then order). Always at least one (any). */
const rest_media_t *rest_media_accept(pool_t *pool, str_t header, uint32_t *count);

/* "application/json", in the pool or static. */
str_t rest_media_mime(pool_t *pool, const rest_media_t *media);

/* The same with "; charset=utf-8" where the peer adds it. */
str_t rest_media_content_type(pool_t *pool, const rest_media_t *media);

static inline bool rest_media_is_singular(rest_media_kind_t kind)
{
    return kind == REST_MEDIA_SINGULAR || kind == REST_MEDIA_SINGULAR_STRIP;
}

#endif
