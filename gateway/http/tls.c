#include "http/internal.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

/* Only HTTP/1.1 is offered; a client that asks for h2 alone gets no protocol and falls back or leaves. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
    static const unsigned char offered[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, offered, sizeof(offered) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static err_t *fail(pool_t *errors, SSL_CTX *context, const char *what, const char *file)
{
    char reason[160] = "unknown reason";
    unsigned long number = ERR_peek_last_error();
    if (number != 0)
        ERR_error_string_n(number, reason, sizeof(reason));
    ERR_clear_error();
    SSL_CTX_free(context);
    return err_make(errors, 0, ERR_FAMILY_BUG, "tls", "Cannot use the %s in %s: %s", what, file, reason);
}

err_t *http_tls_create(pool_t *errors, const char *cert, const char *key, SSL_CTX **out)
{
    ERR_clear_error();
    *out = NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return fail(errors, NULL, "TLS library for", cert);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    /* Sessions never move between listeners or across a reload: each context has an id of its own. */
    unsigned char id[16];
    if (RAND_bytes(id, sizeof(id)) != 1 || SSL_CTX_set_session_id_context(context, id, sizeof(id)) != 1)
        return fail(errors, context, "session id for", cert);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
        return fail(errors, context, "certificate", cert);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return fail(errors, context, "private key", key);
    *out = context;
    return NULL;
}

err_t *http_server_reload_tls(http_server_t *server, pool_t *errors)
{
    for (http_listener_t *l = server->listeners; l != NULL; l = l->next) {
        if (l->tls_cert == NULL)
            continue;
        SSL_CTX *fresh;
        err_t *err = http_tls_create(errors, l->tls_cert, l->tls_key, &fresh);
        if (err != NULL)
            return err;
        SSL_CTX_free(l->accept.ssl_ctx); /* live connections hold their own reference */
        l->accept.ssl_ctx = fresh;
    }
    return NULL;
}
