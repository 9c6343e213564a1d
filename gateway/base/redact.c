#include "base/redact.h"

#include "base/buf.h"
#include "base/crypt.h"

#define MASK "[REDACTED]"
enum { DEPTH_MAX = 64, KNOWN_MIN = 4 };

static const char *const SECRET_PARTS[] = {
    "password", "passwd",      "pwd",        "secret",  "token",   "authorization",       "cookie",
    "apikey",   "private_key", "privatekey", "api_key", "api-key", "vmware_soap_session", "community",
};

static bool contains_nocase(str_t text, const char *part)
{
    str_t needle = str_from_c(part);
    for (size_t i = 0; i + needle.len <= text.len; i++)
        if (str_eq_nocase(str_make(text.base + i, needle.len), needle))
            return true;
    return false;
}

bool redact_is_secret_name(str_t name)
{
    for (size_t i = 0; i < sizeof(SECRET_PARTS) / sizeof(SECRET_PARTS[0]); i++)
        if (contains_nocase(name, SECRET_PARTS[i]))
            return true;
    return false;
}

static str_t replace_all(pool_t *pool, str_t text, str_t secret)
{
    size_t at = str_find(text, secret, 0), from = 0;
    if (at == SIZE_MAX)
        return text;
    buf_t out;
    buf_init(&out, pool, text.len);
    for (; at != SIZE_MAX; at = str_find(text, secret, from)) {
        buf_append_str(&out, str_slice(text, from, at));
        buf_append_lit(&out, MASK);
        from = at + secret.len;
    }
    buf_append_str(&out, str_slice(text, from, text.len));
    return buf_str(&out);
}

static size_t find_any(str_t text, const char *stops, size_t from)
{
    for (size_t i = from; i < text.len; i++)
        if (strchr(stops, text.base[i]) != NULL)
            return i;
    return text.len;
}

/* scheme://user:password@host */
static str_t mask_userinfo(pool_t *pool, str_t text)
{
    for (size_t at = str_find(text, STR("://"), 0); at != SIZE_MAX; at = str_find(text, STR("://"), at + 3)) {
        size_t end = find_any(text, "/?# \t\r\n\"'<>", at + 3), sign = SIZE_MAX;
        for (size_t i = at + 3; i < end; i++)
            sign = text.base[i] == '@' ? i : sign;
        if (sign == SIZE_MAX)
            continue;
        text = pool_concat(pool, 3, str_slice(text, 0, at + 3), STR(MASK), str_slice(text, sign, text.len));
    }
    return text;
}

/* ?token=x and &password=x */
static str_t mask_parameters(pool_t *pool, str_t text)
{
    for (size_t at = find_any(text, "?&", 0); at < text.len; at = find_any(text, "?&", at + 1)) {
        size_t equals = find_any(text, "=&# \t\r\n\"'", at + 1);
        if (equals >= text.len || text.base[equals] != '=' ||
            !redact_is_secret_name(str_slice(text, at + 1, equals)))
            continue;
        size_t end = find_any(text, "&# \t\r\n\"'", equals + 1);
        text =
            pool_concat(pool, 3, str_slice(text, 0, equals + 1), STR(MASK), str_slice(text, end, text.len));
    }
    return text;
}

str_t redact_text(pool_t *pool, str_t text, const str_t *known, size_t known_count)
{
    for (size_t i = 0; i < known_count; i++)
        if (known[i].len >= KNOWN_MIN)
            text = replace_all(pool, text, known[i]);
    return mask_parameters(pool, mask_userinfo(pool, text));
}

typedef struct {
    pool_t *pool;
    const str_t *known;
    size_t known_count;
} redact_t;

static json_t *redact_value(const redact_t *r, const json_t *value, int depth);

static json_t *profile_marker(const redact_t *r, const json_t *value)
{
    str_t text = str_make(json_string_value(value), json_string_length(value));
    str_t digest = crypt_sha256_hex(r->pool, text);
    return json_pack("{s:I,s:s%}", "_size", (json_int_t)text.len, "_sha256", digest.base, digest.len);
}

static json_t *redact_object(const redact_t *r, const json_t *value, int depth)
{
    json_t *out = json_object(), *member;
    const char *key;
    bool has_password = false;
    json_object_foreach((json_t *)value, key, member) has_password =
        has_password || contains_nocase(str_from_c(key), "password");
    json_object_foreach((json_t *)value, key, member)
    {
        str_t name = str_from_c(key);
        bool is_secret = redact_is_secret_name(name) || (has_password && contains_nocase(name, "username"));
        bool is_plain = json_is_boolean(member) || json_is_null(member);
        if (str_eq_nocase(name, STR("ImportBuffer")) && json_is_string(member))
            json_object_set_new(out, key, profile_marker(r, member));
        else if (is_secret && !is_plain)
            json_object_set_new(out, key, json_string(MASK));
        else
            json_object_set_new(out, key, redact_value(r, member, depth + 1));
    }
    return out;
}

static json_t *redact_value(const redact_t *r, const json_t *value, int depth)
{
    if (depth > DEPTH_MAX)
        return json_string(MASK);
    if (json_is_object(value))
        return redact_object(r, value, depth);
    if (json_is_array(value)) {
        json_t *out = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(out, redact_value(r, json_array_get(value, i), depth + 1));
        return out;
    }
    if (json_is_string(value)) {
        str_t text = redact_text(r->pool, str_make(json_string_value(value), json_string_length(value)),
                                 r->known, r->known_count);
        return json_stringn(text.base, text.len);
    }
    return json_deep_copy(value);
}

json_t *redact_json(pool_t *pool, const json_t *value, const str_t *known, size_t known_count)
{
    redact_t r = {pool, known, known_count};
    return redact_value(&r, value, 0);
}
