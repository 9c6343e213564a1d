#include "auth/address.h"

#include "auth/scope.h"

#define EMAIL_MAX 255

str_t address_lower(pool_t *pool, str_t email)
{
    char *out = pool_cstr(pool, email);
    for (size_t i = 0; i < email.len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] + 32);
    return str_make(out, email.len);
}

str_t address_plain_phone(pool_t *pool, str_t phone)
{
    char *out = pool_alloc(pool, phone.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < phone.len; i++)
        if (phone.base[i] != '+' && phone.base[i] != ' ')
            out[len++] = phone.base[i];
    out[len] = '\0';
    return str_make(out, len);
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_local_part(str_t text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.base[i]) && strchr(".!#$%&'*+/=?^_`{|}~-", text.base[i]) == NULL)
            return false;
    return text.len > 0 && str_find_char(text, '\0', 0) == SIZE_MAX;
}

static bool is_domain(str_t text)
{
    while (!str_is_null(text)) {
        str_t label = str_split(&text, '.');
        if (label.len == 0 || label.len > 63 || !is_alnum(label.base[0]) ||
            !is_alnum(label.base[label.len - 1]))
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_alnum(label.base[i]) && label.base[i] != '-')
                return false;
    }
    return true;
}

err_t *address_check_email(pool_t *pool, str_t email, str_t *out)
{
    if (email.len == 0)
        return auth_error(pool, 400, "validation_failed", "An email address is required");
    if (email.len > EMAIL_MAX)
        return auth_error(pool, 400, "validation_failed", "An email address is too long");
    str_t rest = email;
    str_t local = str_split(&rest, '@');
    if (str_is_null(rest) || !is_local_part(local) || !is_domain(rest))
        return auth_error(pool, 400, "validation_failed", "Unable to validate email address: invalid format");
    *out = address_lower(pool, email);
    return NULL;
}

err_t *address_check_phone(pool_t *pool, str_t phone, str_t *out)
{
    *out = address_plain_phone(pool, phone);
    bool is_fine = out->len >= 2 && out->len <= 15 && out->base[0] != '0';
    for (size_t i = 0; i < out->len; i++)
        is_fine &= out->base[i] >= '0' && out->base[i] <= '9';
    return is_fine
               ? NULL
               : auth_error(pool, 400, "validation_failed", "Invalid phone number format (E.164 required)");
}
