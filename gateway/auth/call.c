#include "auth/call.h"

#include "base/clock.h"
#include "base/read_json.h"

static const json_t *member(auth_call_t *call, const char *name, bool (*is_type)(const json_t *),
                            const char *expected)
{
    const json_t *value = json_object_get(call->body, name);
    if (value == NULL || json_is_null(value))
        return NULL;
    if (is_type(value))
        return value;
    if (call->body_error == NULL)
        call->body_error =
            call_error(call, 400, "bad_json", "Could not parse request body as JSON: member %s must be %s",
                       name, expected);
    return NULL;
}

static bool is_string(const json_t *value)
{
    return json_is_string(value);
}

static bool is_object(const json_t *value)
{
    return json_is_object(value);
}

static bool is_bool(const json_t *value)
{
    return json_is_boolean(value);
}

str_t call_str(auth_call_t *call, const char *name)
{
    const json_t *value = member(call, name, is_string, "a string");
    return value == NULL ? STR_NULL : str_make(json_string_value(value), json_string_length(value));
}

const json_t *call_object(auth_call_t *call, const char *name)
{
    return member(call, name, is_object, "an object");
}

bool call_bool(auth_call_t *call, const char *name, bool absent)
{
    const json_t *value = member(call, name, is_bool, "a boolean");
    return value == NULL ? absent : json_is_true(value);
}

err_t *call_body_error(const auth_call_t *call)
{
    return call->body_error;
}

str_t call_param(auth_call_t *call, const char *name)
{
    str_t value = api_task_query(call->task, name);
    str_t type = api_task_header(call->task, "content-type");
    str_t rest = call->task->body;
    if (!str_is_null(value) || !str_starts_with(type, STR("application/x-www-form-urlencoded")))
        return value;
    while (rest.len > 0) {
        str_t pair = str_split(&rest, '&');
        str_t key = str_split(&pair, '=');
        if (str_eq(api_url_decode(call->pool, key, true), str_from_c(name)))
            return api_url_decode(call->pool, pair, true);
    }
    return STR_NULL;
}

static bool is_listed(str_t list, str_t wanted)
{
    while (!str_is_null(list))
        if (str_eq(str_trim(str_split(&list, ',')), wanted) && wanted.len > 0)
            return true;
    return false;
}

static bool is_admin_role(const auth_call_t *call, str_t role)
{
    return is_listed(config_str(call->scope.config, "GOTRUE_JWT_ADMIN_ROLES"), role);
}

str_t call_audience(auth_call_t *call)
{
    str_t header = api_task_header(call->task, "x-jwt-aud");
    if (header.len > 0)
        return header;
    if (call->claims != NULL && !is_admin_role(call, read_json_str(call->claims, "role"))) {
        const json_t *aud = json_object_get(call->claims, "aud");
        if (json_is_array(aud))
            aud = json_array_get(aud, 0);
        if (json_is_string(aud) && json_string_length(aud) > 0)
            return str_from_c(json_string_value(aud));
    }
    str_t fallback = config_str(call->scope.config, "GOTRUE_JWT_AUD");
    return str_is_null(fallback) ? STR("") : fallback;
}

static err_t *refuse_token(auth_call_t *call, const char *why)
{
    return call_error(call, 403, "bad_jwt", "invalid JWT: unable to parse or verify signature, %s", why);
}

/* GoTrue's own rule: exp and nbf without leeway when present, nothing else. */
static err_t *check_times(auth_call_t *call)
{
    double now = (double)clock_unix_ms() / 1000;
    const json_t *exp = json_object_get(call->claims, "exp"), *nbf = json_object_get(call->claims, "nbf");
    bool is_bad = (exp != NULL && !json_is_number(exp)) || (nbf != NULL && !json_is_number(nbf));
    if (is_bad)
        return refuse_token(call, "token is malformed: exp and nbf must be numbers");
    if (exp != NULL && json_number_value(exp) <= now)
        return refuse_token(call, "token has invalid claims: token is expired");
    if (nbf != NULL && json_number_value(nbf) > now)
        return refuse_token(call, "token has invalid claims: token is not valid yet");
    return NULL;
}

static err_t *read_bearer(auth_call_t *call, bool takes_apikey)
{
    str_t text;
    json_t *claims = NULL;
    api_task_t *task = call->task;
    if (str_is_null(task->bearer) || (!task->has_authorization && !takes_apikey))
        return call_error(call, 401, "no_authorization", "This endpoint requires a valid Bearer token");
    err_t *err = token_read_signed(call->auth->gateway->tokens, call->pool, task->bearer, &text);
    if (err != NULL)
        return refuse_token(call, pool_cstr(call->pool, err->message));
    if (read_json(call->pool, text, NULL, &claims) != NULL)
        return refuse_token(call, "token is malformed");
    call->claims = claims;
    return check_times(call);
}

/* The session that the token names; the null string when it names none. */
static err_t *read_session_claim(auth_call_t *call, str_t *out)
{
    str_t id = read_json_str(call->claims, "session_id");
    *out = id.len == 0 || str_eq(id, STR(AUTH_ZERO_UUID)) ? STR_NULL : id;
    if (!str_is_null(*out) && !str_is_uuid(id))
        return call_error(call, 403, "bad_jwt", "invalid claim: session_id claim must be a UUID");
    return NULL;
}

static err_t *refuse_session(auth_call_t *call)
{
    return call_error(call, 403, "session_not_found", "Session from session_id claim in JWT does not exist");
}

static err_t *load_user(auth_call_t *call, str_t sub, str_t session_id)
{
    auth_session_facts_t session;
    err_t *err = auth_user_find_in_session(&call->scope, sub, session_id, &call->user, &session);
    if (err != NULL)
        return err;
    if (call->user == NULL)
        return call_error(call, 403, "user_not_found", "User from sub claim in JWT does not exist");
    if (!str_is_null(session_id) && str_is_null(session.id))
        return refuse_session(call);
    if (call->user->is_banned)
        return call_error(call, 403, "user_banned", "User is banned");
    call->session_id = session.id;
    call->session_aal = session.aal;
    call->session_created_ms = session.created_ms;
    return NULL;
}

err_t *call_authenticate(auth_call_t *call)
{
    str_t session_id = STR_NULL;
    err_t *err = read_bearer(call, false);
    if (err != NULL)
        return err;
    str_t sub = read_json_str(call->claims, "sub");
    if (sub.len == 0)
        return call_error(call, 403, "bad_jwt", "invalid claim: missing sub claim");
    if (!str_is_uuid(sub))
        return call_error(call, 400, "bad_jwt", "invalid claim: sub claim must be a UUID");
    err = read_session_claim(call, &session_id);
    if (err == NULL)
        err = auth_begin(&call->scope);
    return err != NULL ? err : load_user(call, sub, session_id);
}

/* An administrator's token with a session needs it alive and within its limits. */
static err_t *check_admin_session(auth_call_t *call, str_t session_id)
{
    db_rows_t rows;
    err_t *err = auth_begin(&call->scope);
    if (err == NULL)
        err = auth_query(
            &call->scope,
            STR("select coalesce(not_after < now(), false) from auth.sessions where id = $1::uuid"),
            &session_id, 1, &rows);
    auth_rollback(&call->scope);
    if (err != NULL)
        return err;
    if (rows.row_count == 0)
        return refuse_session(call);
    return str_eq(db_value(&rows, 0, 0), STR("t"))
               ? call_error(call, 403, "session_expired", "Session Expired")
               : NULL;
}

err_t *call_require_admin(auth_call_t *call)
{
    str_t session_id = STR_NULL;
    err_t *err = read_bearer(call, true);
    if (err != NULL)
        return err;
    call->admin_role = read_json_str(call->claims, "role");
    if (!is_admin_role(call, call->admin_role))
        return call_error(call, 403, "not_admin", "User not allowed");
    err = read_session_claim(call, &session_id);
    return err != NULL || str_is_null(session_id) ? err : check_admin_session(call, session_id);
}

auth_actor_t call_admin(const auth_call_t *call)
{
    return auth_actor_admin(call->admin_role);
}

void call_reply(auth_call_t *call, int status, str_t json)
{
    call->task->status = status;
    call->task->reply = json;
}

void call_reply_session(auth_call_t *call, const auth_session_t *session, str_t json)
{
    auth_session_mark_reply(call->task, session);
    call_reply(call, 200, json);
}
