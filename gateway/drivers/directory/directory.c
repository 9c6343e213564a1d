#include "drivers/directory/directory.h"

#include "base/buf.h"

#define GROUPS_MAX 500

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
        return (directory_name_t){str_slice(name, 0, at), str_slice(name, at + 1, name.len), false};
    if (slash < name.len)
        return (directory_name_t){str_slice(name, slash + 1, name.len), str_slice(name, 0, slash), true};
    return (directory_name_t){name, STR_NULL, false};
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
    while (domain.len > 0) {
        str_t label = ldap_escape_dn(pool, str_split(&domain, '.'));
        buf_printf(&out, "%sdc=%.*s", out.len > 0 ? "," : "", STR_ARG(label));
    }
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

static ldap_server_t server_of(const directory_t *directory, str_t host, int64_t port, bool is_tls)
{
    return (ldap_server_t){.host = host,
                           .port = (uint16_t)port,
                           .tls = is_tls ? LDAP_TLS_IMPLICIT : LDAP_TLS_TRY,
                           .is_tls_unverified = !directory->is_verified,
                           .ca_pem = directory->ca_pem,
                           .ca_file = directory->ca_file,
                           .addr_policy = directory->addr_policy,
                           .timeout_ms = (int)directory->timeout_s * 1000,
                           .deadline_us = directory->deadline_us};
}

/* A login that is right, of somebody whose entry is not here. */
static err_t *no_entry(pool_t *pool)
{
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "entry", "The directory shows no entry of the user");
}

/* --- FreeIPA and its like */

static ldap_server_t ipa_server(const directory_t *directory)
{
    return server_of(directory, directory->server_host,
                     directory->is_tls ? directory->ldaps_port : directory->server_port, directory->is_tls);
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
    err_t *err = ldap_find(pool, &server, has_service ? &service : own, &query, &found);
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
    err_t *err = ldap_find(pool, &server, &login, &query, &found);
    if (err != NULL)
        return err;
    if (found.count != 1)
        return no_entry(pool);
    take_person(pool, &found.entries[0], out);
    str_t uid = text_value(&found.entries[0], "uid");
    out->uid = uid.len > 0 ? uid : user;
    out->realm = pool_upper(pool, domain_of_dn(pool, directory->base_dn));
    out->principal = text_value(&found.entries[0], "krbPrincipalName");
    if (out->principal.len == 0)
        out->principal = pool_concat(pool, 3, out->uid, STR("@"), out->realm);
    return out->group_count > 0 ? NULL : find_groups(pool, directory, &login, out);
}

/* --- Active Directory */

/* Those of the groups found that the person does not have yet. */
static void add_groups(pool_t *pool, const ldap_entries_t *found, directory_person_t *person)
{
    size_t own_count = person->group_count;
    str_t *groups = POOL_ARRAY(pool, str_t, own_count + found->count + 1);
    for (size_t i = 0; i < own_count; i++)
        groups[i] = person->groups[i];
    for (size_t i = 0; i < found->count; i++) {
        bool is_known = !str_is_utf8(found->entries[i].dn);
        for (size_t k = 0; k < own_count && !is_known; k++)
            is_known = str_eq_nocase(groups[k], found->entries[i].dn);
        if (!is_known)
            groups[person->group_count++] = found->entries[i].dn;
    }
    person->groups = groups;
}

static err_t *search_groups(pool_t *pool, const ldap_server_t *server, const ldap_login_t *login, str_t base,
                            str_t filter, directory_person_t *person)
{
    ldap_entries_t found;
    ldap_query_t query = {.base = base,
                          .filter = pool_printf(pool, "(&(objectClass=group)%.*s)", STR_ARG(filter)),
                          .attributes = STR("cn"),
                          .is_subtree = true,
                          .entries_max = GROUPS_MAX};
    err_t *err = ldap_find(pool, server, login, &query, &found);
    bool is_unknown =
        err != NULL && (str_eq(err->code, STR("refused")) || str_eq(err->code, STR("declined")));
    if (err != NULL && !is_unknown) /* with half of the groups the role would be another */
        return err_make(pool, err->status, ERR_FAMILY_UPSTREAM, "groups", "The groups cannot be read");
    add_groups(pool, &found, person);
    return NULL;
}

/* Every account has one group that memberOf does not name: primaryGroupID holds the last part of its SID,
 * whose other parts are the account's own (MS-ADTS 3.1.1.4.5.2, MS-DTYP 2.4.2.2). The null string: not told.
 */
static str_t primary_group_filter(pool_t *pool, const ldap_entry_t *entry)
{
    int64_t id = 0;
    str_t sid = ldap_value(entry, "objectSid");
    bool is_sid = sid.len >= 12 && sid.len == 8 + 4 * (size_t)(unsigned char)sid.base[1];
    if (!is_sid || !str_to_int64(ldap_value(entry, "primaryGroupID"), &id) || id <= 0 || id > UINT32_MAX)
        return STR_NULL;
    buf_t out;
    buf_init(&out, pool, 16 + 3 * sid.len);
    buf_append_lit(&out, "(objectSid=");
    for (size_t i = 0; i < sid.len; i++) {
        bool is_own = i < sid.len - 4;
        unsigned byte =
            is_own ? (unsigned char)sid.base[i] : (unsigned)(id >> 8 * (i - (sid.len - 4))) & 0xff;
        buf_printf(&out, "\\%02x", byte);
    }
    buf_append_lit(&out, ")");
    return buf_str(&out);
}

/* Attributes name only the groups that hold the person himself; the rule "in chain" (MS-ADTS 3.1.1.3.4.4.3)
 * follows groups within groups. Servers without it find nothing, or refuse. */
static err_t *find_ad_groups(pool_t *pool, const ldap_server_t *server, const ldap_login_t *login, str_t base,
                             const ldap_entry_t *entry, directory_person_t *person)
{
    size_t direct = person->group_count;
    str_t primary = primary_group_filter(pool, entry), holders = STR_NULL;
    err_t *err = str_is_null(primary) ? NULL : search_groups(pool, server, login, base, primary, person);
    if (err != NULL)
        return err;
    holders = pool_printf(pool, "(member:1.2.840.113556.1.4.1941:=%.*s)",
                          STR_ARG(ldap_escape_filter(pool, person->dn)));
    if (person->group_count > direct)
        holders = pool_printf(pool, "(|%.*s(member:1.2.840.113556.1.4.1941:=%.*s))", STR_ARG(holders),
                              STR_ARG(ldap_escape_filter(pool, person->groups[direct])));
    return search_groups(pool, server, login, base, holders, person);
}

static ldap_server_t ad_server(const directory_t *directory)
{
    return server_of(directory, directory->ad_host, directory->ad_port, directory->is_ad_tls);
}

static err_t *no_such_user(pool_t *pool)
{
    return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "credentials", "Invalid credentials");
}

/* First value of an attribute of one entry, read by `login`; the null string when there is none. */
static err_t *read_value(pool_t *pool, const ldap_server_t *server, const ldap_login_t *login,
                         const ldap_query_t *query, str_t *out)
{
    ldap_entries_t found;
    err_t *err = ldap_find(pool, server, login, query, &found);
    *out = err == NULL && found.count == 1 ? text_value(&found.entries[0], pool_cstr(pool, query->attributes))
                                           : STR_NULL;
    return err;
}

/* The domain behind a name as NetBIOS has it, which need not be a part of the DNS name: the directory is
 * asked, with the login itself, so that nobody learns names without one. Only configured domains count: a
 * forest may trust others whose people have the same account names. */
static err_t *find_netbios_domain(pool_t *pool, const directory_t *directory, const directory_name_t *name,
                                  str_t password, str_t *out)
{
    ldap_server_t server = ad_server(directory);
    ldap_login_t login = {pool_concat(pool, 3, name->domain, STR("\\"), name->user), password};
    str_t configuration = STR_NULL, dn = STR_NULL;
    ldap_query_t root = {.base = STR(""), .attributes = STR("configurationNamingContext")};
    err_t *err = read_value(pool, &server, &login, &root, &configuration);
    ldap_query_t partition = {.base = pool_concat(pool, 2, STR("CN=Partitions,"), configuration),
                              .filter = pool_printf(pool, "(&(objectClass=crossRef)(nETBIOSName=%.*s))",
                                                    STR_ARG(ldap_escape_filter(pool, name->domain))),
                              .attributes = STR("nCName"),
                              .is_subtree = true,
                              .entries_max = 2};
    if (err == NULL && configuration.len > 0)
        err = read_value(pool, &server, &login, &partition, &dn);
    if (err != NULL)
        return err;
    *out = find_ad_domain(directory, domain_of_dn(pool, dn));
    return str_is_null(*out) ? no_such_user(pool) : NULL;
}

/* The one person of a domain that the filter finds, read by `login`, else by the service account. */
static err_t *read_ad_person(pool_t *pool, const directory_t *directory, const ldap_login_t *login,
                             str_t domain, str_t filter, directory_person_t *out)
{
    ldap_server_t server = ad_server(directory);
    ldap_login_t service = {directory->ad_bind_dn, directory->ad_bind_password};
    ldap_entries_t found;
    ldap_query_t query = {.base = dn_of_domain(pool, domain),
                          .filter = pool_printf(pool, "(&(objectClass=user)%.*s)", STR_ARG(filter)),
                          .attributes =
                              STR("sAMAccountName,userPrincipalName,displayName,cn,givenName,sn,mail,"
                                  "title,department,memberOf,primaryGroupID,objectSid"),
                          .is_subtree = true,
                          .entries_max = 2};
    err_t *err = ldap_find(pool, &server, login, &query, &found);
    bool is_unseen = err == NULL ? found.count == 0 : str_eq(err->code, STR("referral"));
    if (is_unseen && service.name.len > 0 && service.password.len > 0)
        err = ldap_find(pool, &server, &service, &query, &found);
    if (err != NULL)
        return err;
    if (found.count != 1)
        return no_entry(pool);
    take_person(pool, &found.entries[0], out);
    out->uid = text_value(&found.entries[0], "sAMAccountName");
    out->realm = pool_upper(pool, domain);
    out->ad_domain = domain;
    out->principal = text_value(&found.entries[0], "userPrincipalName");
    out->is_ad = true;
    return find_ad_groups(pool, &server, login, query.base, &found.entries[0], out);
}

static err_t *check_ad(pool_t *pool, const directory_t *directory, str_t user, str_t domain, str_t password,
                       directory_person_t *out)
{
    str_t principal = pool_concat(pool, 3, user, STR("@"), domain);
    ldap_login_t login = {principal, password};
    str_t filter =
        pool_printf(pool, "(|(sAMAccountName=%.*s)(userPrincipalName=%.*s))",
                    STR_ARG(ldap_escape_filter(pool, user)), STR_ARG(ldap_escape_filter(pool, principal)));
    err_t *err = read_ad_person(pool, directory, &login, domain, filter, out);
    if (err != NULL)
        return err;
    out->uid = out->uid.len > 0 ? out->uid : user;
    out->principal = out->principal.len > 0 ? out->principal : principal;
    return NULL;
}

/* Whether the login was right although nobody was found by it. */
static bool is_elsewhere(const err_t *err)
{
    return str_eq(err->code, STR("entry")) || str_eq(err->code, STR("referral")) ||
           str_eq(err->code, STR("refused"));
}

/* A principal's suffix need not be its domain's name: a forest may have others (uPNSuffixes). The directory
 * is asked with the login itself; only who has that very principal in a configured domain counts. */
static err_t *check_principal(pool_t *pool, const directory_t *directory, const directory_name_t *name,
                              str_t password, directory_person_t *out)
{
    str_t principal = pool_concat(pool, 3, name->user, STR("@"), name->domain);
    ldap_login_t login = {principal, password};
    str_t filter =
        pool_printf(pool, "(userPrincipalName=%.*s)", STR_ARG(ldap_escape_filter(pool, principal)));
    str_t domain = directory->ad_domain, rest = directory->trusted_domains;
    err_t *last = NULL;
    for (; domain.len > 0; domain = rest.len > 0 ? str_split(&rest, ' ') : STR_NULL) {
        err_t *err = read_ad_person(pool, directory, &login, domain, filter, out);
        if (err == NULL && out->uid.len > 0)
            return NULL;
        if (err != NULL && !is_elsewhere(err))
            return err;
        last = err != NULL && !str_eq(err->code, STR("entry")) ? err : last;
        *out = (directory_person_t){0};
    }
    return last != NULL ? last : no_such_user(pool);
}

static err_t *check_ad_name(pool_t *pool, const directory_t *directory, const directory_name_t *name,
                            str_t domain, str_t password, directory_person_t *out)
{
    if (directory->ad_host.len == 0)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "unconfigured",
                        "AD Domain Controller not configured (ad_dc_host)");
    if (str_is_null(domain))
        return check_principal(pool, directory, name, password, out);
    err_t *err = check_ad(pool, directory, name->user, domain, password, out);
    if (err == NULL || !is_elsewhere(err) || name->is_netbios)
        return err;
    /* What is listed as a domain may be a mere suffix. */
    *out = (directory_person_t){0};
    return check_principal(pool, directory, name, password, out) == NULL ? NULL : err;
}

err_t *directory_check(pool_t *pool, const directory_t *directory, str_t typed, str_t password,
                       directory_person_t *out)
{
    directory_name_t name = directory_split_name(typed);
    str_t own = domain_of_dn(pool, directory->base_dn);
    str_t ad = find_ad_domain(directory, name.domain);
    *out = (directory_person_t){0};
    if (name.user.len == 0 || password.len == 0 || !str_is_utf8(typed))
        return no_such_user(pool);
    bool is_own = name.domain.len == 0 || is_domain(name.domain, own);
    if (str_is_null(ad) && !is_own && name.is_netbios && directory->ad_host.len > 0) {
        err_t *err = find_netbios_domain(pool, directory, &name, password, &ad);
        if (err != NULL)
            return err;
    }
    bool is_suffix = !is_own && !name.is_netbios && directory->ad_host.len > 0;
    if (!str_is_null(ad) || is_suffix)
        return check_ad_name(pool, directory, &name, ad, password, out);
    if (!is_own)
        return no_such_user(pool);
    return check_ipa(pool, directory, name.user, password, out);
}
