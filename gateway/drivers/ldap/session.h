/* Inside of the driver: libldap on our own connection. */
#ifndef LDAP_SESSION_H
#define LDAP_SESSION_H

#include "drivers/ldap/stream.h"

#include <ldap.h>

typedef struct {
    pool_t *pool;
    ldap_stream_t stream;
    LDAP *ld;
} ldap_session_t;

/* Connects, secures the connection as `server` asks, binds. To be closed also after an error. */
err_t *ldap_session_open(ldap_session_t *session, pool_t *pool, const ldap_server_t *server,
                         const ldap_login_t *login) MUST_CHECK;
void ldap_session_close(ldap_session_t *session);

/* All messages of an operation that `sent` (what libldap returned) says was sent; owner: the caller
 * (ldap_msgfree). */
err_t *ldap_session_await(ldap_session_t *session, int sent, int msgid, LDAPMessage **out) MUST_CHECK;

/* What a result code means. */
err_t *ldap_session_explain(pool_t *pool, int code) MUST_CHECK;

#endif
