#include "functions/idm.h"

/* The end of the part of a DN that begins at `from`: the next comma that is not escaped. */
static size_t part_end(str_t dn, size_t from)
{
    while (from < dn.len && dn.base[from] != ',')
        from += dn.base[from] == '\\' ? 2 : 1;
    return from < dn.len ? from : dn.len;
}

static bool is_dn(str_t text)
{
    size_t equals = str_find_char(text, '=', 0);
    return equals != SIZE_MAX && equals > 0 && str_find_char(str_slice(text, 0, equals), ' ', 0) == SIZE_MAX;
}

str_t idm_group_name(pool_t *pool, str_t group)
{
    for (size_t at = 0; is_dn(group) && at < group.len;) {
        size_t end = part_end(group, at);
        str_t part = str_trim(str_slice(group, at, end));
        if (part.len > 3 && str_eq_nocase(str_slice(part, 0, 3), STR("cn=")))
            return pool_lower(pool, str_trim(str_slice(part, 3, part.len)));
        at = end + 1;
    }
    size_t from = 0;
    for (size_t i = 0; i < group.len; i++) {
        if (group.base[i] == '\\')
            from = i + 1;
    }
    return pool_lower(pool, str_trim(str_slice(group, from, group.len)));
}

/* Lower case, without white space around the parts. */
static str_t normal_dn(pool_t *pool, str_t dn)
{
    buf_t out;
    buf_init(&out, pool, dn.len + 1);
    for (size_t at = 0; at < dn.len;) {
        size_t end = part_end(dn, at);
        if (out.len > 0)
            buf_append_char(&out, ',');
        str_t part = str_trim(str_slice(dn, at, end));
        size_t equals = str_find_char(part, '=', 0);
        if (equals != SIZE_MAX) {
            buf_append_str(&out, str_trim(str_slice(part, 0, equals)));
            buf_append_char(&out, '=');
            part = str_trim(str_slice(part, equals + 1, part.len));
        }
        buf_append_str(&out, part);
        at = end + 1;
    }
    return pool_lower(pool, buf_str(&out));
}

bool idm_is_member(pool_t *pool, str_t mapped, const directory_person_t *person)
{
    str_t name = idm_group_name(pool, mapped);
    for (size_t i = 0; i < person->group_count && name.len > 0; i++) {
        str_t group = person->groups[i];
        bool is_same = is_dn(mapped) && is_dn(group) ? str_eq(normal_dn(pool, mapped), normal_dn(pool, group))
                                                     : str_eq(name, idm_group_name(pool, group));
        if (is_same)
            return true;
    }
    return false;
}

/* local@host.tld without blanks; directories write "[]" and "None" for nothing. */
static bool is_address(str_t text)
{
    size_t at = str_find_char(text, '@', 0);
    if (at == SIZE_MAX || at == 0 || str_find_char(text, '@', at + 1) != SIZE_MAX || text.len > 254)
        return false;
    str_t host = str_slice(text, at + 1, text.len);
    size_t dot = str_find_char(host, '.', 0);
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.base[i] <= ' ' || strchr("<>,;\"()[]\\", text.base[i]) != NULL)
            return false;
    }
    return dot != SIZE_MAX && dot > 0 && dot + 1 < host.len;
}

static str_t plain_name(pool_t *pool, str_t name)
{
    str_t copy = pool_lower(pool, name);
    char *bytes = (char *)copy.base;
    for (size_t i = 0; i < copy.len; i++) {
        bool is_plain = (bytes[i] >= 'a' && bytes[i] <= 'z') || (bytes[i] >= '0' && bytes[i] <= '9') ||
                        (bytes[i] != '\0' && strchr("._-", bytes[i]) != NULL);
        if (!is_plain)
            bytes[i] = '_';
    }
    return copy;
}

str_t idm_address(pool_t *pool, const idm_settings_t *settings, const directory_person_t *person)
{
    str_t name = plain_name(pool, person->uid);
    str_t candidates[] = {
        person->email,
        person->principal,
        person->is_ad && person->realm.len > 0 ? pool_concat(pool, 3, name, STR("@"), person->realm)
                                               : STR_NULL,
        settings->directory.server_host.len > 0
            ? pool_concat(pool, 3, name, STR("@"), settings->directory.server_host)
            : STR_NULL,
        person->realm.len > 0 ? pool_concat(pool, 3, name, STR("@"), person->realm) : STR_NULL,
    };
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        if (is_address(candidates[i]))
            return pool_lower(pool, candidates[i]);
    }
    return pool_concat(pool, 2, name, STR("@idm.local.invalid"));
}
