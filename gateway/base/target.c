#include "base/target.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* --- sockets of the caller's own */

/* The handle of an exchange that ends once it is connected; NULL when `host` is none. */
static CURL *prepare(pool_t *pool, str_t host, uint16_t port, int timeout_ms)
{
    bool is_v6 = str_find_char(host, ':', 0) != SIZE_MAX && host.base[0] != '[';
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.base[i];
        if (c <= ' ' || strchr("/?#@\\\x7f", c) != NULL)
            return NULL;
    }
    CURL *curl = host.len > 0 ? curl_easy_init() : NULL;
    if (curl == NULL)
        return NULL;
    str_t url = pool_printf(pool, is_v6 ? "http://[%.*s]:%u" : "http://%.*s:%u", STR_ARG(host), port);
    curl_easy_setopt(curl, CURLOPT_URL, url.base);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    return curl;
}

static err_t *explain(pool_t *pool, CURLcode code, const target_gate_t *gate)
{
    if (target_was_refused(gate))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "address", "The address is not allowed as a target");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout", "No connection in time");
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "connect", "%s", curl_easy_strerror(code));
}

static int keep_socket(void *arg, curl_socket_t fd)
{
    const int *kept = arg;
    return fd == *kept ? 0 : close(fd);
}

err_t *target_connect(pool_t *pool, str_t host, uint16_t port, target_policy_t policy, int timeout_ms,
                      target_socket_t *out)
{
    target_gate_t gate = {.policy = policy};
    curl_socket_t fd = CURL_SOCKET_BAD;
    char *address = NULL;
    CURL *curl = prepare(pool, host, port, timeout_ms);
    *out = (target_socket_t){.fd = -1};
    if (curl == NULL)
        return explain(pool, CURLE_URL_MALFORMAT, &gate);
    target_guard(curl, &gate);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, keep_socket);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, &fd);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &address);
    if (code == CURLE_OK)
        *out = (target_socket_t){.fd = fd, .address = pool_str(pool, str_from_c(address))};
    curl_easy_cleanup(curl);
    return code == CURLE_OK ? NULL : explain(pool, code, &gate);
}

static curl_socket_t note_address(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    bool *is_resolved = arg;
    (void)purpose;
    (void)addr;
    *is_resolved = true;
    return CURL_SOCKET_BAD;
}

err_t *target_resolve(pool_t *pool, str_t host, int timeout_ms)
{
    target_gate_t gate = {0};
    bool is_resolved = false;
    CURL *curl = prepare(pool, host, 443, timeout_ms);
    if (curl == NULL)
        return explain(pool, CURLE_COULDNT_RESOLVE_HOST, &gate);
    target_guard(curl, &gate);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, note_address);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &is_resolved);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return is_resolved ? NULL : explain(pool, code, &gate);
}
