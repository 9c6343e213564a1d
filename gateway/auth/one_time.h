/* One-time codes as GoTrue keeps them: digits to the user, SHA-224 of address and digits in the database,
 * once in the users column and once in auth.one_time_tokens. */
#ifndef AUTH_ONE_TIME_H
#define AUTH_ONE_TIME_H

#include "auth/user.h"

typedef enum {
    ONE_TIME_CONFIRMATION, /* sign-up and invite */
    ONE_TIME_RECOVERY,     /* recovery and magic link */
    ONE_TIME_EMAIL_CHANGE_CURRENT,
    ONE_TIME_EMAIL_CHANGE_NEW,
    ONE_TIME_REAUTHENTICATION
} one_time_kind_t;

/* GOTRUE_MAILER_OTP_LENGTH random digits (6 to 10). */
str_t one_time_code(auth_scope_t *scope);

/* Lower-case hex SHA-224 of address and code; with "pkce_" in front in the PKCE flow. */
str_t one_time_hash(pool_t *pool, str_t address, str_t code);
str_t one_time_prefix(pool_t *pool, str_t hash, bool is_pkce);

/* Writes the hash to the users column (with its *_sent_at) and replaces the row in one_time_tokens. */
err_t *one_time_store(auth_scope_t *scope, const auth_user_t *user, one_time_kind_t kind, str_t hash,
                      str_t address) MUST_CHECK;

/* Removes one kind; the users column too. */
err_t *one_time_clear(auth_scope_t *scope, str_t user_id, one_time_kind_t kind) MUST_CHECK;

/* True while GOTRUE_MAILER_OTP_EXP has not passed since `sent_ms`; 0 is never fresh. */
bool one_time_is_fresh(const auth_scope_t *scope, int64_t sent_ms);

/* Equal in constant time, with or without the PKCE prefix in what is stored. */
bool one_time_matches(str_t stored, str_t given);

/* 429 over_email_send_rate_limit when the last mail is younger than GOTRUE_SMTP_MAX_FREQUENCY. */
err_t *one_time_check_frequency(const auth_scope_t *scope, int64_t sent_ms) MUST_CHECK;

#endif
