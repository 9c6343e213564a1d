/* Inside of the driver: a connection with a deadline over everything, TLS included. Blocking. */
#ifndef LDAP_STREAM_H
#define LDAP_STREAM_H

#include "drivers/ldap/ldap.h"

#include <openssl/ssl.h>

typedef struct {
    int fd;
    int64_t deadline_us; /* of clock_mono_us */
    SSL *ssl;            /* NULL: plain */
    size_t taken;        /* bytes that came */
    bool is_late, is_too_large;
} ldap_stream_t;

/* Connects. On an error nothing is left open. */
err_t *ldap_stream_open(pool_t *pool, const ldap_server_t *server, ldap_stream_t *out) MUST_CHECK;
/* The handshake; checks chain and name unless told otherwise. */
err_t *ldap_stream_start_tls(pool_t *pool, const ldap_server_t *server, ldap_stream_t *stream) MUST_CHECK;
void ldap_stream_close(ldap_stream_t *stream);

/* Some bytes, 0 at the end, -1 with errno on failure, also once the deadline has passed. */
ssize_t ldap_stream_read(ldap_stream_t *stream, void *into, size_t len);
ssize_t ldap_stream_write(ldap_stream_t *stream, const void *from, size_t len);

int64_t ldap_stream_left_us(const ldap_stream_t *stream);

#endif
