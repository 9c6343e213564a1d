#include "base/target.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

typedef struct {
    uint32_t first;
    int bits;
} block_t;

/* This host and "this network", link-local with most clouds' metadata, metadata elsewhere (Oracle, Alibaba,
 * Azure), multicast, reserved and broadcast. */
static const block_t REFUSED_V4[] = {{0x00000000, 8},  {0x7f000000, 8},  {0xa9fe0000, 16}, {0xc00000c0, 32},
                                     {0x646464c8, 32}, {0xa83f8110, 32}, {0xe0000000, 3}};

static bool is_refused_v4(uint32_t addr)
{
    for (size_t i = 0; i < sizeof(REFUSED_V4) / sizeof(REFUSED_V4[0]); i++) {
        if ((addr ^ REFUSED_V4[i].first) >> (32 - REFUSED_V4[i].bits) == 0)
            return true;
    }
    return false;
}

typedef struct {
    uint8_t bits, prefix[16];
    int8_t v4_at; /* where an IPv4 address stands in it that decides; -1: refused as a whole */
} prefix_t;

static const prefix_t PREFIXES_V6[] = {
    {96, {[10] = 0xff, [11] = 0xff}, 12},           /* mapped */
    {96, {[8] = 0xff, [9] = 0xff}, 12},             /* translated (SIIT) */
    {96, {0x00, 0x64, 0xff, 0x9b}, 12},             /* NAT64 */
    {48, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, -1}, /* NAT64 with a local prefix */
    {96, {0}, -1},                                  /* unspecified, loopback, IPv4-compatible */
    {16, {0x20, 0x02}, 2},                          /* 6to4 */
    {32, {0x20, 0x01}, -1},                         /* Teredo */
    {10, {0xfe, 0x80}, -1},                         /* link-local */
    {8, {0xff}, -1},                                /* multicast */
    {128, {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, -1}, /* metadata (Amazon) */
};

static bool has_prefix(const uint8_t addr[16], const prefix_t *prefix)
{
    size_t whole = prefix->bits / 8, rest = prefix->bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return memcmp(addr, prefix->prefix, whole) == 0 &&
           (rest == 0 || ((addr[whole] ^ prefix->prefix[whole]) & mask) == 0);
}

static bool is_refused_v6(const uint8_t addr[16])
{
    for (size_t i = 0; i < sizeof(PREFIXES_V6) / sizeof(PREFIXES_V6[0]); i++) {
        if (!has_prefix(addr, &PREFIXES_V6[i]))
            continue;
        if (PREFIXES_V6[i].v4_at < 0)
            return true;
        uint32_t inner;
        memcpy(&inner, addr + PREFIXES_V6[i].v4_at, sizeof(inner));
        return is_refused_v4(ntohl(inner));
    }
    return false;
}

bool target_is_refused(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET)
        return is_refused_v4(ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr));
    if (addr->sa_family == AF_INET6)
        return is_refused_v6(((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr.s6_addr);
    return true;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    target_gate_t *gate = arg;
    (void)purpose;
    if (gate->policy != TARGET_ANY && target_is_refused(&addr->addr)) {
        gate->has_refused = true;
        return CURL_SOCKET_BAD;
    }
    gate->has_allowed = true;
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

void target_guard(void *curl, target_gate_t *gate)
{
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, gate);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* else closing waits for the resolver */
}

bool target_was_refused(const target_gate_t *gate)
{
    return gate->has_refused && !gate->has_allowed;
}
