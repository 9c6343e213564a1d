/* Address ranges as people type them: "10.0.0.0/24", "10.0.0.5-10.0.0.9", "10.0.0.5-9", "fe80::1". IPv4 and
 * IPv6. */
#ifndef DRIVERS_CREDENTIALS_RANGE_H
#define DRIVERS_CREDENTIALS_RANGE_H

#include "base/pool.h"

typedef struct {
    bool is_v6, is_cidr;
    uint8_t first[16], last[16]; /* inclusive; the first 4 bytes for IPv4 */
} range_t;

/* False for anything that is not a range; host bits of a CIDR are allowed. */
bool range_parse(str_t text, range_t *out);

/* `address` may carry a port ("10.0.0.5:8443", "[fe80::1]:443"), which does not count. */
bool range_holds(const range_t *range, str_t address);

/* Addresses of the range as text; network and broadcast address of an IPv4 CIDR shorter than /31 are left
 * out. False when there are more than `max`. */
bool range_expand(const range_t *range, pool_t *pool, size_t max, str_t **out, size_t *count);

/* The address without port and brackets. */
str_t range_host(str_t address);

#endif
