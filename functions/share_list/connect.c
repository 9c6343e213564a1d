/* connect() of the whole program, libraries included. */
#include "functions/share_list/list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct in_addr allowed_v4;
static struct in6_addr allowed_v6;
static int allowed_family;

bool list_only_to(const char *address)
{
    if (inet_pton(AF_INET, address, &allowed_v4) == 1)
        allowed_family = AF_INET;
    else if (inet_pton(AF_INET6, address, &allowed_v6) == 1)
        allowed_family = AF_INET6;
    return allowed_family != 0;
}

static bool is_allowed(const struct sockaddr *addr)
{
    if (addr->sa_family != allowed_family)
        return false;
    if (addr->sa_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)(const void *)addr)->sin_addr, &allowed_v4,
                      sizeof(allowed_v4)) == 0;
    return memcmp(&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, &allowed_v6,
                  sizeof(allowed_v6)) == 0;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (!is_allowed(addr)) {
        errno = EACCES;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, addr, len);
}
