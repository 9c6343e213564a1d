#include "auth/audit.h"
#include "auth/session.h"
#include "base/clock.h"

/* The token row, its session and the family's newest usable token, all read under the session's lock. */
typedef struct {
    str_t user_id, session_id, oauth_client_id;
    str_t active_token, active_parent; /* newest token of the family that is not revoked */
    bool is_revoked, has_session;
    int64_t token_updated_ms, session_created_ms, session_refreshed_ms, not_after_ms;
} family_t;

static err_t *refuse(auth_scope_t *scope, const char *code, const char *message)
{
    return auth_error(scope->pool, 400, code, "Invalid Refresh Token: %s", message);
}

/* Waits for the row lock of the session: two tabs that refresh at once come one after the other. */
static err_t *lock_family(auth_scope_t *scope, str_t token)
{
    return auth_query(
        scope,
        STR("select s.id from auth.sessions s where s.id = (select r.session_id from auth.refresh_tokens r "
            "where r.token = $1) for no key update"),
        &token, 1, NULL);
}

#define MS(column) "coalesce((extract(epoch from " column ") * 1000)::bigint, 0)"

static err_t *read_family(auth_scope_t *scope, str_t token, family_t *out, bool *is_found)
{
    db_rows_t rows;
    err_t *err =
        auth_query(scope,
                   STR("select r.user_id, s.id, s.oauth_client_id, a.token, a.parent, coalesce(r.revoked, "
                       "false), " MS("r.updated_at") ", " MS("s.created_at") ", " MS(
                           "s.refreshed_at at time zone "
                           "'UTC'") ", " MS("s.not_after") " from auth.refresh_tokens r left join "
                                                           "auth.sessions s on s.id = "
                                                           "r.session_id "
                                                           "left join lateral (select t.token, t.parent from "
                                                           "auth.refresh_tokens t "
                                                           "where t.session_id = s.id and "
                                                           "not t.revoked order by t.id desc limit 1) a on "
                                                           "true where r.token = $1"),
                   &token, 1, &rows);
    *is_found = err == NULL && rows.row_count > 0;
    if (!*is_found)
        return err;
    *out = (family_t){.user_id = db_value(&rows, 0, 0),
                      .session_id = db_value(&rows, 0, 1),
                      .oauth_client_id = db_value(&rows, 0, 2),
                      .active_token = db_value(&rows, 0, 3),
                      .active_parent = db_value(&rows, 0, 4),
                      .is_revoked = str_eq(db_value(&rows, 0, 5), STR("t")),
                      .has_session = !str_is_null(db_value(&rows, 0, 1))};
    int64_t *times[] = {&out->token_updated_ms, &out->session_created_ms, &out->session_refreshed_ms,
                        &out->not_after_ms};
    for (size_t i = 0; i < 4; i++)
        if (!str_to_int64(db_value(&rows, 0, 6 + i), times[i]))
            return err_bug(scope->pool, "epoch is no number");
    return NULL;
}

/* Timebox, inactivity and not_after; all off by default. */
static err_t *check_limits(auth_scope_t *scope, const family_t *family)
{
    int64_t now = clock_unix_ms();
    int64_t timebox = config_int(scope->config, "GOTRUE_SESSIONS_TIMEBOX");
    int64_t inactivity = config_int(scope->config, "GOTRUE_SESSIONS_INACTIVITY_TIMEOUT");
    int64_t last_used =
        family->session_refreshed_ms > 0 ? family->session_refreshed_ms : family->session_created_ms;
    last_used = family->token_updated_ms > last_used ? family->token_updated_ms : last_used;
    if ((family->not_after_ms > 0 && now > family->not_after_ms) ||
        (timebox > 0 && now > family->session_created_ms + timebox))
        return refuse(scope, "session_expired", "Session Expired");
    if (inactivity > 0 && now > last_used + inactivity)
        return refuse(scope, "session_expired", "Session Expired (Inactivity)");
    return NULL;
}

/* With one session per user, only the one used last may go on. */
static err_t *check_single(auth_scope_t *scope, const family_t *family)
{
    db_rows_t rows;
    if (!config_bool(scope->config, "GOTRUE_SESSIONS_SINGLE_PER_USER"))
        return NULL;
    err_t *err = auth_query(
        scope,
        STR("select from auth.sessions o, auth.sessions s where s.id = $2::uuid and o.user_id = $1::uuid "
            "and o.id <> s.id and coalesce(o.refreshed_at at time zone 'UTC', o.created_at) > "
            "coalesce(s.refreshed_at at time zone 'UTC', s.created_at) limit 1"),
        DB_PARAMS(family->user_id, family->session_id), &rows);
    if (err == NULL && rows.row_count > 0)
        err = refuse(scope, "session_expired", "Session Expired (Revoked by Newer Login)");
    return err;
}

static err_t *check_family(auth_scope_t *scope, const family_t *family, const auth_user_t *user)
{
    if (user == NULL)
        return refuse(scope, "refresh_token_not_found", "Refresh Token Not Found");
    if (user->is_banned)
        return refuse(scope, "user_banned", "User Banned");
    if (!family->has_session)
        return refuse(scope, "session_not_found", "No Valid Session Found");
    if (!str_is_null(family->oauth_client_id))
        return auth_error(scope->pool, 400, "invalid_client",
                          "Client authentication required for OAuth session");
    err_t *err = check_limits(scope, family);
    return err != NULL ? err : check_single(scope, family);
}

/* A token that was rotated long ago is in two hands: the whole family ends, and that is kept although the
 * request fails. */
static err_t *revoke_family(auth_scope_t *scope, const family_t *family)
{
    err_t *err = NULL;
    if (config_bool(scope->config, "GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED"))
        err = auth_query(scope,
                         STR("update auth.refresh_tokens set revoked = true, updated_at = now() where "
                             "session_id = $1::uuid "
                             "and not revoked"),
                         &family->session_id, 1, NULL);
    if (err == NULL)
        err = auth_commit(scope);
    return err != NULL ? err : refuse(scope, "refresh_token_already_used", "Already Used");
}

/* Decides what the client gets: the active token again, or a fresh one. */
static err_t *choose_token(auth_scope_t *scope, const family_t *family, const auth_user_t *user, str_t token,
                           str_t *issued)
{
    *issued = STR_NULL;
    if (family->is_revoked) {
        int64_t window_ms = config_int(scope->config, "GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL") * 1000;
        if (!str_is_null(family->active_parent) && str_eq(family->active_parent, token))
            *issued = family->active_token; /* the client lost the answer */
        else if (clock_unix_ms() > family->token_updated_ms + window_ms)
            return revoke_family(scope, family);
    }
    auth_actor_t actor = auth_actor_of(scope->pool, user);
    err_t *err = auth_audit(scope, &actor, "token_refreshed", STR_NULL);
    if (err == NULL && str_is_null(*issued)) {
        err = auth_audit(scope, &actor, "token_revoked", STR_NULL);
        if (err == NULL)
            err = auth_refresh_token_insert(scope, family->user_id, family->session_id, token, issued);
    }
    return err;
}

static err_t *note_use(auth_scope_t *scope, const family_t *family)
{
    return auth_query(
        scope,
        STR("with u as (update auth.users set updated_at = now() where id = $4::uuid) "
            "update auth.sessions set refreshed_at = now() at time zone 'UTC', updated_at = now(), "
            "user_agent = $2, ip = $3::inet where id = $1::uuid"),
        DB_PARAMS(family->session_id, scope->user_agent, scope->client_addr, family->user_id), NULL);
}

static err_t *refresh_in_transaction(auth_scope_t *scope, str_t token, auth_session_t *session, str_t *json)
{
    family_t family;
    bool is_found = false;
    auth_user_t *user = NULL;
    err_t *err = lock_family(scope, token);
    if (err == NULL)
        err = read_family(scope, token, &family, &is_found);
    if (err == NULL && !is_found)
        err = refuse(scope, "refresh_token_not_found", "Refresh Token Not Found");
    if (err == NULL)
        err = auth_user_find(scope, AUTH_BY_ID, &family.user_id, 1, false, &user);
    if (err == NULL)
        err = check_family(scope, &family, user);
    if (err == NULL)
        err = choose_token(scope, &family, user, token, &session->refresh_token);
    if (err == NULL)
        err = auth_session_read(scope, family.session_id, session);
    if (err == NULL)
        err = note_use(scope, &family);
    if (err == NULL)
        err = auth_session_json(scope, user, session, STR_NULL, json);
    return err != NULL ? err : auth_commit(scope);
}

err_t *auth_session_refresh(auth_scope_t *scope, str_t refresh_token, auth_session_t *session, str_t *json)
{
    *session = (auth_session_t){0};
    err_t *err = auth_begin(scope);
    if (err == NULL)
        err = refresh_in_transaction(scope, refresh_token, session, json);
    auth_rollback(scope);
    return auth_db_error(scope, err, "Database error refreshing the session");
}
