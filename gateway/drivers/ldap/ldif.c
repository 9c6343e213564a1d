#include "base/crypt.h"
#include "drivers/ldap/ldap.h"

#define ENTRIES_DEFAULT_MAX 1000

/* libcurl writes "DN: name", then per value a tab and "attribute: text" or "attribute:: base64", then an
 * empty line. */
static bool parse_value(pool_t *pool, str_t line, ldap_value_t *out)
{
    size_t colon = str_find_char(line, ':', 0);
    if (colon == SIZE_MAX || colon == 0)
        return false;
    bool is_base64 = colon + 1 < line.len && line.base[colon + 1] == ':';
    str_t text = str_slice(line, colon + (is_base64 ? 2 : 1), line.len);
    if (text.len > 0 && text.base[0] == ' ')
        text = str_slice(text, 1, text.len);
    out->name = pool_str(pool, str_slice(line, 0, colon));
    out->value = text;
    return !is_base64 || crypt_unbase64(pool, str_trim(text), &out->value);
}

static size_t count_lines(str_t text, char first)
{
    size_t count = 0;
    while (!str_is_null(text)) {
        str_t line = str_split(&text, '\n');
        count += line.len > 0 && line.base[0] == first;
    }
    return count;
}

void ldap_parse_ldif(pool_t *pool, str_t text, size_t entries_max, ldap_entries_t *out)
{
    size_t value_max = count_lines(text, '\t'), value_count = 0, entry_max = count_lines(text, 'D');
    ldap_value_t *values = POOL_ARRAY(pool, ldap_value_t, value_max + 1);
    entries_max = entries_max != 0 ? entries_max : ENTRIES_DEFAULT_MAX;
    entry_max = entry_max < entries_max ? entry_max : entries_max;
    *out = (ldap_entries_t){.entries = POOL_ARRAY(pool, ldap_entry_t, entry_max + 1)};
    while (!str_is_null(text)) {
        str_t line = str_split(&text, '\n');
        ldap_value_t value;
        if (str_starts_with(line, STR("DN:")) && parse_value(pool, line, &value)) {
            if (out->count == entry_max)
                return;
            out->entries[out->count++] = (ldap_entry_t){.dn = value.value, .values = values + value_count};
        } else if (out->count > 0 && line.len > 0 && line.base[0] == '\t' &&
                   parse_value(pool, str_slice(line, 1, line.len), &value)) {
            values[value_count++] = value;
            out->entries[out->count - 1].value_count++;
        }
    }
}

str_t ldap_value(const ldap_entry_t *entry, const char *name)
{
    for (size_t i = 0; i < entry->value_count; i++) {
        if (str_eq_nocase(entry->values[i].name, str_from_c(name)))
            return entry->values[i].value;
    }
    return STR_NULL;
}
