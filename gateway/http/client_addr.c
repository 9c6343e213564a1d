#include "http/client_addr.h"

#include "base/observe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#define NETWORKS_MAX 256

/* IPv4 is kept as IPv4-mapped IPv6, so that one comparison serves both. */
typedef struct {
    uint8_t bytes[16];
    unsigned prefix;
} network_t;

struct client_addr_set {
    bool has_unix;
    size_t count;
    network_t networks[];
};

static const uint8_t MAPPED_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* `*family_bits` is 32 or 128: how long a prefix of this notation may be. */
static bool parse_addr(str_t text, uint8_t out[16], unsigned *family_bits)
{
    char zero_ended[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(zero_ended))
        return false;
    memcpy(zero_ended, text.base, text.len);
    zero_ended[text.len] = '\0';
    *family_bits = 32;
    if (inet_pton(AF_INET, zero_ended, out + 12) == 1) {
        memcpy(out, MAPPED_PREFIX, sizeof(MAPPED_PREFIX));
        return true;
    }
    *family_bits = 128;
    return inet_pton(AF_INET6, zero_ended, out) == 1;
}

static bool parse_network(str_t text, network_t *out)
{
    str_t rest = text;
    str_t addr = str_split(&rest, '/');
    unsigned bits;
    if (!parse_addr(addr, out->bytes, &bits))
        return false;
    int64_t prefix = bits;
    if (!str_is_null(rest) && (!str_to_int64(rest, &prefix) || prefix < 0 || prefix > bits))
        return false;
    out->prefix = (unsigned)prefix + (128 - bits);
    return true;
}

client_addr_set_t *client_addr_set_create(str_t list)
{
    size_t capacity = 1;
    for (size_t i = 0; i < list.len; i++)
        capacity += list.base[i] == ',';
    capacity = capacity < NETWORKS_MAX ? capacity : NETWORKS_MAX;
    client_addr_set_t *set = calloc(1, sizeof(*set) + capacity * sizeof(set->networks[0]));
    if (set == NULL)
        abort();
    while (!str_is_null(list)) {
        str_t entry = str_trim(str_split(&list, ','));
        if (entry.len == 0)
            continue;
        if (str_eq(entry, STR("unix")))
            set->has_unix = true;
        else if (set->count < capacity && parse_network(entry, &set->networks[set->count]))
            set->count++;
        else
            observe(LOG_WARN, "http_trusted_proxy_ignored", F_STR("entry", entry));
    }
    return set;
}

void client_addr_set_destroy(client_addr_set_t *set)
{
    free(set);
}

static bool is_in_network(const network_t *network, const uint8_t addr[16])
{
    unsigned whole = network->prefix / 8, rest = network->prefix % 8;
    if (memcmp(network->bytes, addr, whole) != 0)
        return false;
    return rest == 0 || (network->bytes[whole] ^ addr[whole]) >> (8 - rest) == 0;
}

bool client_addr_is_in(const client_addr_set_t *set, str_t addr)
{
    if (str_eq(addr, STR("unix")))
        return set->has_unix;
    uint8_t bytes[16];
    unsigned bits;
    if (set->count == 0 || !parse_addr(addr, bytes, &bits))
        return false;
    for (size_t i = 0; i < set->count; i++)
        if (is_in_network(&set->networks[i], bytes))
            return true;
    return false;
}

str_t client_addr_text(const struct sockaddr *addr, socklen_t len, char out[CLIENT_ADDR_TEXT_MAX])
{
    const char *text = NULL;
    if (len >= sizeof(struct sockaddr_in) && addr->sa_family == AF_INET) {
        text = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, out,
                         CLIENT_ADDR_TEXT_MAX);
    } else if (len >= sizeof(struct sockaddr_in6) && addr->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
        if (memcmp(six->s6_addr, MAPPED_PREFIX, sizeof(MAPPED_PREFIX)) == 0)
            text = inet_ntop(AF_INET, six->s6_addr + 12, out, CLIENT_ADDR_TEXT_MAX);
        else
            text = inet_ntop(AF_INET6, six, out, CLIENT_ADDR_TEXT_MAX);
    }
    return text != NULL ? str_from_c(text) : STR("unix");
}

/* "1.2.3.4:5", "[::1]:5" and "::1" without their ports and brackets. */
static str_t strip_port(str_t entry)
{
    if (entry.len != 0 && entry.base[0] == '[')
        return str_slice(entry, 1, str_find_char(entry, ']', 0));
    size_t colon = str_find_char(entry, ':', 0);
    if (colon != SIZE_MAX && str_find_char(entry, ':', colon + 1) == SIZE_MAX)
        return str_slice(entry, 0, colon);
    return entry;
}

str_t client_addr_forwarded(const client_addr_set_t *trusted, str_t list)
{
    str_t found = STR_NULL;
    size_t end = list.len;
    for (;;) {
        size_t from = end;
        while (from > 0 && list.base[from - 1] != ',')
            from--;
        str_t entry = strip_port(str_trim(str_slice(list, from, end)));
        uint8_t bytes[16];
        unsigned bits;
        if (!parse_addr(entry, bytes, &bits))
            return found;
        found = entry;
        if (from == 0 || !client_addr_is_in(trusted, entry))
            return found;
        end = from - 1;
    }
}
