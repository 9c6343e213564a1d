#include "auth/address.h"
#include "auth/call.h"
#include "auth/limits.h"
#include "base/crypt.h"

#define FIVE_MINUTES 300.0
#define GUESSES_BURST 60.0

static err_t *refuse(auth_call_t *call)
{
    err_t *err = call_error(call, 429, "over_request_rate_limit", "Request rate limit reached");
    err->headers = STR("Retry-After: 10\r\n");
    return err;
}

/* Tokens per second of a kind; burst is 30 everywhere but for factors. */
static double rate_of(const auth_call_t *call, auth_limit_t limit)
{
    switch (limit) {
    case AUTH_LIMIT_OTP:
        return (double)config_int(call->scope.config, "GOTRUE_RATE_LIMIT_OTP") / FIVE_MINUTES;
    case AUTH_LIMIT_VERIFY:
        return (double)config_int(call->scope.config, "GOTRUE_RATE_LIMIT_VERIFY") / FIVE_MINUTES;
    case AUTH_LIMIT_TOKEN:
        return (double)config_int(call->scope.config, "GOTRUE_RATE_LIMIT_TOKEN_REFRESH") / FIVE_MINUTES;
    case AUTH_LIMIT_ANONYMOUS:
        return 30.0 / 3600;
    default:
        return 15.0 / 60;
    }
}

err_t *call_limit(auth_call_t *call, auth_limit_t limit)
{
    static const char *const KINDS[AUTH_LIMIT_COUNT] = {"", "otp", "verify", "token", "anonymous", "factor"};
    str_t header = config_str(call->scope.config, "GOTRUE_RATE_LIMIT_HEADER");
    if (limit == AUTH_LIMIT_NONE || header.len == 0)
        return NULL;
    char *name = pool_cstr(call->pool, header);
    for (char *c = name; *c != '\0'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    str_t value = api_task_header(call->task, name);
    str_t caller = str_trim(str_split(&value, ','));
    if (caller.len == 0)
        return NULL;
    bool is_taken = auth_limits_take(call->auth->limits, KINDS[limit], caller, rate_of(call, limit), 30, 1);
    return is_taken ? NULL : refuse(call);
}

static bool take_guess(auth_call_t *call, str_t account, double cost)
{
    str_t who =
        pool_concat(call->pool, 3, call->task->client_addr, STR(" "), address_lower(call->pool, account));
    str_t key =
        str_slice(crypt_sha256_hex(call->pool, who), 0, 40); /* of one length, and no address in memory */
    return auth_limits_take(call->auth->limits, "guess", key, GUESSES_BURST / FIVE_MINUTES, GUESSES_BURST,
                            cost);
}

err_t *call_check_guesses(auth_call_t *call, str_t account)
{
    return take_guess(call, account, 0) ? NULL : refuse(call);
}

void call_count_guess(auth_call_t *call, str_t account)
{
    (void)take_guess(call, account, 1);
}

err_t *call_take_mail(auth_call_t *call)
{
    double per_hour = (double)config_int(call->scope.config, "GOTRUE_RATE_LIMIT_EMAIL_SENT");
    if (config_bool(call->scope.config, "GOTRUE_MAILER_AUTOCONFIRM"))
        return NULL;
    if (auth_limits_take(call->auth->limits, "mail", STR("process"), per_hour / 3600, per_hour, 1))
        return NULL;
    return call_error(call, 429, "over_email_send_rate_limit", "email rate limit exceeded");
}
