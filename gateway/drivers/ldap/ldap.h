/* Directory servers: simple bind and search in one call, by libldap on a connection of our own, so that one
 * deadline bounds everything. Referrals are not followed. Blocking: worker threads only.
 * RFC 4511 (protocol), 4514 and 4515 (texts of names and filters), 2696 (pages). */
#ifndef DRIVERS_LDAP_LDAP_H
#define DRIVERS_LDAP_LDAP_H

#include "base/err.h"
#include "base/pool.h"
#include "base/target.h"

typedef enum {
    LDAP_TLS_NONE,
    LDAP_TLS_TRY,      /* STARTTLS where the server offers it, and then with a certificate that holds */
    LDAP_TLS_STARTTLS, /* required, before anything is told */
    LDAP_TLS_IMPLICIT  /* LDAPS */
} ldap_tls_t;

typedef struct {
    str_t host;
    uint16_t port; /* 0: 636 with LDAPS, else 389 */
    ldap_tls_t tls;
    bool is_tls_unverified; /* neither chain nor name are checked */
    str_t ca_pem;           /* certificates as PEM text; wins over ca_file */
    str_t ca_file;          /* path; null string: the system's */
    target_policy_t addr_policy;
    int timeout_ms;      /* whole exchange; 0: 10,000 */
    int64_t deadline_us; /* of clock_mono_us, when that comes first; 0: none */
} ldap_server_t;

/* Who binds: a DN, or what the server takes in its place (Active Directory: user@domain). Both null strings:
 * nobody (anonymous search). */
typedef struct {
    str_t name, password;
} ldap_login_t;

typedef struct {
    str_t base;         /* DN */
    str_t filter;       /* values in it escaped; null string: (objectClass=*) */
    str_t attributes;   /* separated by commas; null string: all */
    bool is_subtree;    /* else the base entry alone */
    size_t entries_max; /* further ones are not kept; 0: 1,000 */
} ldap_query_t;

typedef struct {
    str_t name, value; /* values may hold any bytes */
} ldap_value_t;

typedef struct {
    str_t dn;
    const ldap_value_t *values; /* one per value, in the server's order */
    size_t value_count;
} ldap_entry_t;

typedef struct {
    ldap_entry_t *entries;
    size_t count;
} ldap_entries_t;

/* Binds, searches, closes. No entry is no error. A login with an empty name or password is refused here,
 * since servers take it for an anonymous bind that succeeds (RFC 4513, 5.1.2). Errors, family upstream: 401
 * "credentials" (unknown name and wrong password alike; details: Active Directory's reason, as "775"), 502
 * "connect", "address", "tls", "refused", "declined" (not offered), "referral" (another server would have to
 * be asked, and nothing came), 504 "timeout". Their messages hold neither names nor passwords. */
err_t *ldap_find(pool_t *pool, const ldap_server_t *server, const ldap_login_t *login,
                 const ldap_query_t *query, ldap_entries_t *out) MUST_CHECK;

/* First value of an attribute (any case), or the null string. */
str_t ldap_value(const ldap_entry_t *entry, const char *name);

/* `text` as an assertion value in a filter, and as a value in a DN. */
str_t ldap_escape_filter(pool_t *pool, str_t text);
str_t ldap_escape_dn(pool_t *pool, str_t text);

#endif
