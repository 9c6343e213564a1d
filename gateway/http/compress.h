/* gzip of whole answers, for clients that take it. */
#ifndef HTTP_COMPRESS_H
#define HTTP_COMPRESS_H

#include "base/pool.h"

/* Larger answers are sent as they are: compressing happens on the loop's thread and must stay within
 * milliseconds. */
#define COMPRESS_MAX (256u << 10)

/* True when an Accept-Encoding list takes gzip (RFC 9110 section 12.5.3: named or by "*", and not with q=0).
 */
bool compress_is_accepted(str_t accept_encoding);

/* True for media types that are text: JSON in all its forms, text, XML, scripts, CSV. */
bool compress_is_worthwhile(str_t content_type);

/* False when it would not become smaller. */
bool compress_gzip(pool_t *pool, str_t in, str_t *out);

#endif
