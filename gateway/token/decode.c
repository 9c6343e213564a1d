#include "token/decode.h"

#include "base/buf.h"
#include "base/crypt.h"

#include <stdlib.h>

#define TOKEN_BYTES_MAX (48 * 1024)
#define HEADER_BYTES_MAX 4096
#define JSON_DEPTH_MAX 32

typedef struct {
    str_t header, payload, signature; /* as transmitted */
} parts_t;

err_t *token_refuse(pool_t *pool, const char *code, const char *message, const char *details)
{
    err_t *err = err_make(pool, 401, ERR_FAMILY_AUTH, code, "%s", message);
    if (details != NULL)
        err_details(pool, err, "%s", details);
    err->headers = pool_printf(
        pool, "WWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"%s\"\r\n", message);
    return err;
}

static err_t *refuse_crypto(pool_t *pool)
{
    return token_refuse(pool, "PGRST301", "JWT cryptographic operation failed", NULL);
}

static err_t *refuse_undecodable(pool_t *pool)
{
    return token_refuse(pool, "PGRST301", "JWT couldn't be decoded", NULL);
}

static err_t *refuse_keys(pool_t *pool, const char *details)
{
    return token_refuse(pool, "PGRST301", "No suitable key or wrong key type", details);
}

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Only the one canonical spelling passes: libjwt's decoder is lenient, and so would be every change of a
 * spare bit. */
static bool is_canonical_base64url(str_t text)
{
    if (text.len == 0 || text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (base64url_value(text.base[i]) < 0)
            return false;
    int last = base64url_value(text.base[text.len - 1]);
    return text.len % 4 == 0 || (last & (text.len % 4 == 2 ? 15 : 3)) == 0;
}

static err_t *split_parts(pool_t *pool, str_t jwt, parts_t *out)
{
    if (jwt.len == 0)
        return token_refuse(pool, "PGRST301", "Empty JWT is sent in Authorization header", NULL);
    if (jwt.len > TOKEN_BYTES_MAX)
        return refuse_undecodable(pool);
    size_t dots = 0;
    for (size_t i = 0; i < jwt.len; i++)
        dots += jwt.base[i] == '.' ? 1 : 0;
    if (dots != 2) {
        str_t message = pool_printf(pool, "Expected 3 parts in JWT; got %zu", dots + 1);
        return token_refuse(pool, "PGRST301", message.base, NULL);
    }
    str_t rest = jwt;
    out->header = str_split(&rest, '.');
    out->payload = str_split(&rest, '.');
    out->signature = rest;
    if (!is_canonical_base64url(out->header) || !is_canonical_base64url(out->payload))
        return refuse_crypto(pool);
    return NULL;
}

/* Nesting is counted before jansson recurses. */
static bool is_shallow(str_t json)
{
    size_t depth = 0;
    bool is_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.base[i];
        if (is_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                is_string = false;
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

static void release_json(void *json)
{
    json_decref(json);
}

/* Base64url JSON object; duplicate members are refused, since two readers could see two tokens. */
static json_t *parse_object(pool_t *pool, str_t encoded, str_t *text)
{
    if (!crypt_unbase64(pool, encoded, text) || !is_shallow(*text))
        return NULL;
    json_t *json = json_loadb(text->base, text->len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    if (json == NULL)
        return NULL;
    pool_on_dispose(pool, release_json, json);
    return json_is_object(json) ? json : NULL;
}

typedef struct {
    jwt_alg_t alg;
    str_t kid; /* null string: none */
} header_t;

static err_t *read_header(pool_t *pool, str_t encoded, header_t *out)
{
    str_t text;
    json_t *json = encoded.len <= HEADER_BYTES_MAX ? parse_object(pool, encoded, &text) : NULL;
    const char *alg = json_string_value(json_object_get(json, "alg"));
    json_t *kid = json_object_get(json, "kid");
    if (alg == NULL || (kid != NULL && !json_is_string(kid)))
        return refuse_undecodable(pool);
    if (json_object_get(json, "crit") != NULL)
        return token_refuse(pool, "PGRST301", "JWT couldn't be decoded",
                            "Critical header parameters are not supported");
    if (strcmp(alg, "none") == 0)
        return token_refuse(pool, "PGRST301", "Wrong or unsupported encoding algorithm",
                            "JWT is unsecured but expected 'alg' was not 'none'");
    out->alg = jwt_str_alg(alg);
    /* libjwt compares without case; the header's spelling is exact (RFC 7515, 4.1.1). */
    if (out->alg == JWT_ALG_NONE || out->alg == JWT_ALG_INVAL || strcmp(jwt_alg_str(out->alg), alg) != 0)
        return refuse_undecodable(pool);
    out->kid = kid != NULL ? str_make(json_string_value(kid), json_string_length(kid)) : STR_NULL;
    return NULL;
}

static bool is_candidate(const token_key_t *key, const header_t *header)
{
    bool kid_fits = str_is_null(header->kid) || str_is_null(key->kid) || str_eq(header->kid, key->kid);
    return kid_fits && (key->algs & TOKEN_ALG_BIT(header->alg)) != 0;
}

static bool is_signed_by(const char *jwt, const token_key_t *key, jwt_alg_t alg)
{
    jwt_t *decoded = NULL;
    if (jwt_decode(&decoded, jwt, (const unsigned char *)key->material.base, (int)key->material.len) != 0)
        return false;
    bool is_ours = jwt_get_alg(decoded) == alg;
    jwt_free(decoded);
    return is_ours;
}

static err_t *check_signature(const token_keys_t *keys, pool_t *pool, str_t jwt, const parts_t *parts,
                              const header_t *header)
{
    const char *text = NULL;
    for (size_t i = 0; i < keys->count; i++) {
        if (!is_candidate(&keys->keys[i], header))
            continue;
        if (text == NULL)
            text = pool_cstr(pool, jwt);
        if (is_canonical_base64url(parts->signature) && is_signed_by(text, &keys->keys[i], header->alg))
            return NULL;
    }
    return refuse_keys(pool, text == NULL ? "No suitable key was found to decode the JWT"
                                          : "None of the keys was able to decode the JWT");
}

/* Drops white space outside strings; `json` has been parsed before. */
static str_t compact(pool_t *pool, str_t json)
{
    char *out = pool_alloc(pool, json.len + 1);
    size_t len = 0;
    bool is_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.base[i];
        if (!is_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
            continue;
        out[len++] = c;
        if (is_string && c == '\\' && i + 1 < json.len)
            out[len++] = json.base[++i];
        else if (c == '"')
            is_string = !is_string;
    }
    out[len] = '\0';
    return str_make(out, len);
}

err_t *token_decode(const token_keys_t *keys, pool_t *pool, str_t jwt, json_t **claims, str_t *claims_text)
{
    parts_t parts;
    header_t header;
    err_t *err = split_parts(pool, jwt, &parts);
    if (err == NULL)
        err = read_header(pool, parts.header, &header);
    if (err == NULL)
        err = check_signature(keys, pool, jwt, &parts, &header);
    if (err != NULL)
        return err;
    str_t text;
    *claims = parse_object(pool, parts.payload, &text);
    if (*claims == NULL)
        return token_refuse(pool, "PGRST303", "Parsing claims failed", NULL);
    *claims_text = compact(pool, text);
    return NULL;
}
