#include "drivers/credentials/range.h"

#include <arpa/inet.h>

str_t range_host(str_t address)
{
    if (address.len > 0 && address.base[0] == '[')
        return str_slice(address, 1, str_find_char(address, ']', 0));
    size_t colon = str_find_char(address, ':', 0);
    bool is_v6 = colon != SIZE_MAX && str_find_char(address, ':', colon + 1) != SIZE_MAX;
    return is_v6 ? address : str_slice(address, 0, colon);
}

static bool parse_address(str_t text, bool *is_v6, uint8_t out[16])
{
    char copy[INET6_ADDRSTRLEN + 1];
    text = str_trim(text);
    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.base, text.len);
    copy[text.len] = '\0';
    memset(out, 0, 16);
    *is_v6 = str_find_char(text, ':', 0) != SIZE_MAX;
    return inet_pton(*is_v6 ? AF_INET6 : AF_INET, copy, out) == 1;
}

static bool parse_cidr(str_t address, str_t bits_text, range_t *out)
{
    int64_t bits;
    if (!parse_address(address, &out->is_v6, out->first) || !str_to_int64(str_trim(bits_text), &bits) ||
        bits < 0 || bits > (out->is_v6 ? 128 : 32))
        return false;
    out->is_cidr = true;
    for (int i = 0; i < (out->is_v6 ? 16 : 4); i++) {
        int kept = (int)bits - i * 8;
        uint8_t mask = kept >= 8 ? 0xff : (kept <= 0 ? 0 : (uint8_t)(0xff << (8 - kept)));
        out->first[i] &= mask;
        out->last[i] = out->first[i] | (uint8_t)~mask;
    }
    return true;
}

static bool parse_span(str_t from, str_t to, range_t *out)
{
    bool is_v6;
    int64_t tail;
    if (!parse_address(from, &out->is_v6, out->first))
        return false;
    if (!out->is_v6 && str_to_int64(str_trim(to), &tail)) { /* "10.0.0.5-9" */
        memcpy(out->last, out->first, 16);
        out->last[3] = (uint8_t)tail;
        return tail >= out->first[3] && tail <= 255;
    }
    return parse_address(to, &is_v6, out->last) && is_v6 == out->is_v6 &&
           memcmp(out->first, out->last, 16) <= 0;
}

bool range_parse(str_t text, range_t *out)
{
    *out = (range_t){0};
    text = str_trim(text);
    size_t slash = str_find_char(text, '/', 0), dash = str_find_char(text, '-', 0);
    if (slash != SIZE_MAX)
        return parse_cidr(str_slice(text, 0, slash), str_slice(text, slash + 1, text.len), out);
    if (dash != SIZE_MAX)
        return parse_span(str_slice(text, 0, dash), str_slice(text, dash + 1, text.len), out);
    if (!parse_address(text, &out->is_v6, out->first))
        return false;
    memcpy(out->last, out->first, 16);
    return true;
}

bool range_holds(const range_t *range, str_t address)
{
    bool is_v6;
    uint8_t bytes[16];
    if (!parse_address(range_host(address), &is_v6, bytes) || is_v6 != range->is_v6)
        return false;
    return memcmp(bytes, range->first, 16) >= 0 && memcmp(bytes, range->last, 16) <= 0;
}

static bool increment(uint8_t *address, int len)
{
    for (int i = len - 1; i >= 0; i--)
        if (++address[i] != 0)
            return true;
    return false;
}

bool range_expand(const range_t *range, pool_t *pool, size_t max, str_t **out, size_t *count)
{
    int len = range->is_v6 ? 16 : 4;
    uint8_t at[16];
    char text[INET6_ADDRSTRLEN];
    memcpy(at, range->first, 16);
    bool has_ends = range->is_cidr && !range->is_v6 &&
                    (range->last[3] - range->first[3] > 1 || memcmp(range->first, range->last, 3) != 0);
    *out = POOL_ARRAY(pool, str_t, max + 2);
    *count = 0;
    for (;;) {
        bool is_end = memcmp(at, range->first, 16) == 0 || memcmp(at, range->last, 16) == 0;
        if (!(has_ends && is_end)) {
            if (*count >= max)
                return false;
            inet_ntop(range->is_v6 ? AF_INET6 : AF_INET, at, text, sizeof(text));
            (*out)[(*count)++] = pool_str(pool, str_from_c(text));
        }
        if (memcmp(at, range->last, 16) == 0 || !increment(at, len))
            return true;
    }
}
