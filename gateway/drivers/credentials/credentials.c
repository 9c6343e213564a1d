#include "drivers/credentials/credentials.h"

#include "base/crypt.h"
#include "base/read_json.h"
#include "drivers/credentials/range.h"
#include "drivers/credentials/secret.h"

#include <stdlib.h>

typedef struct {
    const json_t *set;
    int64_t range_priority;
    str_t range;
} ranked_set_t;

void credential_wipe(credential_t *credential)
{
    if (credential->password.len > 0)
        crypt_wipe((char *)credential->password.base, credential->password.len);
    credential->password = STR_NULL;
}

static bool is_idrac_set(const json_t *set)
{
    str_t type = read_json_str(set, "credential_type");
    return type.len == 0 || str_eq(type, STR("idrac"));
}

static const json_t *find_set(const credential_book_t *book, str_t id)
{
    const json_t *set;
    size_t index;
    json_array_foreach(book->sets, index, set)
    {
        if (id.len > 0 && str_eq(read_json_str(set, "id"), id))
            return set;
    }
    return NULL;
}

/* *is_found: false when user or password is missing: go on with the next source. */
static err_t *decipher(const credential_book_t *book, pool_t *pool, str_t username, str_t encrypted,
                       str_t source, credential_t *out, bool *is_found)
{
    *is_found = false;
    if (username.len == 0 || encrypted.len == 0)
        return NULL;
    str_t password = STR_NULL;
    if (book->key.len == 0)
        return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "undecipherable",
                        "Cannot decrypt credentials - encryption key not configured (%.*s)", STR_ARG(source));
    if (!secret_decrypt(pool, book->key, encrypted, &password))
        return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "undecipherable",
                        "Cannot decrypt credentials - the encryption key does not fit (%.*s)",
                        STR_ARG(source));
    if (password.len == 0)
        return NULL;
    *out = (credential_t){.username = pool_str(pool, username), .password = password, .source = source};
    *is_found = true;
    return NULL;
}

static err_t *from_set(const credential_book_t *book, pool_t *pool, const json_t *set, const char *how,
                       credential_t *out, bool *is_found)
{
    *is_found = false;
    if (set == NULL || !is_idrac_set(set))
        return NULL;
    str_t source = pool_printf(pool, "%s '%.*s'", how, STR_ARG(read_json_str(set, "name")));
    err_t *err = decipher(book, pool, read_json_str(set, "username"),
                          read_json_str(set, "password_encrypted"), source, out, is_found);
    if (*is_found)
        out->set_id = read_json_str(set, "id");
    return err;
}

static int compare_ranked(const void *a, const void *b)
{
    const ranked_set_t *x = a, *y = b;
    int64_t px = read_json_int(x->set, "priority", 100), py = read_json_int(y->set, "priority", 100);
    if (x->range_priority != y->range_priority)
        return x->range_priority < y->range_priority ? -1 : 1;
    if (px != py)
        return px < py ? -1 : 1;
    return str_cmp(read_json_str(x->set, "name"), read_json_str(y->set, "name"));
}

static size_t rank_by_range(const credential_book_t *book, pool_t *pool, str_t address, ranked_set_t **out)
{
    const json_t *row;
    size_t index, count = 0;
    ranked_set_t *ranked = POOL_ARRAY(pool, ranked_set_t, json_array_size(book->ranges) + 1);
    json_array_foreach(book->ranges, index, row)
    {
        range_t range;
        const json_t *set = find_set(book, read_json_str(row, "credential_set_id"));
        if (set == NULL || !is_idrac_set(set) || !range_parse(read_json_str(row, "ip_range"), &range) ||
            !range_holds(&range, address))
            continue;
        ranked[count++] =
            (ranked_set_t){set, read_json_int(row, "priority", 100), read_json_str(row, "ip_range")};
    }
    if (count > 1)
        qsort(ranked, count, sizeof(*ranked), compare_ranked);
    *out = ranked;
    return count;
}

static err_t *from_ranges(const credential_book_t *book, pool_t *pool, str_t address, credential_t *out,
                          bool *is_found)
{
    ranked_set_t *ranked;
    size_t count = rank_by_range(book, pool, address, &ranked);
    *is_found = false;
    for (size_t i = 0; i < count && !*is_found; i++) {
        const char *how = pool_cstr(pool, pool_printf(pool, "range %.*s, set", STR_ARG(ranked[i].range)));
        err_t *err = from_set(book, pool, ranked[i].set, how, out, is_found);
        if (err != NULL)
            return err;
    }
    return NULL;
}

static err_t *from_defaults(const credential_book_t *book, pool_t *pool, credential_t *out, bool *is_found)
{
    const json_t *set;
    size_t index, count = 0;
    ranked_set_t *ranked = POOL_ARRAY(pool, ranked_set_t, json_array_size(book->sets) + 1);
    json_array_foreach(book->sets, index, set)
    {
        if (read_json_bool(set, "is_default", false))
            ranked[count++] = (ranked_set_t){.set = set};
    }
    if (count > 1)
        qsort(ranked, count, sizeof(*ranked), compare_ranked);
    *is_found = false;
    for (size_t i = 0; i < count && !*is_found; i++) {
        err_t *err = from_set(book, pool, ranked[i].set, "default set", out, is_found);
        if (err != NULL)
            return err;
    }
    return NULL;
}

err_t *credential_find(const credential_book_t *book, pool_t *pool, const json_t *server, credential_t *out)
{
    bool is_found = false;
    err_t *err =
        decipher(book, pool, read_json_str(server, "idrac_username"),
                 read_json_str(server, "idrac_password_encrypted"), STR("the server's own"), out, &is_found);
    if (err == NULL && !is_found)
        err = from_set(book, pool, find_set(book, read_json_str(server, "credential_set_id")), "linked set",
                       out, &is_found);
    if (err == NULL && !is_found)
        err = from_set(book, pool, find_set(book, read_json_str(server, "discovered_by_credential_set_id")),
                       "discovering set", out, &is_found);
    if (err == NULL && !is_found)
        err = from_ranges(book, pool, read_json_str(server, "ip_address"), out, &is_found);
    if (err == NULL && !is_found)
        err = from_defaults(book, pool, out, &is_found);
    if (err != NULL || is_found)
        return err;
    if (book->default_username.len == 0 || book->default_password.len == 0)
        return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "no_credentials",
                        "No credentials available for server");
    *out = (credential_t){.username = book->default_username,
                          .password = pool_str(pool, book->default_password),
                          .source = STR("the environment")};
    return NULL;
}

err_t *credential_of_set(const credential_book_t *book, pool_t *pool, str_t set_id, credential_t *out)
{
    bool is_found = false;
    const json_t *set = find_set(book, set_id);
    if (set == NULL)
        return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "no_credentials", "There is no credential set %.*s",
                        STR_ARG(set_id));
    err_t *err = from_set(book, pool, set, "set", out, &is_found);
    if (err == NULL && !is_found)
        err = err_make(pool, 0, ERR_FAMILY_UPSTREAM, "no_credentials",
                       "The credential set '%.*s' is not usable for an iDRAC: %s",
                       STR_ARG(read_json_str(set, "name")),
                       is_idrac_set(set) ? "user or password is missing" : "it is of another type");
    return err;
}

static void add_once(str_t id, str_t *ids, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (str_eq(ids[i], id))
            return;
    ids[(*count)++] = id;
}

size_t credential_candidates(const credential_book_t *book, pool_t *pool, str_t address, const json_t *given,
                             str_t **out)
{
    const json_t *id;
    size_t index, count = 0, picked = 0, ranked_count;
    ranked_set_t *ranked, *wanted = POOL_ARRAY(pool, ranked_set_t, json_array_size(given) + 1);
    ranked_count = rank_by_range(book, pool, address, &ranked);
    json_array_foreach(given, index, id)
    {
        const json_t *set = find_set(book, str_from_c(json_string_value(id)));
        if (set != NULL && is_idrac_set(set))
            wanted[picked++] = (ranked_set_t){.set = set};
    }
    if (picked > 1)
        qsort(wanted, picked, sizeof(*wanted), compare_ranked);
    *out = POOL_ARRAY(pool, str_t, ranked_count + picked + 1);
    for (size_t i = 0; i < ranked_count; i++)
        add_once(read_json_str(ranked[i].set, "id"), *out, &count);
    for (size_t i = 0; i < picked; i++)
        add_once(read_json_str(wanted[i].set, "id"), *out, &count);
    return count;
}
