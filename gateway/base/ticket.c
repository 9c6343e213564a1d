#include "base/ticket.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/rand.h"
#include "base/read_json.h"

#define TYPE "basalt-ticket+jwt"
#define AUDIENCE "basalt/idm-provision"
#define KEY_LABEL "basalt ticket idm-provision v1"
#define TICKET_MAX (128 * 1024) /* hundreds of groups, each named in full */
#define AHEAD_MAX_S 5           /* both programs run beside each other */

static str_t derive_key(str_t shared_secret, uint8_t key[CRYPT_SHA256_LEN])
{
    crypt_hmac_sha256(shared_secret, STR(KEY_LABEL), key);
    return str_make((const char *)key, CRYPT_SHA256_LEN);
}

static str_t signature(pool_t *pool, str_t shared_secret, str_t text)
{
    uint8_t key[CRYPT_SHA256_LEN], mac[CRYPT_SHA256_LEN];
    crypt_hmac_sha256(derive_key(shared_secret, key), text, mac);
    crypt_wipe(key, sizeof(key));
    return crypt_base64url(pool, str_make((const char *)mac, sizeof(mac)));
}

str_t ticket_make(pool_t *pool, str_t shared_secret, const json_t *claims)
{
    json_t *all = json_deep_copy(claims);
    int64_t now = clock_unix();
    json_object_set_new(all, "aud", json_string(AUDIENCE));
    json_object_set_new(all, "jti", json_string(rand_uuid(pool).base));
    json_object_set_new(all, "iat", json_integer(now));
    json_object_set_new(all, "exp", json_integer(now + TICKET_LIFE_S));
    str_t body = crypt_base64url(pool, read_json_dump(pool, all));
    json_decref(all);
    str_t head = crypt_base64url(pool, STR("{\"alg\":\"HS256\",\"typ\":\"" TYPE "\"}"));
    str_t text = pool_concat(pool, 3, head, STR("."), body);
    return pool_concat(pool, 3, text, STR("."), signature(pool, shared_secret, text));
}

static bool read_part(pool_t *pool, str_t part, json_t **out)
{
    str_t text;
    if (!crypt_unbase64(pool, part, &text))
        return false;
    return read_json(pool, text, &(read_json_limits_t){.size_max = TICKET_MAX, .depth_max = 8}, out) ==
               NULL &&
           json_is_object(*out);
}

static bool is_good(const json_t *head, const json_t *claims)
{
    int64_t now = clock_unix(), from = read_json_int(claims, "iat", 0),
            until = read_json_int(claims, "exp", 0);
    return str_eq(read_json_str(head, "alg"), STR("HS256")) &&
           str_eq(read_json_str(head, "typ"), STR(TYPE)) &&
           str_eq(read_json_str(claims, "aud"), STR(AUDIENCE)) && str_is_uuid(read_json_str(claims, "jti")) &&
           from <= now + AHEAD_MAX_S && until >= now && until - from <= TICKET_LIFE_S;
}

err_t *ticket_read(pool_t *pool, str_t shared_secret, str_t ticket, json_t **claims)
{
    json_t *head = NULL;
    str_t rest = ticket;
    str_t first = str_split(&rest, '.'), second = str_split(&rest, '.'), third = rest;
    bool has_form = shared_secret.len > 0 && ticket.len <= TICKET_MAX && third.len > 0;
    if (has_form &&
        crypt_equal(signature(pool, shared_secret, str_make(first.base, first.len + 1 + second.len)),
                    third) &&
        read_part(pool, first, &head) && read_part(pool, second, claims) && is_good(head, *claims))
        return NULL;
    return err_make(pool, 401, ERR_FAMILY_AUTH, "ticket",
                    "The sign-in ticket is missing, used or no longer valid");
}
