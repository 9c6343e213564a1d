#include "token/keys.h"

#include "base/crypt.h"
#include "base/read_json.h"

#include <stdio.h>

#define SECRET_MIN_BYTES 32
#define SECRET_FILE_MAX (64 * 1024)
#define KEYS_MAX 32

static err_t *bad_key(pool_t *errors, const char *what)
{
    return err_make(errors, 500, ERR_FAMILY_AUTH, "PGRST300", "%s", what);
}

static err_t *read_secret_file(pool_t *pool, pool_t *errors, str_t path, str_t *out)
{
    FILE *file = fopen(pool_cstr(pool, path), "rb");
    if (file == NULL)
        return bad_key(errors, "The JWT secret's file cannot be opened");
    char *bytes = pool_alloc(pool, SECRET_FILE_MAX);
    size_t len = fread(bytes, 1, SECRET_FILE_MAX, file);
    bool is_whole = feof(file) && !ferror(file);
    fclose(file);
    if (!is_whole)
        return bad_key(errors, "The JWT secret's file cannot be read or is too large");
    if (len > 0 && bytes[len - 1] == '\n')
        len--;
    *out = str_make(bytes, len);
    return NULL;
}

/* Upstream's reading of a base64 secret: url alphabet and '.' for padding are fine. */
static err_t *decode_secret(pool_t *pool, pool_t *errors, str_t *secret)
{
    str_t trimmed = str_trim(*secret);
    char *text = pool_cstr(pool, trimmed);
    for (size_t i = 0; i < trimmed.len; i++)
        if (text[i] == '.')
            text[i] = '=';
    if (!crypt_unbase64(pool, str_make(text, trimmed.len), secret))
        return bad_key(errors, "The JWT secret is not valid base64");
    return NULL;
}

static err_t *load_jwk_set(pool_t *pool, pool_t *errors, const json_t *set, token_keys_t *out)
{
    size_t count = json_array_size(set);
    if (count > KEYS_MAX)
        return bad_key(errors, "The JWK set has too many keys");
    out->keys = POOL_ARRAY(pool, token_key_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        bool is_usable = false;
        err_t *err = token_jwk_load(pool, errors, json_array_get(set, i), &out->keys[out->count], &is_usable);
        if (err != NULL)
            return err;
        out->count += is_usable ? 1 : 0;
    }
    if (out->count == 0)
        return bad_key(errors, "The JWK set has no key that can verify tokens here");
    return NULL;
}

/* A JSON object that is a JWK or a JWK set. `*is_json_key` is false for any other text. */
static err_t *load_json(pool_t *pool, pool_t *errors, str_t text, token_keys_t *out, bool *is_json_key)
{
    json_t *json = NULL;
    *is_json_key = false;
    str_t trimmed = str_trim(text);
    if (trimmed.len == 0 || (trimmed.base[0] != '{' && trimmed.base[0] != '['))
        return NULL;
    if (read_json(pool, trimmed, &(read_json_limits_t){.size_max = SECRET_FILE_MAX, .depth_max = 8}, &json) !=
        NULL)
        return NULL;
    json_t *set = json_is_array(json) ? json : json_object_get(json, "keys");
    *is_json_key = json_is_array(set) || json_object_get(json, "kty") != NULL;
    if (!*is_json_key)
        return NULL;
    if (json_is_array(set))
        return load_jwk_set(pool, errors, set, out);
    bool is_usable = false;
    out->keys = POOL_ARRAY(pool, token_key_t, 1);
    err_t *err = token_jwk_load(pool, errors, json, &out->keys[0], &is_usable);
    if (err == NULL && !is_usable)
        return bad_key(errors, "The JWK is of a kind that cannot verify tokens here");
    out->count = 1;
    return err;
}

static err_t *load_pem(pool_t *pool, pool_t *errors, str_t pem, token_keys_t *out)
{
    out->keys = POOL_ARRAY(pool, token_key_t, 1);
    if (!token_pem_load(pool, pem, &out->keys[0]))
        return bad_key(errors, "The PEM key is neither RSA (2048 bits or more) nor EC P-256, P-384 or P-521");
    out->count = 1;
    return NULL;
}

static err_t *load_secret(pool_t *pool, pool_t *errors, const token_options_t *options, token_keys_t *out)
{
    *out = (token_keys_t){0};
    str_t secret = options->secret;
    if (secret.len == 0)
        return NULL;
    err_t *err = NULL;
    if (secret.base[0] == '@')
        err = read_secret_file(pool, errors, str_slice(secret, 1, secret.len), &secret);
    if (err == NULL && options->is_secret_base64)
        err = decode_secret(pool, errors, &secret);
    if (err != NULL)
        return err;
    bool is_json_key = false;
    err = load_json(pool, errors, secret, out, &is_json_key);
    if (err != NULL || is_json_key)
        return err;
    /* Key text must never double as an HMAC secret: everybody knows a public key. */
    if (str_find(secret, STR("-----BEGIN "), 0) != SIZE_MAX)
        return load_pem(pool, errors, secret, out);
    if (secret.len < SECRET_MIN_BYTES)
        return bad_key(errors, "The JWT secret must be at least 32 characters long.");
    out->keys = POOL_ARRAY(pool, token_key_t, 1);
    out->count = 1;
    out->keys[0] = (token_key_t){.algs = TOKEN_ALG_BIT(JWT_ALG_HS256), .material = pool_str(pool, secret)};
    return NULL;
}

err_t *token_keys_load(pool_t *pool, pool_t *errors, const token_options_t *options, token_keys_t *out)
{
    token_keys_t more = {0};
    bool is_json_key = false;
    err_t *err = load_secret(pool, errors, options, out);
    if (err != NULL || options->more_keys.len == 0)
        return err;
    err = load_json(pool, errors, options->more_keys, &more, &is_json_key);
    if (err == NULL && !is_json_key)
        err = bad_key(errors, "The additional JWT keys are no JWK set");
    if (err != NULL)
        return err;
    /* Named keys come first: they are what tokens with a kid mean. */
    token_key_t *keys = POOL_ARRAY(pool, token_key_t, out->count + more.count);
    memcpy(keys, more.keys, more.count * sizeof(*keys));
    if (out->count > 0)
        memcpy(keys + more.count, out->keys, out->count * sizeof(*keys));
    *out = (token_keys_t){.keys = keys, .count = out->count + more.count};
    return NULL;
}
