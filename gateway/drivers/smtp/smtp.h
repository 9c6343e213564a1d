/* Sends one mail through an SMTP server: blocking, by libcurl. Worker threads only. */
#ifndef DRIVERS_SMTP_SMTP_H
#define DRIVERS_SMTP_SMTP_H

#include "base/err.h"
#include "base/pool.h"
#include "base/target.h"

typedef enum {
    SMTP_TLS_AUTO, /* port 465: TLS from the start; else STARTTLS, required as soon as there is a password */
    SMTP_TLS_REQUIRED, /* STARTTLS or nothing */
    SMTP_TLS_NONE
} smtp_tls_t;

typedef struct {
    str_t host;
    uint16_t port;            /* 0: 587 */
    str_t username, password; /* null strings: no authentication */
    smtp_tls_t tls;
    bool is_tls_unverified; /* self-signed servers */
    str_t ca_file;          /* PEM path; null string: the system's */
    target_policy_t addr_policy;
    int timeout_ms; /* whole conversation; 0: 10,000 */
} smtp_server_t;

typedef struct {
    str_t from_address, from_name; /* name may be null */
    const str_t *to;               /* bare addresses */
    size_t to_count;
    str_t subject;    /* UTF-8 */
    str_t html, text; /* either may be null; both: multipart/alternative */
} smtp_message_t;

/* Errors: family upstream. 502: code "refused" (the server said no; the message quotes it, without the
 * password), "auth", "connect", "address", "tls" or "protocol" (it broke off, or speaks no SMTP); 504
 * "timeout"; 400 "invalid" when host, login, an address or the subject holds a line break or another control
 * character. Logins are PLAIN, LOGIN or CRAM-MD5: nothing of this host's own (Kerberos) is tried. */
err_t *smtp_send(pool_t *pool, const smtp_server_t *server, const smtp_message_t *message) MUST_CHECK;

/* The message as RFC 5322 text with CRLF line ends; null string when it is invalid (see smtp_send). */
str_t smtp_build_message(pool_t *pool, const smtp_message_t *message);

#endif
