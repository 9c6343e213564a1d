#include "token/token.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/emit.h"
#include "base/read_json.h"
#include "token/cache.h"
#include "token/decode.h"
#include "token/role_path.h"
#include "token/sign.h"

#include <math.h>

#define LEEWAY_SECONDS 30

struct token_verifier {
    pool_t *pool; /* everything below */
    token_keys_t keys;
    role_path_t *role_path;
    str_t audience, anon_role;
    str_t anon_claims;    /* session_claims of who has no token */
    token_cache_t *cache; /* NULL: none */
};

/* Takes the first of the members that stand in an object without white space; the null string is left behind
 * the last one. */
static str_t take_member(str_t *members)
{
    size_t depth = 0, at = 0;
    bool is_string = false;
    for (; at < members->len; at++) {
        char c = members->base[at];
        if (is_string && c == '\\')
            at++;
        else if (c == '"')
            is_string = !is_string;
        else if (!is_string && (c == '{' || c == '['))
            depth++;
        else if (!is_string && (c == '}' || c == ']'))
            depth--;
        else if (!is_string && c == ',' && depth == 0)
            break;
    }
    str_t member = str_slice(*members, 0, at);
    *members = at < members->len ? str_slice(*members, at + 1, members->len) : STR_NULL;
    return member;
}

/* The claims, an object without white space, with the role in force: in place of one that they name. */
static str_t with_role(pool_t *pool, str_t claims, str_t role)
{
    buf_t out;
    str_t members = str_slice(claims, 1, claims.len - 1);
    buf_init(&out, pool, claims.len + role.len + 16);
    buf_append_char(&out, '{');
    while (members.len > 0) {
        str_t member = take_member(&members);
        if (str_starts_with(member, STR("\"role\":")))
            continue;
        buf_append_str(&out, member);
        buf_append_char(&out, ',');
    }
    buf_append_lit(&out,
                   "\"role\":"); /* last: it counts if an escaped spelling of the name stands before it */
    emit_json_string(&out, role);
    buf_append_char(&out, '}');
    return buf_str(&out);
}

err_t *token_verifier_create(pool_t *errors, const token_options_t *options, token_verifier_t **out)
{
    pool_t *pool = pool_create();
    token_verifier_t *verifier = POOL_NEW(pool, token_verifier_t);
    verifier->pool = pool;
    verifier->audience = options->audience.len > 0 ? pool_str(pool, options->audience) : STR_NULL;
    verifier->anon_role = options->anon_role.len > 0 ? pool_str(pool, options->anon_role) : STR_NULL;
    verifier->anon_claims = with_role(pool, STR("{}"), verifier->anon_role);
    str_t path = options->role_claim_key.len > 0 ? options->role_claim_key : STR("$.role");
    err_t *err = role_path_parse(pool, errors, path, &verifier->role_path);
    if (err == NULL)
        err = token_keys_load(pool, errors, options, &verifier->keys);
    if (err != NULL) {
        pool_destroy(pool);
        return err;
    }
    if (options->cache_max > 0)
        verifier->cache = token_cache_create(options->cache_max);
    *out = verifier;
    return NULL;
}

void token_verifier_destroy(token_verifier_t *verifier)
{
    if (verifier == NULL)
        return;
    token_cache_destroy(verifier->cache);
    for (size_t i = 0; i < verifier->keys.count; i++)
        crypt_wipe((void *)verifier->keys.keys[i].material.base, verifier->keys.keys[i].material.len);
    pool_destroy(verifier->pool);
}

static err_t *refuse_claims(pool_t *pool, const char *message)
{
    return token_refuse(pool, "PGRST303", message, NULL);
}

static err_t *read_time(pool_t *pool, const json_t *claims, const char *name, bool *has, double *out)
{
    json_t *value = json_object_get(claims, name);
    *has = value != NULL && !json_is_null(value);
    if (!*has)
        return NULL;
    if (!json_is_number(value))
        return refuse_claims(pool, pool_printf(pool, "The JWT '%s' claim must be a number", name).base);
    *out = json_number_value(value);
    return NULL;
}

static err_t *check_audience(const token_verifier_t *verifier, pool_t *pool, const json_t *claims)
{
    json_t *aud = json_object_get(claims, "aud");
    if (aud == NULL || json_is_null(aud))
        return NULL;
    bool is_listed = false;
    size_t i;
    json_t *item;
    json_array_foreach(aud, i, item)
    {
        if (!json_is_string(item))
            return refuse_claims(pool, "The JWT 'aud' claim must be a string or an array of strings");
        is_listed |= str_eq(str_from_c(json_string_value(item)), verifier->audience);
    }
    if (json_is_string(aud))
        is_listed = str_eq(str_from_c(json_string_value(aud)), verifier->audience);
    else if (!json_is_array(aud))
        return refuse_claims(pool, "The JWT 'aud' claim must be a string or an array of strings");
    bool is_any = str_is_null(verifier->audience) || (json_is_array(aud) && json_array_size(aud) == 0);
    return is_any || is_listed ? NULL : refuse_claims(pool, "JWT not in audience");
}

/* The clock is read on every call: a token that was good a second ago may have ended. An `exp` that is no
 * whole number in range counts as past, as in the peer; `nbf` and `iat` are taken as they stand, which is
 * stricter. */
static err_t *check_times(pool_t *pool, const token_facts_t *facts)
{
    double now = (double)clock_unix();
    bool is_whole = floor(facts->exp) == facts->exp && fabs(facts->exp) < 9.2e18;
    if (facts->has_exp && (!is_whole || facts->exp < now - LEEWAY_SECONDS))
        return refuse_claims(pool, "JWT expired");
    if (facts->has_nbf && facts->nbf > now + LEEWAY_SECONDS)
        return refuse_claims(pool, "JWT not yet valid");
    if (facts->has_iat && facts->iat > now + LEEWAY_SECONDS)
        return refuse_claims(pool, "JWT issued at future");
    return NULL;
}

static err_t *require_role(pool_t *pool)
{
    err_t *err = err_make(pool, 401, ERR_FAMILY_AUTH, "PGRST302", "Anonymous access is disabled");
    err->headers = STR("WWW-Authenticate: Bearer\r\n");
    return err;
}

/* A value that is no string becomes its JSON text, as in the peer: no such role exists, PostgreSQL refuses
 * it. */
static err_t *read_role(const token_verifier_t *verifier, pool_t *pool, const json_t *claims, str_t *out)
{
    const json_t *role = role_path_find(verifier->role_path, claims);
    if (role == NULL)
        *out = verifier->anon_role;
    else if (json_is_string(role))
        *out = pool_str(pool, str_make(json_string_value(role), json_string_length(role)));
    else
        *out = read_json_dump(pool, role);
    return str_is_null(*out) ? require_role(pool) : NULL;
}

static str_t copy_claim(pool_t *pool, const json_t *claims, const char *name)
{
    str_t value = read_json_str(claims, name);
    return str_is_null(value) ? STR_NULL : pool_str(pool, value);
}

static err_t *read_facts(const token_verifier_t *verifier, pool_t *pool, const json_t *claims, str_t text,
                         token_facts_t *facts)
{
    identity_t *identity = &facts->identity;
    *facts = (token_facts_t){.identity = {.claims_json = text, .has_token = true}};
    err_t *err = read_time(pool, claims, "exp", &facts->has_exp, &facts->exp);
    if (err == NULL)
        err = read_time(pool, claims, "nbf", &facts->has_nbf, &facts->nbf);
    if (err == NULL)
        err = read_time(pool, claims, "iat", &facts->has_iat, &facts->iat);
    if (err == NULL)
        err = check_times(pool, facts);
    if (err == NULL)
        err = check_audience(verifier, pool, claims);
    if (err == NULL)
        err = read_role(verifier, pool, claims, &identity->role);
    if (err != NULL)
        return err;
    bool is_named = str_eq(read_json_str(claims, "role"), identity->role);
    identity->session_claims = is_named ? text : with_role(pool, text, identity->role);
    identity->sub = copy_claim(pool, claims, "sub");
    identity->session_id = copy_claim(pool, claims, "session_id");
    identity->exp = facts->has_exp ? (int64_t)facts->exp : 0;
    return NULL;
}

static err_t *verify_fresh(token_verifier_t *verifier, pool_t *pool, str_t jwt, identity_t *out)
{
    json_t *claims = NULL;
    str_t text;
    token_facts_t facts;
    err_t *err = token_decode(&verifier->keys, pool, jwt, &claims, &text);
    if (err == NULL)
        err = read_facts(verifier, pool, claims, text, &facts);
    if (err != NULL)
        return err;
    if (verifier->cache != NULL)
        token_cache_put(verifier->cache, jwt, &facts);
    *out = facts.identity;
    return NULL;
}

err_t *token_verify(token_verifier_t *verifier, pool_t *pool, str_t jwt, identity_t *out)
{
    *out = (identity_t){
        .role = verifier->anon_role, .claims_json = STR("{}"), .session_claims = verifier->anon_claims};
    if (str_is_null(jwt))
        return str_is_null(verifier->anon_role) ? require_role(pool) : NULL;
    if (verifier->keys.count == 0)
        return err_make(pool, 500, ERR_FAMILY_AUTH, "PGRST300", "Server lacks JWT secret");
    token_facts_t facts;
    if (verifier->cache == NULL || !token_cache_get(verifier->cache, pool, jwt, &facts))
        return verify_fresh(verifier, pool, jwt, out);
    err_t *err = check_times(pool, &facts);
    if (err != NULL) {
        token_cache_drop(verifier->cache, jwt);
        return err;
    }
    *out = facts.identity;
    return NULL;
}

err_t *token_read_signed(token_verifier_t *verifier, pool_t *pool, str_t jwt, str_t *claims_json)
{
    json_t *claims = NULL;
    if (verifier->keys.count == 0)
        return err_make(pool, 500, ERR_FAMILY_AUTH, "PGRST300", "Server lacks JWT secret");
    return token_decode(&verifier->keys, pool, jwt, &claims, claims_json);
}

str_t token_sign(token_verifier_t *verifier, pool_t *pool, str_t claims_json)
{
    const token_key_t *key = token_signing_key(&verifier->keys);
    return key == NULL ? STR_NULL : token_sign_with(pool, key, claims_json);
}

str_t token_public_jwks(const token_verifier_t *verifier, pool_t *pool)
{
    buf_t out;
    buf_init(&out, pool, 256);
    buf_append_lit(&out, "{\"keys\":[");
    bool has_items = false;
    for (size_t i = 0; i < verifier->keys.count; i++) {
        if (str_is_null(verifier->keys.keys[i].public_jwk))
            continue;
        if (has_items)
            buf_append_char(&out, ',');
        buf_append_str(&out, verifier->keys.keys[i].public_jwk);
        has_items = true;
    }
    buf_append_lit(&out, "]}");
    return buf_str(&out);
}
