/* Where a browser may be sent: GoTrue's allow list, and the URLs that carry results in query or fragment. */
#ifndef AUTH_REDIRECT_H
#define AUTH_REDIRECT_H

#include "base/buf.h"
#include "base/pool.h"

/* Same scheme, host and port as the site (any port on loopback), a literal loopback address, or a match of
 * the comma separated globs ('*' stops at '.' and '/', '**' does not, '?', [a-z]); the fragment is
 * ignored. Numeric and other literal addresses are refused, as is anything with control characters, spaces or
 * backslashes. */
bool redirect_is_allowed(pool_t *pool, str_t site_url, str_t allow_list, str_t url);

/* Form encoding as Go's url.QueryEscape. */
void redirect_append_encoded(buf_t *out, str_t text);

/* name=value pairs, encoded, joined by '&'; names must come sorted. */
typedef struct {
    str_t name, value;
} redirect_pair_t;
str_t redirect_encode_pairs(pool_t *pool, const redirect_pair_t *pairs, size_t count);

/* `url` without its fragment, with `query` added to its query (may be empty) and `fragment` behind '#' (may
 * be empty). */
str_t redirect_build(pool_t *pool, str_t url, str_t query, str_t fragment);

/* The host of a URL (for the TOTP issuer); null string when it is none. */
str_t redirect_host(pool_t *pool, str_t url);

#endif
