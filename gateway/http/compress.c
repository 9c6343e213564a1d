#include "http/compress.h"

#include <stdlib.h>
#include <zlib.h>

#define LEVEL 1 /* a third of the size for a fifth of the time of the default */
#define GZIP_WINDOW (15 + 16)
#define MEMORY_LEVEL 8

/* "gzip;q=0.5" names gzip with a weight; only zero weights refuse. */
static bool is_zero_weight(str_t parameters)
{
    size_t at = str_find(parameters, STR("q="), 0);
    if (at == SIZE_MAX)
        return false;
    str_t weight = str_trim(str_slice(parameters, at + 2, parameters.len));
    for (size_t i = 0; i < weight.len; i++)
        if (weight.base[i] != '0' && weight.base[i] != '.')
            return false;
    return weight.len != 0;
}

bool compress_is_accepted(str_t accept_encoding)
{
    bool takes_any = false;
    while (!str_is_null(accept_encoding)) {
        str_t rest = str_split(&accept_encoding, ',');
        str_t coding = str_trim(str_split(&rest, ';'));
        if (str_eq_nocase(coding, STR("gzip")))
            return !is_zero_weight(rest);
        if (str_eq(coding, STR("*")))
            takes_any = !is_zero_weight(rest);
    }
    return takes_any;
}

bool compress_is_worthwhile(str_t content_type)
{
    static const char *const kinds[] = {"text/", "application/json", "application/javascript",
                                        "application/xml", "image/svg+xml"};
    str_t type = str_trim(str_split(&content_type, ';'));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_starts_with(type, str_from_c(kinds[i])))
            return !str_eq(type, STR("text/event-stream"));
    return str_ends_with(type, STR("+json"));
}

bool compress_gzip(pool_t *pool, str_t in, str_t *out)
{
    z_stream stream = {0};
    if (in.len < 64 || in.len > COMPRESS_MAX ||
        deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    char *bytes = malloc(in.len); /* no room beyond it: then it is not worth it */
    if (bytes == NULL)
        abort();
    stream.next_in = (Bytef *)in.base;
    stream.avail_in = (uInt)in.len;
    stream.next_out = (Bytef *)bytes;
    stream.avail_out = (uInt)in.len;
    bool is_smaller = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (is_smaller)
        *out = pool_str(pool, str_make(bytes, stream.total_out));
    deflateEnd(&stream);
    free(bytes);
    return is_smaller;
}
