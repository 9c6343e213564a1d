#include "auth/verify.h"

#include "auth/address.h"
#include "auth/email_change.h"
#include "auth/one_time.h"
#include "auth/password.h"

typedef enum { TYPE_EMAIL, TYPE_SIGNUP, TYPE_RECOVERY, TYPE_EMAIL_CHANGE } verify_type_t;

static const struct {
    const char *name;
    verify_type_t type;
} TYPES[] = {
    {"email", TYPE_EMAIL},       {"signup", TYPE_SIGNUP},      {"invite", TYPE_SIGNUP},
    {"recovery", TYPE_RECOVERY}, {"magiclink", TYPE_RECOVERY}, {"email_change", TYPE_EMAIL_CHANGE},
};

static bool find_type(str_t name, verify_type_t *out)
{
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
        if (str_eq(name, str_from_c(TYPES[i].name))) {
            *out = TYPES[i].type;
            return true;
        }
    return false;
}

static err_t *refuse(auth_call_t *call, const verify_t *verify)
{
    if (verify->is_by_code) /* nobody guesses 224 bits */
        call_count_guess(call, verify->email);
    return call_error(call, 403, "otp_expired",
                      verify->is_by_code ? "Token has expired or is invalid"
                                         : "Email link is invalid or has expired");
}

static err_t *find_user(auth_call_t *call, const verify_t *verify, verify_type_t type, auth_user_t **user)
{
    static const auth_user_by_t BY_HASH[] = {[TYPE_EMAIL] = AUTH_BY_CONFIRM_OR_RECOVER,
                                             [TYPE_SIGNUP] = AUTH_BY_CONFIRMATION,
                                             [TYPE_RECOVERY] = AUTH_BY_RECOVERY,
                                             [TYPE_EMAIL_CHANGE] = AUTH_BY_EMAIL_CHANGE};
    if (verify->is_by_code && type != TYPE_EMAIL_CHANGE)
        return auth_user_find(&call->scope, AUTH_BY_EMAIL, DB_PARAMS(verify->email, call_audience(call)),
                              true, user);
    return auth_user_find(&call->scope, BY_HASH[type], &verify->token_hash, 1, true, user);
}

static bool is_valid(const auth_call_t *call, str_t stored, int64_t sent_ms, const verify_t *verify)
{
    return one_time_is_fresh(&call->scope, sent_ms) && one_time_matches(stored, verify->token_hash);
}

/* Checks code and age; settles what "email" meant. A hash was already found in one_time_tokens, so there only
 * the age counts where the users column may hold another one of the pair. */
static bool check_code(auth_call_t *call, verify_t *verify, verify_type_t *type, const auth_user_t *user)
{
    bool is_confirmation = is_valid(call, user->confirmation_token, user->confirmation_sent_ms, verify);
    bool is_recovery = is_valid(call, user->recovery_token, user->recovery_sent_ms, verify);
    switch (*type) {
    case TYPE_EMAIL:
        *type = is_confirmation ? TYPE_SIGNUP : TYPE_RECOVERY;
        verify->type = is_confirmation ? STR("signup") : STR("magiclink");
        return is_confirmation || is_recovery;
    case TYPE_SIGNUP:
        return is_confirmation;
    case TYPE_RECOVERY:
        return is_recovery;
    case TYPE_EMAIL_CHANGE:
        return is_valid(call, user->email_change_token_current, user->email_change_sent_ms, verify) ||
               is_valid(call, user->email_change_token_new, user->email_change_sent_ms, verify);
    }
    return false;
}

/* Somebody who was invited gets a password that nobody knows, so that the account can have a new one set
 * later. */
static err_t *give_invited_password(auth_call_t *call, const auth_user_t *user)
{
    if (auth_user_has_password(user) || str_is_null(user->invited_at))
        return NULL;
    str_t hash = password_hash(call->pool, password_random(call->pool));
    return auth_query(&call->scope, STR("update auth.users set encrypted_password = $2 where id = $1::uuid"),
                      DB_PARAMS(user->id, hash), NULL);
}

static err_t *confirm_signup(auth_call_t *call, const auth_user_t *user)
{
    auth_actor_t actor = auth_actor_of(call->pool, user);
    err_t *err = give_invited_password(call, user);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "user_signedup",
                         auth_trait(call->pool, "provider", STR("email")));
    if (err == NULL)
        err = auth_user_confirm_email(&call->scope, user->id);
    if (err == NULL)
        err = auth_query(
            &call->scope,
            STR("update auth.identities set identity_data = identity_data || '{\"email_verified\": true}', "
                "updated_at = now() where user_id = $1::uuid and email = lower($2)"),
            DB_PARAMS(user->id, user->email), NULL);
    return err;
}

static err_t *confirm_recovery(auth_call_t *call, const auth_user_t *user)
{
    auth_actor_t actor = auth_actor_of(call->pool, user);
    bool is_confirmed = auth_user_is_confirmed(user);
    err_t *err =
        auth_query(&call->scope,
                   STR("with gone as (delete from auth.one_time_tokens where user_id = $1::uuid) "
                       "update auth.users set recovery_token = '', updated_at = now() where id = $1::uuid"),
                   &user->id, 1, NULL);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, is_confirmed ? "login" : "user_signedup",
                         is_confirmed ? STR_NULL : auth_trait(call->pool, "provider", STR("email")));
    if (err == NULL && !is_confirmed)
        err = auth_user_confirm_email(&call->scope, user->id);
    return err;
}

static err_t *confirm_half(auth_call_t *call, const auth_user_t *user, const verify_t *verify)
{
    bool is_current = one_time_matches(user->email_change_token_current, verify->token_hash);
    err_t *err = one_time_clear(&call->scope, user->id,
                                is_current ? ONE_TIME_EMAIL_CHANGE_CURRENT : ONE_TIME_EMAIL_CHANGE_NEW);
    if (err == NULL)
        err = auth_query(&call->scope,
                         STR("update auth.users set email_change_confirm_status = 1 where id = $1::uuid"),
                         &user->id, 1, NULL);
    return err;
}

static err_t *confirm_email_change(auth_call_t *call, const auth_user_t *user, const verify_t *verify,
                                   bool *is_half)
{
    const config_t *config = call->scope.config;
    auth_actor_t actor = auth_actor_of(call->pool, user);
    *is_half = !config_bool(config, "GOTRUE_MAILER_AUTOCONFIRM") &&
               config_bool(config, "GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED") &&
               user->email_change_status == 0 && user->email.len > 0;
    if (*is_half)
        return confirm_half(call, user, verify);
    err_t *err = auth_audit(&call->scope, &actor, "user_modified", STR_NULL);
    return err != NULL ? err : email_change_apply(&call->scope, user, user->email_change);
}

static err_t *confirm(auth_call_t *call, const verify_t *verify, verify_type_t type, auth_user_t **user,
                      bool *is_half)
{
    err_t *err = NULL;
    if (type == TYPE_SIGNUP)
        err = confirm_signup(call, *user);
    else if (type == TYPE_RECOVERY)
        err = confirm_recovery(call, *user);
    else
        err = confirm_email_change(call, *user, verify, is_half);
    if (err == NULL && *is_half)
        *user = NULL;
    if (err != NULL || *is_half)
        return err;
    err = auth_user_refresh_providers(&call->scope, (*user)->id);
    return err != NULL ? err : auth_user_reload(&call->scope, user);
}

err_t *verify_run(auth_call_t *call, verify_t *verify, auth_user_t **user, bool *is_half)
{
    verify_type_t type;
    *user = NULL;
    *is_half = false;
    if (!find_type(verify->type, &type))
        return call_error(call, 400, "validation_failed", "Invalid email verification type");
    err_t *err = verify->is_by_code ? call_check_guesses(call, verify->email) : NULL;
    if (err == NULL)
        err = find_user(call, verify, type, user);
    if (err != NULL)
        return auth_db_error(&call->scope, err, "Database error finding user");
    if (*user == NULL)
        return refuse(call, verify);
    if ((*user)->is_banned)
        return call_error(call, 403, "user_banned", "User is banned");
    if (!check_code(call, verify, &type, *user))
        return refuse(call, verify);
    return auth_db_error(&call->scope, confirm(call, verify, type, user, is_half), "Error confirming user");
}
