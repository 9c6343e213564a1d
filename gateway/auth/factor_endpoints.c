#include "auth/endpoints.h"
#include "auth/factor.h"
#include "auth/redirect.h"
#include "auth/totp.h"
#include "base/clock.h"
#include "base/rand.h"

static err_t *require_session(auth_call_t *call)
{
    return str_is_null(call->session_id) ? call_error(call, 500, "unexpected_failure",
                                                      "A valid session is required to work with factors")
                                         : NULL;
}

static bool is_aal2(const auth_call_t *call)
{
    return str_eq(call->session_aal, STR("aal2"));
}

static str_t factor_traits(auth_call_t *call, const auth_factor_t *factor)
{
    return pool_printf(call->pool, "{\"factor_id\":\"%.*s\",\"factor_status\":\"%s\"}", STR_ARG(factor->id),
                       factor->is_verified ? "verified" : "unverified");
}

/* What GoTrue asks before another factor: no namesake, not too many, and aal2 once one is in force. */
static err_t *check_enrolment(auth_call_t *call, str_t name)
{
    db_rows_t rows;
    int64_t count = 0, max = config_int(call->scope.config, "GOTRUE_MFA_MAX_ENROLLED_FACTORS");
    err_t *err =
        auth_query(&call->scope,
                   STR("delete from auth.mfa_factors where user_id = $1::uuid and status = 'unverified' and "
                       "created_at < now() - interval '5 minutes'"),
                   &call->user->id, 1, NULL);
    if (err == NULL)
        err = auth_query(&call->scope,
                         STR("select count(*), coalesce(bool_or(coalesce(friendly_name, '') = $2), false) "
                             "from auth.mfa_factors "
                             "where user_id = $1::uuid"),
                         DB_PARAMS(call->user->id, name), &rows);
    if (err != NULL || !str_to_int64(db_value(&rows, 0, 0), &count))
        return err;
    if (str_eq(db_value(&rows, 0, 1), STR("t")))
        return call_error(call, 422, "mfa_factor_name_conflict",
                          "A factor with the friendly name \"%.*s\" for this user already exists",
                          STR_ARG(name));
    if (count >= max)
        return call_error(call, 422, "too_many_enrolled_mfa_factors",
                          "Maximum number of verified factors reached, unenroll to continue");
    if (call->user->has_verified_factor && !is_aal2(call))
        return call_error(call, 403, "insufficient_aal", "AAL2 required to enroll a new factor");
    return NULL;
}

static err_t *check_type(auth_call_t *call, str_t type)
{
    bool is_on = config_bool(call->scope.config, "GOTRUE_MFA_TOTP_ENROLL_ENABLED");
    if (str_eq(type, STR("totp")))
        return is_on
                   ? NULL
                   : call_error(call, 422, "mfa_totp_enroll_not_enabled", "MFA enroll is disabled for TOTP");
    if (str_eq(type, STR("phone")))
        return call_error(call, 422, "mfa_phone_enroll_not_enabled", "MFA enroll is disabled for Phone");
    if (str_eq(type, STR("webauthn")))
        return call_error(call, 422, "mfa_webauthn_enroll_not_enabled",
                          "MFA enroll is disabled for WebAuthn");
    return call_error(call, 400, "validation_failed", "factor_type needs to be totp, phone, or webauthn");
}

static void reply_enrolled(auth_call_t *call, str_t id, str_t name, str_t secret, str_t uri)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, call->pool, 16 * 1024);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "id", id);
    emit_kv_string(&emit, "type", STR("totp"));
    emit_kv_string(&emit, "friendly_name", name);
    emit_key(&emit, STR("totp"));
    emit_object_begin(&emit);
    emit_kv_string(&emit, "qr_code", totp_qr_svg(call->pool, uri));
    emit_kv_string(&emit, "secret", secret);
    emit_kv_string(&emit, "uri", uri);
    emit_object_end(&emit);
    emit_object_end(&emit);
    call_reply(call, 200, buf_str(&out));
}

err_t *factor_enroll_endpoint(auth_call_t *call)
{
    str_t name = call_str(call, "friendly_name"), issuer = call_str(call, "issuer"),
          type = call_str(call, "factor_type");
    str_t id = rand_uuid(call->pool), secret = totp_make_secret(call->pool);
    auth_actor_t actor = auth_actor_of(call->pool, call->user);
    name = str_is_null(name) ? STR("") : name;
    if (issuer.len == 0)
        issuer = redirect_host(call->pool, config_str(call->scope.config, "GOTRUE_SITE_URL"));
    err_t *err = call_body_error(call);
    if (err == NULL)
        err = require_session(call);
    if (err == NULL)
        err = check_type(call, type);
    if (err == NULL)
        err = check_enrolment(call, name);
    if (err == NULL)
        err = auth_query(
            &call->scope,
            STR("insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, "
                "created_at, "
                "updated_at) values ($1::uuid, $2::uuid, $3, 'totp', 'unverified', $4, now(), now())"),
            DB_PARAMS(id, call->user->id, name, secret), NULL);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "factor_in_progress", auth_trait(call->pool, "factor_id", id));
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        reply_enrolled(call, id, name, secret, totp_uri(call->pool, issuer, call->user->email, secret));
    return auth_db_error(&call->scope, err, "Database error enrolling the factor");
}

static str_t address_of(const auth_call_t *call)
{
    return str_is_null(call->scope.client_addr) ? STR("0.0.0.0") : call->scope.client_addr;
}

err_t *factor_challenge_endpoint(auth_call_t *call)
{
    auth_factor_t factor;
    str_t id = rand_uuid(call->pool);
    auth_actor_t actor = auth_actor_of(call->pool, call->user);
    int64_t expires_at =
        clock_unix() + config_int(call->scope.config, "GOTRUE_MFA_CHALLENGE_EXPIRY_DURATION");
    err_t *err = factor_load(call, call->path_params[0], call->user->id, &factor);
    if (err == NULL && !config_bool(call->scope.config, "GOTRUE_MFA_TOTP_VERIFY_ENABLED"))
        err = call_error(call, 422, "mfa_totp_verify_not_enabled", "MFA verification is disabled for TOTP");
    if (err == NULL)
        err = auth_query(
            &call->scope,
            STR("with touched as (update auth.mfa_factors set last_challenged_at = clock_timestamp() where "
                "id = "
                "$2::uuid) insert into auth.mfa_challenges (id, factor_id, created_at, ip_address) values "
                "($1::uuid, $2::uuid, now(), $3::inet)"),
            DB_PARAMS(id, factor.id, address_of(call)), NULL);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "challenge_created", factor_traits(call, &factor));
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply(call, 200,
                   pool_printf(call->pool, "{\"id\":\"%s\",\"type\":\"%.*s\",\"expires_at\":%lld}", id.base,
                               STR_ARG(factor.type), (long long)expires_at));
    return auth_db_error(&call->scope, err, "Database error creating the challenge");
}

/* One use, from where it was asked for, in time. */
static err_t *check_challenge(auth_call_t *call, str_t challenge_id, const auth_factor_t *factor)
{
    db_rows_t rows;
    if (!str_is_uuid(challenge_id))
        return call_error(call, 422, "mfa_factor_not_found",
                          "MFA factor with the provided challenge ID not found");
    str_t life =
        pool_printf(call->pool, "%lld",
                    (long long)config_int(call->scope.config, "GOTRUE_MFA_CHALLENGE_EXPIRY_DURATION"));
    err_t *err = auth_query(
        &call->scope,
        STR("select verified_at is not null or ip_address <> $3::inet, created_at + $4::bigint * interval "
            "'1 second' < now() from auth.mfa_challenges where id = $1::uuid and factor_id = $2::uuid "
            "for update"),
        DB_PARAMS(challenge_id, factor->id, address_of(call), life), &rows);
    if (err != NULL)
        return err;
    if (rows.row_count == 0)
        return call_error(call, 422, "mfa_factor_not_found",
                          "MFA factor with the provided challenge ID not found");
    if (str_eq(db_value(&rows, 0, 0), STR("t")))
        return call_error(call, 422, "mfa_ip_address_mismatch",
                          "Challenge and verify IP addresses mismatch.");
    if (str_eq(db_value(&rows, 0, 1), STR("t")))
        return call_error(
            call, 422, "mfa_challenge_expired",
            "MFA challenge %.*s has expired, verify against another challenge or create a new challenge.",
            STR_ARG(challenge_id));
    return NULL;
}

/* Raises the session, ends the user's weaker ones, and removes what was half enrolled. */
static err_t *raise_session(auth_call_t *call, str_t challenge_id, const auth_factor_t *factor)
{
    auth_scope_t *scope = &call->scope;
    str_t user_id = call->user->id;
    err_t *err =
        auth_query(scope, STR("update auth.mfa_challenges set verified_at = now() where id = $1::uuid"),
                   &challenge_id, 1, NULL);
    if (err == NULL)
        err = auth_query(
            scope,
            STR("update auth.mfa_factors set status = 'verified', updated_at = now() where id = $1::uuid and "
                "status <> 'verified'"),
            &factor->id, 1, NULL);
    if (err == NULL)
        err = auth_session_add_method(scope, call->session_id, "totp");
    if (err == NULL)
        err = auth_query(scope,
                         STR("update auth.sessions set aal = 'aal2', factor_id = $2::uuid, updated_at = "
                             "now() where id = $1::uuid"),
                         DB_PARAMS(call->session_id, factor->id), NULL);
    if (err == NULL)
        err = auth_query(
            scope,
            STR("with weak as (delete from auth.sessions where user_id = $1::uuid and id <> $2::uuid and "
                "coalesce(aal, 'aal1') < 'aal2') delete from auth.mfa_factors where user_id = $1::uuid and "
                "status = 'unverified' and factor_type = 'totp'"),
            DB_PARAMS(user_id, call->session_id), NULL);
    return err;
}

static err_t *renew_tokens(auth_call_t *call, auth_session_t *session, str_t *json)
{
    db_rows_t rows;
    auth_scope_t *scope = &call->scope;
    err_t *err = auth_query(
        scope,
        STR("select token from auth.refresh_tokens where session_id = $1::uuid and not revoked order by id "
            "desc limit 1"),
        &call->session_id, 1, &rows);
    str_t parent = err == NULL && rows.row_count > 0 ? db_value(&rows, 0, 0) : STR_NULL;
    if (err == NULL)
        err = auth_refresh_token_insert(scope, call->user->id, call->session_id, parent,
                                        &session->refresh_token);
    if (err == NULL)
        err = auth_session_read(scope, call->session_id, session);
    if (err == NULL)
        err = auth_user_reload(scope, &call->user);
    return err != NULL ? err : auth_session_json(scope, call->user, session, STR_NULL, json);
}

static err_t *check_totp(auth_call_t *call, const auth_factor_t *factor, str_t code)
{
    if (code.len == 0)
        return call_error(call, 400, "validation_failed", "Code needs to be non-empty");
    if (totp_is_valid(call->pool, factor->secret, code, clock_unix()))
        return NULL;
    call_count_guess(call, call->user->id);
    return call_error(call, 422, "mfa_verification_failed", "Invalid TOTP code entered");
}

err_t *factor_verify_endpoint(auth_call_t *call)
{
    str_t json, challenge_id = call_str(call, "challenge_id"), code = call_str(call, "code");
    auth_factor_t factor;
    auth_session_t session = {0};
    auth_actor_t actor = auth_actor_of(call->pool, call->user);
    err_t *err = call_body_error(call);
    if (err == NULL)
        err = require_session(call);
    if (err == NULL)
        err = call_check_guesses(call, call->user->id);
    if (err == NULL)
        err = factor_load(call, call->path_params[0], call->user->id, &factor);
    if (err == NULL && !config_bool(call->scope.config, "GOTRUE_MFA_TOTP_VERIFY_ENABLED"))
        err = call_error(call, 422, "mfa_totp_verify_not_enabled", "MFA verification is disabled for TOTP");
    if (err == NULL)
        err = check_challenge(call, challenge_id, &factor);
    if (err == NULL)
        err = check_totp(call, &factor, code);
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "verification_attempted", factor_traits(call, &factor));
    if (err == NULL)
        err = raise_session(call, challenge_id, &factor);
    if (err == NULL)
        err = renew_tokens(call, &session, &json);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply_session(call, &session, json);
    return auth_db_error(&call->scope, err, "Database error verifying the factor");
}

err_t *factor_delete_endpoint(auth_call_t *call)
{
    auth_factor_t factor;
    auth_actor_t actor = auth_actor_of(call->pool, call->user);
    err_t *err = require_session(call);
    if (err == NULL)
        err = factor_load(call, call->path_params[0], call->user->id, &factor);
    if (err == NULL && factor.is_verified && !is_aal2(call))
        err = call_error(call, 422, "insufficient_aal", "AAL2 required to unenroll verified factor");
    if (err == NULL)
        err = auth_audit(&call->scope, &actor, "factor_unenrolled", factor_traits(call, &factor));
    if (err == NULL)
        err = factor_remove(&call->scope, factor.id);
    if (err == NULL)
        err = auth_commit(&call->scope);
    if (err == NULL)
        call_reply(call, 200, auth_trait(call->pool, "id", factor.id));
    return auth_db_error(&call->scope, err, "Database error removing the factor");
}
