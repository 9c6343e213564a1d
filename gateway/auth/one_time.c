#include "auth/one_time.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/rand.h"

#include <openssl/evp.h>

#define PKCE_PREFIX "pkce_"

static const struct {
    const char *token_type, *column,
        *sent_column; /* sent_column NULL: the pair shares one, set with the other */
} KINDS[] = {
    [ONE_TIME_CONFIRMATION] = {"confirmation_token", "confirmation_token", "confirmation_sent_at"},
    [ONE_TIME_RECOVERY] = {"recovery_token", "recovery_token", "recovery_sent_at"},
    [ONE_TIME_EMAIL_CHANGE_CURRENT] = {"email_change_token_current", "email_change_token_current",
                                       "email_change_sent_at"},
    [ONE_TIME_EMAIL_CHANGE_NEW] = {"email_change_token_new", "email_change_token_new",
                                   "email_change_sent_at"},
    [ONE_TIME_REAUTHENTICATION] = {"reauthentication_token", "reauthentication_token",
                                   "reauthentication_sent_at"},
};

str_t one_time_code(auth_scope_t *scope)
{
    int64_t length = config_int(scope->config, "GOTRUE_MAILER_OTP_LENGTH");
    length = length < 6 ? 6 : length > 10 ? 10 : length;
    char digits[10];
    for (int64_t i = 0; i < length; i++) {
        uint8_t byte;
        do
            rand_bytes(&byte, 1);
        while (byte >= 250); /* no digit likelier than another */
        digits[i] = (char)('0' + byte % 10);
    }
    return pool_str(scope->pool, str_make(digits, (size_t)length));
}

str_t one_time_hash(pool_t *pool, str_t address, str_t code)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t len = 0;
    str_t text = pool_concat(pool, 2, address, code);
    EVP_Q_digest(NULL, "SHA224", NULL, text.base, text.len, digest, &len);
    return crypt_hex(pool, digest, len);
}

str_t one_time_prefix(pool_t *pool, str_t hash, bool is_pkce)
{
    return is_pkce ? pool_concat(pool, 2, STR(PKCE_PREFIX), hash) : hash;
}

static err_t *store_column(auth_scope_t *scope, str_t user_id, one_time_kind_t kind, str_t hash)
{
    str_t sql = pool_printf(
        scope->pool, "update auth.users set %s = $2, %s = now(), updated_at = now() where id = $1::uuid",
        KINDS[kind].column, KINDS[kind].sent_column);
    return auth_query(scope, sql, DB_PARAMS(user_id, hash), NULL);
}

err_t *one_time_store(auth_scope_t *scope, const auth_user_t *user, one_time_kind_t kind, str_t hash,
                      str_t address)
{
    str_t type = str_from_c(KINDS[kind].token_type);
    err_t *err = store_column(scope, user->id, kind, hash);
    if (err == NULL)
        err = auth_query(scope,
                         STR("delete from auth.one_time_tokens where user_id = $1::uuid and "
                             "token_type = $2::auth.one_time_token_type"),
                         DB_PARAMS(user->id, type), NULL);
    if (err == NULL)
        err = auth_query(
            scope,
            STR("insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values "
                "(gen_random_uuid(), $1::uuid, $2::auth.one_time_token_type, $3, lower($4))"),
            DB_PARAMS(user->id, type, hash, address), NULL);
    return err;
}

err_t *one_time_clear(auth_scope_t *scope, str_t user_id, one_time_kind_t kind)
{
    str_t sql = pool_printf(
        scope->pool,
        "with gone as (delete from auth.one_time_tokens where user_id = $1::uuid and token_type = '%s') "
        "update auth.users set %s = '', updated_at = now() where id = $1::uuid",
        KINDS[kind].token_type, KINDS[kind].column);
    return auth_query(scope, sql, &user_id, 1, NULL);
}

bool one_time_is_fresh(const auth_scope_t *scope, int64_t sent_ms)
{
    return sent_ms > 0 &&
           clock_unix_ms() <= sent_ms + config_int(scope->config, "GOTRUE_MAILER_OTP_EXP") * 1000;
}

bool one_time_matches(str_t stored, str_t given)
{
    if (stored.len == 0 || given.len == 0)
        return false;
    bool is_prefixed = str_starts_with(stored, STR(PKCE_PREFIX)) && !str_starts_with(given, STR(PKCE_PREFIX));
    return crypt_equal(is_prefixed ? str_slice(stored, sizeof(PKCE_PREFIX) - 1, stored.len) : stored, given);
}

err_t *one_time_check_frequency(const auth_scope_t *scope, int64_t sent_ms)
{
    int64_t wait_ms = sent_ms + config_int(scope->config, "GOTRUE_SMTP_MAX_FREQUENCY") - clock_unix_ms();
    if (sent_ms == 0 || wait_ms <= 0)
        return NULL;
    return auth_error(scope->pool, 429, "over_email_send_rate_limit",
                      "For security purposes, you can only request this after %lld seconds.",
                      (long long)((wait_ms + 999) / 1000));
}
