#include "drivers/ldap/ldap.h"

#include "drivers/ldap/session.h"

#define ENTRIES_DEFAULT_MAX 1000
#define PAGE 100
#define ATTRIBUTES_MAX 64

/* Texts go to the library as C strings. */
static bool has_nul(str_t text)
{
    return text.len > 0 && memchr(text.base, '\0', text.len) != NULL;
}

static bool is_login_usable(const ldap_login_t *login)
{
    bool is_anonymous = str_is_null(login->name) && str_is_null(login->password);
    return is_anonymous || (login->name.len > 0 && login->password.len > 0 && !has_nul(login->name) &&
                            !has_nul(login->password));
}

/* --- what is asked */

/* Names of attributes as the library wants them; NULL: all. */
static char **attribute_list(pool_t *pool, str_t names)
{
    size_t count = 0;
    char **list = POOL_ARRAY(pool, char *, ATTRIBUTES_MAX + 1);
    while (names.len > 0 && count < ATTRIBUTES_MAX)
        list[count++] = pool_cstr(pool, str_split(&names, ','));
    return count > 0 ? list : NULL;
}

/* One page (`cookie` says which), of the one page that a base entry is. */
static err_t *ask(ldap_session_t *session, const ldap_query_t *query, struct berval *cookie,
                  LDAPMessage **out)
{
    int msgid = 0, sent;
    pool_t *pool = session->pool;
    LDAPControl *page = NULL;
    if (query->is_subtree && ldap_create_page_control(session->ld, PAGE, cookie, 0, &page) != LDAP_SUCCESS)
        return err_bug(pool, "libldap made no control");
    LDAPControl *controls[] = {page, NULL};
    sent = ldap_search_ext(
        session->ld, pool_cstr(pool, query->base), query->is_subtree ? LDAP_SCOPE_SUBTREE : LDAP_SCOPE_BASE,
        pool_cstr(pool, query->filter.len > 0 ? query->filter : STR("(objectClass=*)")),
        attribute_list(pool, query->attributes), 0, controls, NULL, NULL, LDAP_NO_LIMIT, &msgid);
    if (page != NULL)
        ldap_control_free(page);
    return ldap_session_await(session, sent, msgid, out);
}

/* --- what is answered */

static size_t count_values(LDAP *ld, LDAPMessage *entry)
{
    BerElement *at = NULL;
    size_t count = 0;
    for (char *name = ldap_first_attribute(ld, entry, &at); name != NULL;
         name = ldap_next_attribute(ld, entry, at)) {
        struct berval **values = ldap_get_values_len(ld, entry, name);
        count += (size_t)ldap_count_values_len(values);
        ldap_value_free_len(values);
        ldap_memfree(name);
    }
    ber_free(at, 0);
    return count;
}

/* Options behind a name ("memberOf;range=0-1499") are not told. */
static void take_entry(pool_t *pool, LDAP *ld, LDAPMessage *entry, ldap_entry_t *out)
{
    BerElement *at = NULL;
    ldap_value_t *values = POOL_ARRAY(pool, ldap_value_t, count_values(ld, entry) + 1);
    char *dn = ldap_get_dn(ld, entry);
    *out = (ldap_entry_t){.dn = pool_str(pool, str_from_c(dn != NULL ? dn : "")), .values = values};
    ldap_memfree(dn);
    for (char *name = ldap_first_attribute(ld, entry, &at); name != NULL;
         name = ldap_next_attribute(ld, entry, at)) {
        struct berval **found = ldap_get_values_len(ld, entry, name);
        str_t full = str_from_c(name), shown = pool_str(pool, str_split(&full, ';'));
        for (int i = 0; i < ldap_count_values_len(found); i++)
            values[out->value_count++] =
                (ldap_value_t){shown, pool_str(pool, str_make(found[i]->bv_val, found[i]->bv_len))};
        ldap_value_free_len(found);
        ldap_memfree(name);
    }
    ber_free(at, 0);
}

/* The result behind the entries of a page: NULL when there are more in `cookie` or all are there. */
static err_t *take_result(ldap_session_t *session, LDAPMessage *page, struct berval *cookie,
                          const ldap_entries_t *out)
{
    int code = LDAP_OTHER;
    ber_int_t estimate = 0;
    LDAPControl **controls = NULL;
    LDAPMessage *last = NULL;
    for (LDAPMessage *message = ldap_first_message(session->ld, page); message != NULL;
         message = ldap_next_message(session->ld, message))
        last = message;
    if (last == NULL || ldap_msgtype(last) != LDAP_RES_SEARCH_RESULT ||
        ldap_parse_result(session->ld, last, &code, NULL, NULL, NULL, &controls, 0) != LDAP_SUCCESS)
        code = LDAP_DECODING_ERROR;
    LDAPControl *next = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
    ber_memfree(cookie->bv_val);
    *cookie = (struct berval){0};
    if (next != NULL && ldap_parse_pageresponse_control(session->ld, next, &estimate, cookie) != LDAP_SUCCESS)
        *cookie = (struct berval){0};
    ldap_controls_free(controls);
    /* A server's own limit leaves what came; a referral leads to where we do not go. */
    bool is_enough = code == LDAP_SIZELIMIT_EXCEEDED || code == LDAP_PARTIAL_RESULTS ||
                     (code == LDAP_REFERRAL && out->count > 0);
    return is_enough ? NULL : ldap_session_explain(session->pool, code);
}

static void take_entries(ldap_session_t *session, LDAPMessage *page, size_t max, ldap_entries_t *out)
{
    for (LDAPMessage *entry = ldap_first_entry(session->ld, page); entry != NULL && out->count < max;
         entry = ldap_next_entry(session->ld, entry))
        take_entry(session->pool, session->ld, entry, &out->entries[out->count++]);
}

static err_t *find_all(ldap_session_t *session, const ldap_query_t *query, ldap_entries_t *out)
{
    size_t max = query->entries_max > 0 ? query->entries_max : ENTRIES_DEFAULT_MAX;
    struct berval cookie = {0};
    err_t *err = NULL;
    out->entries = POOL_ARRAY(session->pool, ldap_entry_t, max);
    do {
        LDAPMessage *page = NULL;
        err = ask(session, query, &cookie, &page);
        if (err == NULL) {
            take_entries(session, page, max, out);
            err = take_result(session, page, &cookie, out);
        }
        ldap_msgfree(page);
    } while (err == NULL && cookie.bv_len > 0 && out->count < max);
    ber_memfree(cookie.bv_val);
    return err;
}

err_t *ldap_find(pool_t *pool, const ldap_server_t *server, const ldap_login_t *login,
                 const ldap_query_t *query, ldap_entries_t *out)
{
    ldap_session_t session;
    *out = (ldap_entries_t){0};
    if (!is_login_usable(login))
        return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "credentials", "Invalid credentials");
    if (has_nul(query->base) || has_nul(query->filter))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused",
                        "The search of the directory is not valid");
    err_t *err = ldap_session_open(&session, pool, server, login);
    if (err == NULL)
        err = find_all(&session, query, out);
    ldap_session_close(&session);
    return err;
}

str_t ldap_value(const ldap_entry_t *entry, const char *name)
{
    for (size_t i = 0; i < entry->value_count; i++) {
        if (str_eq_nocase(entry->values[i].name, str_from_c(name)))
            return entry->values[i].value;
    }
    return STR_NULL;
}
