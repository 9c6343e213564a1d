#include "drivers/directory/directory.h"

#include "base/buf.h"

#define GROUPS_MAX 500

static str_t upper(pool_t *pool, str_t text)
{
    str_t copy = pool_str(pool, text);
    char *bytes = (char *)copy.base;
    for (size_t i = 0; i < copy.len; i++) {
        if (bytes[i] >= 'a' && bytes[i] <= 'z')
            bytes[i] = (char)(bytes[i] - 'a' + 'A');
    }
    return copy;
}

directory_name_t directory_split_name(str_t typed)
{
    str_t name = str_trim(typed);
    size_t at = name.len, slash = name.len;
    for (size_t i = name.len; i > 0; i--) {
        if (name.base[i - 1] == '@' && at == name.len)
            at = i - 1;
        if (name.base[i - 1] == '\\' && slash == name.len)
            slash = i - 1;
    }
    if (at < name.len)
        return (directory_name_t){str_slice(name, 0, at), str_slice(name, at + 1, name.len)};
    if (slash < name.len)
        return (directory_name_t){str_slice(name, slash + 1, name.len), str_slice(name, 0, slash)};
    return (directory_name_t){name, STR_NULL};
}

/* example.test of dc=example,dc=test */
static str_t domain_of_dn(pool_t *pool, str_t dn)
{
    buf_t out;
    buf_init(&out, pool, 64);
    while (dn.len > 0) {
        str_t part = str_trim(str_split(&dn, ','));
        if (part.len > 3 && str_eq_nocase(str_slice(part, 0, 3), STR("dc=")))
            buf_printf(&out, "%s%.*s", out.len > 0 ? "." : "", STR_ARG(str_slice(part, 3, part.len)));
    }
    return buf_str(&out);
}

static str_t dn_of_domain(pool_t *pool, str_t domain)
{
    buf_t out;
    buf_init(&out, pool, 64);
    while (domain.len > 0)
        buf_printf(&out, "%sdc=%.*s", out.len > 0 ? "," : "",
                   STR_ARG(ldap_escape_dn(pool, str_split(&domain, '.'))));
    return buf_str(&out);
}

/* The whole domain or its first label, as Windows writes it. */
static bool is_domain(str_t said, str_t domain)
{
    str_t rest = domain;
    return domain.len > 0 && (str_eq_nocase(said, domain) || str_eq_nocase(said, str_split(&rest, '.')));
}

/* The Active Directory domain that is meant; the null string when it is none of the configured. */
static str_t find_ad_domain(const directory_t *directory, str_t said)
{
    str_t rest = directory->trusted_domains;
    if (said.len == 0)
        return STR_NULL;
    if (is_domain(said, directory->ad_domain))
        return directory->ad_domain;
    while (rest.len > 0) {
        str_t domain = str_split(&rest, ' ');
        if (is_domain(said, domain))
            return domain;
    }
    return STR_NULL;
}

static void take_groups(pool_t *pool, const ldap_entry_t *entry, const char *name, directory_person_t *out)
{
    str_t *groups = POOL_ARRAY(pool, str_t, GROUPS_MAX);
    size_t count = 0;
    for (size_t i = 0; i < entry->value_count && count < GROUPS_MAX; i++) {
        if (str_eq_nocase(entry->values[i].name, str_from_c(name)) && str_is_utf8(entry->values[i].value))
            groups[count++] = entry->values[i].value;
    }
    out->groups = groups;
    out->group_count = count;
}

static str_t text_value(const ldap_entry_t *entry, const char *name)
{
    str_t value = ldap_value(entry, name);
    return str_is_utf8(value) ? value : STR_NULL;
}

static str_t first_of(const ldap_entry_t *entry, const char *const *names)
{
    str_t value = STR_NULL;
    for (; *names != NULL && value.len == 0; names++)
        value = text_value(entry, *names);
    return value;
}

static void take_person(pool_t *pool, const ldap_entry_t *entry, directory_person_t *out)
{
    static const char *const NAMES[] = {"displayName", "cn", NULL};
    static const char *const DEPARTMENTS[] = {"department", "departmentNumber", "ou", NULL};
    out->dn = entry->dn;
    out->email = text_value(entry, "mail");
    out->full_name = first_of(entry, NAMES);
    out->first_name = text_value(entry, "givenName");
    out->last_name = text_value(entry, "sn");
    out->title = text_value(entry, "title");
    out->department = first_of(entry, DEPARTMENTS);
    take_groups(pool, entry, "memberOf", out);
}

/* --- FreeIPA and its like */

static ldap_server_t ipa_server(const directory_t *directory)
{
    return (ldap_server_t){.host = directory->server_host,
                           .port =
                               (uint16_t)(directory->is_tls ? directory->ldaps_port : directory->server_port),
                           .is_tls = directory->is_tls,
                           .is_tls_unverified = !directory->is_verified,
                           .ca_pem = directory->ca_pem,
                           .ca_file = directory->ca_file,
                           .addr_policy = directory->addr_policy,
                           .timeout_ms = (int)directory->timeout_s * 1000};
}

/* A search base may be written with or without the directory's own. */
static str_t full_base(pool_t *pool, str_t base, str_t base_dn)
{
    size_t from = base.len > base_dn.len ? base.len - base_dn.len : 0;
    if (base.len == 0 || str_eq_nocase(str_slice(base, from, base.len), base_dn))
        return base.len == 0 ? base_dn : base;
    return pool_concat(pool, 3, base, STR(","), base_dn);
}

/* Servers without memberOf: the groups name their members. With the service account when there is one. */
static err_t *find_groups(pool_t *pool, const directory_t *directory, const ldap_login_t *own,
                          directory_person_t *person)
{
    ldap_server_t server = ipa_server(directory);
    ldap_login_t service = {directory->bind_dn, directory->bind_password};
    bool has_service = service.name.len > 0 && service.password.len > 0;
    ldap_entries_t found;
    ldap_query_t query = {.base = full_base(pool, directory->group_base, directory->base_dn),
                          .filter = pool_printf(pool, "(|(member=%.*s)(uniqueMember=%.*s)(memberUid=%.*s))",
                                                STR_ARG(ldap_escape_filter(pool, person->dn)),
                                                STR_ARG(ldap_escape_filter(pool, person->dn)),
                                                STR_ARG(ldap_escape_filter(pool, person->uid))),
                          .attributes = STR("cn"),
                          .is_subtree = true,
                          .entries_max = GROUPS_MAX};
    err_t *err = ldap_search(pool, &server, has_service ? &service : own, &query, &found);
    if (err != NULL)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "groups", "The groups cannot be read");
    str_t *groups = POOL_ARRAY(pool, str_t, found.count + 1);
    for (size_t i = 0; i < found.count; i++)
        groups[i] = found.entries[i].dn;
    person->groups = groups;
    person->group_count = found.count;
    return NULL;
}

static err_t *check_ipa(pool_t *pool, const directory_t *directory, str_t user, str_t password,
                        directory_person_t *out)
{
    ldap_server_t server = ipa_server(directory);
    ldap_entries_t found;
    str_t dn = pool_printf(pool, "uid=%.*s,%.*s", STR_ARG(ldap_escape_dn(pool, user)),
                           STR_ARG(full_base(pool, directory->user_base, directory->base_dn)));
    ldap_login_t login = {dn, password};
    ldap_query_t query = {.base = dn,
                          .attributes = STR("uid,cn,displayName,givenName,sn,mail,title,department,"
                                            "departmentNumber,ou,memberOf,krbPrincipalName")};
    err_t *err = ldap_search(pool, &server, &login, &query, &found);
    if (err != NULL)
        return err;
    if (found.count != 1)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "entry", "The directory shows no entry of the user");
    take_person(pool, &found.entries[0], out);
    str_t uid = text_value(&found.entries[0], "uid");
    out->uid = uid.len > 0 ? uid : user;
    out->realm = upper(pool, domain_of_dn(pool, directory->base_dn));
    out->principal = text_value(&found.entries[0], "krbPrincipalName");
    if (out->principal.len == 0)
        out->principal = pool_concat(pool, 3, out->uid, STR("@"), out->realm);
    return out->group_count > 0 ? NULL : find_groups(pool, directory, &login, out);
}

/* --- Active Directory */

static err_t *check_ad(pool_t *pool, const directory_t *directory, const directory_name_t *name, str_t domain,
                       str_t password, directory_person_t *out)
{
    ldap_server_t server = {.host = directory->ad_host,
                            .port = (uint16_t)directory->ad_port,
                            .is_tls = directory->is_ad_tls,
                            .is_tls_unverified = !directory->is_verified,
                            .ca_pem = directory->ca_pem,
                            .ca_file = directory->ca_file,
                            .addr_policy = directory->addr_policy,
                            .timeout_ms = (int)directory->timeout_s * 1000};
    str_t principal = pool_concat(pool, 3, name->user, STR("@"), domain);
    ldap_login_t login = {principal, password},
                 service = {directory->ad_bind_dn, directory->ad_bind_password};
    ldap_entries_t found;
    ldap_query_t query = {
        .base = dn_of_domain(pool, domain),
        .filter = pool_printf(pool, "(&(objectClass=user)(|(sAMAccountName=%.*s)(userPrincipalName=%.*s)))",
                              STR_ARG(ldap_escape_filter(pool, name->user)),
                              STR_ARG(ldap_escape_filter(pool, principal))),
        .attributes =
            STR("sAMAccountName,userPrincipalName,displayName,cn,givenName,sn,mail,title,department,"
                "memberOf"),
        .is_subtree = true,
        .entries_max = 2};
    if (directory->ad_host.len == 0)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "unconfigured",
                        "AD Domain Controller not configured (ad_dc_host)");
    err_t *err = ldap_search(pool, &server, &login, &query, &found);
    if (err == NULL && found.count == 0 && service.name.len > 0 && service.password.len > 0)
        err = ldap_search(pool, &server, &service, &query, &found);
    if (err != NULL)
        return err;
    if (found.count != 1)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "entry", "The directory shows no entry of the user");
    take_person(pool, &found.entries[0], out);
    str_t account = text_value(&found.entries[0], "sAMAccountName");
    out->uid = account.len > 0 ? account : name->user;
    out->realm = upper(pool, domain);
    out->ad_domain = domain;
    out->principal = text_value(&found.entries[0], "userPrincipalName");
    if (out->principal.len == 0)
        out->principal = principal;
    out->is_ad = true;
    return NULL;
}

err_t *directory_check(pool_t *pool, const directory_t *directory, str_t typed, str_t password,
                       directory_person_t *out)
{
    directory_name_t name = directory_split_name(typed);
    str_t own = domain_of_dn(pool, directory->base_dn);
    str_t ad = find_ad_domain(directory, name.domain);
    *out = (directory_person_t){0};
    if (name.user.len == 0 || password.len == 0 || !str_is_utf8(typed))
        return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "credentials", "Invalid credentials");
    if (!str_is_null(ad))
        return check_ad(pool, directory, &name, ad, password, out);
    if (name.domain.len > 0 && !is_domain(name.domain, own))
        return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "credentials", "Invalid credentials");
    return check_ipa(pool, directory, name.user, password, out);
}
