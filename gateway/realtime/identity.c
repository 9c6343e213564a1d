/* Tokens, with the texts that realtime clients know. */
#include "base/clock.h"
#include "base/crypt.h"
#include "realtime/inside.h"
#include "realtime/json_slice.h"

#include <stdlib.h>

/* Percent escapes decoded, white space removed. */
static str_t clean_token(pool_t *pool, str_t token)
{
    char *out = pool_alloc(pool, token.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.base[i];
        unsigned value;
        char hex[3] = {0};
        if (c == '%' && i + 2 < token.len) {
            memcpy(hex, token.base + i + 1, 2);
            char *end;
            value = (unsigned)strtoul(hex, &end, 16);
            if (*end == 0) {
                c = (char)value;
                i += 2;
            }
        }
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            out[len++] = c;
    }
    return str_make(out, len);
}

/* The claims of a token that need not be good; null string when it has no readable payload. */
static str_t peek_claims(pool_t *pool, str_t token)
{
    str_t rest = token, payload;
    str_split(&rest, '.');
    if (str_is_null(rest))
        return STR_NULL;
    str_t middle = str_split(&rest, '.');
    if (!crypt_unbase64(pool, middle, &payload) || !json_slice_is_valid(payload))
        return STR_NULL;
    return payload;
}

static bool has_claim(str_t claims, str_t name)
{
    str_t value = json_slice_get(claims, name);
    return !str_is_null(value) && !str_eq(value, STR("null"));
}

static bool refuse(str_t *code, str_t *text, str_t why_code, str_t why)
{
    *code = why_code;
    *text = why;
    return false;
}

static bool refuse_expired(pool_t *errors, str_t *code, str_t *text, int64_t exp)
{
    return refuse(code, text, STR("InvalidJWTToken"),
                  pool_printf(errors, "Token has expired %lld seconds ago", (long long)(clock_unix() - exp)));
}

/* The claims' exp as whole seconds; false when it is no number. */
static bool read_exp(pool_t *pool, str_t claims, int64_t *exp)
{
    str_t value = json_slice_get(claims, STR("exp"));
    if (value.len == 0 || (value.base[0] != '-' && (value.base[0] < '0' || value.base[0] > '9')))
        return false;
    double number = strtod(pool_cstr(pool, value), NULL);
    if (!(number > -9e15 && number < 9e15))
        return false;
    *exp = (int64_t)(number + 0.5);
    return true;
}

bool rt_identity_verify(rt_t *rt, str_t token, rt_identity_t *out, pool_t *errors, str_t *code, str_t *text)
{
    token = clean_token(errors, token);
    str_t claims = peek_claims(errors, token);
    if (str_is_null(claims))
        return refuse(code, text, STR("MalformedJWT"), STR("The token provided is not a valid JWT"));
    identity_t identity;
    err_t *err = token_verify(rt->gateway->tokens, errors, token, &identity);
    int64_t exp = 0;
    bool has_exp = read_exp(errors, claims, &exp);
    if (err != NULL && !(has_exp && exp <= clock_unix()))
        return refuse(code, text, STR("JwtSignatureError"), STR("Failed to validate JWT signature"));
    if (err == NULL && (!has_claim(claims, STR("role")) || !has_exp))
        return refuse(code, text, STR("InvalidJWTToken"), STR("Fields `role` and `exp` are required in JWT"));
    if (exp <= clock_unix())
        return refuse_expired(errors, code, text, exp);
    rt_identity_t borrowed = {.token = token,
                              .role = identity.role,
                              .claims_json = identity.claims_json,
                              .sub = identity.sub,
                              .session_id = identity.session_id,
                              .exp = exp};
    return rt_identity_copy(&borrowed, out);
}

bool rt_identity_copy(const rt_identity_t *from, rt_identity_t *to)
{
    size_t bytes =
        from->token.len + from->role.len + from->claims_json.len + from->sub.len + from->session_id.len;
    pool_t *pool = pool_create_sized(bytes + 256); /* the rest is rounding */
    *to = (rt_identity_t){.pool = pool,
                          .token = pool_str(pool, from->token),
                          .role = pool_str(pool, from->role),
                          .claims_json = pool_str(pool, from->claims_json),
                          .sub = pool_str(pool, from->sub),
                          .session_id = pool_str(pool, from->session_id),
                          .exp = from->exp};
    return true;
}

void rt_identity_dispose(rt_identity_t *identity)
{
    pool_destroy(identity->pool);
    *identity = (rt_identity_t){0};
}

rt_viewer_t *rt_viewer_get(rt_t *rt, const rt_identity_t *identity)
{
    str_t role = identity->role, claims_json = identity->claims_json, sub = identity->sub;
    size_t key_len = role.len + 1 + claims_json.len;
    rt_viewer_t *viewer = malloc(sizeof(*viewer) + key_len + sub.len);
    if (viewer == NULL)
        abort();
    char *bytes = (char *)(viewer + 1);
    memcpy(bytes, role.base, role.len);
    bytes[role.len] = '\n';
    if (claims_json.len > 0)
        memcpy(bytes + role.len + 1, claims_json.base, claims_json.len);
    if (sub.len > 0)
        memcpy(bytes + key_len, sub.base, sub.len);
    *viewer = (rt_viewer_t){.refs = 1,
                            .key = str_make(bytes, key_len),
                            .role = str_make(bytes, role.len),
                            .claims_json = str_make(bytes + role.len + 1, claims_json.len),
                            .sub = str_make(bytes + key_len, sub.len)};
    rt_viewer_t *known = map_get(rt->viewers, viewer->key);
    if (known != NULL) {
        free(viewer);
        known->refs++;
        return known;
    }
    map_put(rt->viewers, viewer->key, viewer);
    return viewer;
}

void rt_viewer_unref(rt_t *rt, rt_viewer_t *viewer)
{
    if (viewer == NULL || --viewer->refs > 0)
        return;
    map_remove(rt->viewers, viewer->key);
    free(viewer);
}
