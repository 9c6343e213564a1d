/* Sign-in through a directory (FreeIPA, Active Directory): who the directory says somebody is, the account
 * behind it, its role, its session. docs/functions.md "Sign-in". */
#ifndef FUNCTIONS_IDM_H
#define FUNCTIONS_IDM_H

#include "functions/lockout.h"

/* The row of idm_settings, its secrets decrypted. */
typedef struct {
    str_t auth_mode, server_host, base_dn, user_base, group_base, bind_dn, bind_password, ca_pem;
    str_t ad_host, ad_domain, ad_bind_dn, ad_bind_password;
    str_t trusted_domains; /* separated by spaces */
    int64_t server_port, ldaps_port, ad_port, timeout_s, tries_max, lock_minutes, session_minutes;
    bool is_tls, is_ad_tls, is_verified;
} idm_settings_t;

/* What the directory proved. Null strings: it did not say. */
typedef struct {
    str_t uid; /* clean name: no domain */
    str_t dn, principal, realm, ad_domain;
    str_t email, full_name, title, department;
    const str_t *groups; /* DNs or names */
    size_t group_count;
    bool is_ad;
} idm_person_t;

/* `user`, `user@domain` or `DOMAIN\user`, taken apart; domain may be null. */
typedef struct {
    str_t user, domain;
} idm_name_t;
idm_name_t idm_split_name(str_t typed);

/* False after having replied 503 or 403. */
bool idm_load(api_task_t *task, idm_settings_t *out);

/* Binds as the person and reads his entry and groups. Errors as ldap_search; also 401 "credentials" for a
 * domain that is nobody's. */
err_t *idm_directory_check(api_task_t *task, const idm_settings_t *settings, str_t typed, str_t password,
                           idm_person_t *out) MUST_CHECK;

/* Whether a mapping's group is one of the person's: as DNs when both are, else by name; in any case, never in
 * part. */
bool idm_is_member(pool_t *pool, str_t mapped, const idm_person_t *person);
/* The first CN of a DN, what follows the last backslash, or the text itself; lower case. */
str_t idm_group_name(pool_t *pool, str_t group);

/* The address an account goes by: the directory's when it is one, else made of principal, realm or host. */
str_t idm_address(pool_t *pool, const idm_settings_t *settings, const idm_person_t *person);

/* Finds or makes the account, gives it the role the directory grants, and replies with its session, or with
 * the error. True when somebody is signed in. */
bool idm_sign_in(api_task_t *task, const idm_settings_t *settings, const idm_person_t *person);

/* Failure of a sign-in, without a password. */
void idm_audit_failure(api_task_t *task, str_t username, const char *reason);

#endif
