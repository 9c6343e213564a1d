/* Who a directory (FreeIPA and its like, Active Directory) says somebody is: bind as the person, read the
 * entry and the groups. Blocking: worker threads only. Knows no accounts, no roles, no locks.
 * docs/functions.md "Sign-in". */
#ifndef DRIVERS_DIRECTORY_DIRECTORY_H
#define DRIVERS_DIRECTORY_DIRECTORY_H

#include "drivers/ldap/ldap.h"

/* Where it is and how it is asked: columns of idm_settings, secrets in clear. Null strings: not set up. */
typedef struct {
    str_t server_host, base_dn, user_base, group_base, bind_dn, bind_password, ca_pem;
    str_t ad_host, ad_domain, ad_bind_dn, ad_bind_password;
    str_t trusted_domains; /* separated by spaces */
    int64_t server_port, ldaps_port, ad_port, timeout_s;
    bool is_tls, is_ad_tls, is_verified;
    str_t ca_file; /* without ca_pem; null string: the system's */
    target_policy_t addr_policy;
    int64_t deadline_us; /* over all exchanges, of clock_mono_us; 0: none */
} directory_t;

/* What the directory proved. Null strings: it did not say. */
typedef struct {
    str_t uid; /* clean name: no domain */
    str_t dn, principal, realm, ad_domain;
    str_t email, full_name, first_name, last_name, title, department;
    const str_t *groups; /* DNs or names */
    size_t group_count;
    bool is_ad;
} directory_person_t;

/* `user`, `user@domain` or `DOMAIN\user`, taken apart; domain may be null. */
typedef struct {
    str_t user, domain;
    bool is_netbios; /* DOMAIN\user */
} directory_name_t;
directory_name_t directory_split_name(str_t typed);

/* Errors as ldap_find; also 401 "credentials" for a domain that is nobody's and for an empty password, 502
 * "entry", "referral" (the login is right, the entry lies on a server that is not asked), "groups",
 * "unconfigured". `*out` lives in `pool`. */
err_t *directory_check(pool_t *pool, const directory_t *directory, str_t typed, str_t password,
                       directory_person_t *out) MUST_CHECK;

#endif
