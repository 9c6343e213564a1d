/* Who is calling: peer addresses as text, and what trusted proxies say about the caller behind them. */
#ifndef HTTP_CLIENT_ADDR_H
#define HTTP_CLIENT_ADDR_H

#include "base/pool.h"

#include <sys/socket.h>

#define CLIENT_ADDR_TEXT_MAX 48

/* A set of networks. "unix" in the list stands for peers on unix sockets. */
typedef struct client_addr_set client_addr_set_t;

/* Comma separated addresses and CIDR blocks; entries that do not parse are left out and logged. Never NULL.
 */
client_addr_set_t *client_addr_set_create(str_t list);
void client_addr_set_destroy(client_addr_set_t *set);

/* True when the address (text, port not included) lies in one of the networks. */
bool client_addr_is_in(const client_addr_set_t *set, str_t addr);

/* Text of a socket address without port: IPv4 also when mapped into IPv6, "unix" for unix sockets. */
str_t client_addr_text(const struct sockaddr *addr, socklen_t len, char out[CLIENT_ADDR_TEXT_MAX]);

/* The address that the nearest untrusted hop of an X-Forwarded-For list names: walks from the right while
 * addresses are trusted. Null string when the last entry is no address. Borrowed from `list`. */
str_t client_addr_forwarded(const client_addr_set_t *trusted, str_t list);

#endif
