#include "drivers/ldap/stream.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_MS 10000
#define ANSWER_MAX (4u << 20) /* bytes of a whole exchange */

err_t *ldap_stream_open(pool_t *pool, const ldap_server_t *server, ldap_stream_t *out)
{
    int timeout_ms = server->timeout_ms > 0 ? server->timeout_ms : TIMEOUT_DEFAULT_MS;
    uint16_t port = server->port != 0 ? server->port : server->tls == LDAP_TLS_IMPLICIT ? 636 : 389;
    target_socket_t connected;
    *out = (ldap_stream_t){.fd = -1, .deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000};
    if (server->deadline_us != 0 && server->deadline_us < out->deadline_us)
        out->deadline_us = server->deadline_us;
    err_t *err = target_connect(pool, server->host, port, server->addr_policy,
                                (int)(ldap_stream_left_us(out) / 1000) + 1, &connected);
    if (err == NULL)
        out->fd = connected.fd;
    else if (str_eq(err->code, STR("address")))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "address",
                        "The directory server's address is not allowed as a target");
    else if (str_eq(err->code, STR("connect")))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "connect", "The directory server cannot be reached");
    else
        return err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout",
                        "The directory server did not answer in time");
    return NULL;
}

void ldap_stream_close(ldap_stream_t *stream)
{
    SSL_free(stream->ssl);
    if (stream->fd >= 0)
        close(stream->fd);
    *stream = (ldap_stream_t){.fd = -1};
}

int64_t ldap_stream_left_us(const ldap_stream_t *stream)
{
    int64_t left = stream->deadline_us - clock_mono_us();
    return left > 0 ? left : 0;
}

/* False once the deadline has passed. */
static bool wait_for(ldap_stream_t *stream, short events)
{
    struct pollfd poller = {.fd = stream->fd, .events = events};
    int ready = 0;
    while (ready == 0 && !stream->is_late) {
        int64_t left = ldap_stream_left_us(stream);
        stream->is_late = left == 0;
        ready = stream->is_late ? 0 : poll(&poller, 1, (int)(left / 1000) + 1);
        if (ready < 0 && errno == EINTR)
            ready = 0;
    }
    if (stream->is_late)
        errno = ETIMEDOUT;
    return ready > 0;
}

/* --- TLS */

/* Whether the call that returned `result` is to be repeated, once the socket is ready for it. */
static bool wants_again(ldap_stream_t *stream, int result)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(stream, POLLIN);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(stream, POLLOUT);
    default:
        errno = stream->is_late ? ETIMEDOUT : EIO;
        return false;
    }
}

static bool add_pem(SSL_CTX *context, str_t pem)
{
    BIO *bio = BIO_new_mem_buf(pem.base, (int)pem.len);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509 *cert;
    int count = 0;
    while (bio != NULL && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, cert);
        X509_free(cert);
    }
    BIO_free(bio);
    return count > 0;
}

static bool trust(pool_t *pool, SSL_CTX *context, const ldap_server_t *server)
{
    if (server->is_tls_unverified)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (server->ca_pem.len > 0)
        return add_pem(context, server->ca_pem);
    if (server->ca_file.len > 0)
        return SSL_CTX_load_verify_file(context, pool_cstr(pool, server->ca_file)) == 1;
    return SSL_CTX_set_default_verify_paths(context) == 1;
}

/* The name that the certificate must hold, and that a server of many names is told. */
static bool set_name(pool_t *pool, SSL *ssl, str_t host)
{
    unsigned char address[16];
    bool has_brackets = host.len > 2 && host.base[0] == '[';
    char *name = pool_cstr(pool, has_brackets ? str_slice(host, 1, host.len - 1) : host);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static err_t *refuse(pool_t *pool, const char *why)
{
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "tls", "No secure connection to the directory server: %s",
                    why);
}

static err_t *shake_hands(pool_t *pool, ldap_stream_t *stream)
{
    int result;
    do
        result = SSL_connect(stream->ssl);
    while (result != 1 && wants_again(stream, result));
    if (result == 1)
        return NULL;
    if (stream->is_late)
        return err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout",
                        "The directory server did not answer in time");
    long verdict = SSL_get_verify_result(stream->ssl);
    return refuse(pool,
                  verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : "the handshake failed");
}

err_t *ldap_stream_start_tls(pool_t *pool, const ldap_server_t *server, ldap_stream_t *stream)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    err_t *err = NULL;
    ERR_clear_error();
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        !trust(pool, context, server))
        err = refuse(pool, "the certificates of authorities cannot be read");
    if (err == NULL)
        stream->ssl = SSL_new(context);
    if (err == NULL && (stream->ssl == NULL || !set_name(pool, stream->ssl, server->host) ||
                        SSL_set_fd(stream->ssl, stream->fd) != 1))
        err = refuse(pool, "the server's name cannot be checked");
    SSL_CTX_free(context);
    if (err == NULL)
        err = shake_hands(pool, stream);
    ERR_clear_error();
    return err;
}

/* --- bytes */

static ssize_t read_tls(ldap_stream_t *stream, void *into, size_t len)
{
    int result;
    ERR_clear_error();
    do
        result = SSL_read(stream->ssl, into, (int)(len < INT32_MAX ? len : INT32_MAX));
    while (result <= 0 && wants_again(stream, result));
    return result > 0 ? result : SSL_get_error(stream->ssl, result) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t read_plain(ldap_stream_t *stream, void *into, size_t len)
{
    ssize_t result;
    do
        result = recv(stream->fd, into, len, MSG_DONTWAIT);
    while (result < 0 && (errno == EAGAIN || errno == EINTR) && wait_for(stream, POLLIN));
    return result;
}

ssize_t ldap_stream_read(ldap_stream_t *stream, void *into, size_t len)
{
    if (stream->taken > ANSWER_MAX || ldap_stream_left_us(stream) == 0) {
        stream->is_too_large = stream->taken > ANSWER_MAX;
        stream->is_late = !stream->is_too_large;
        errno = EIO;
        return -1;
    }
    ssize_t got = stream->ssl != NULL ? read_tls(stream, into, len) : read_plain(stream, into, len);
    stream->taken += got > 0 ? (size_t)got : 0;
    return got;
}

ssize_t ldap_stream_write(ldap_stream_t *stream, const void *from, size_t len)
{
    ssize_t result;
    if (stream->ssl == NULL) {
        do
            result = send(stream->fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (result < 0 && (errno == EAGAIN || errno == EINTR) && wait_for(stream, POLLOUT));
        return result;
    }
    ERR_clear_error();
    do
        result = SSL_write(stream->ssl, from, (int)(len < INT32_MAX ? len : INT32_MAX));
    while (result <= 0 && wants_again(stream, (int)result));
    return result > 0 ? result : -1;
}
