#include "functions/idm.h"

#include "base/clock.h"
#include "base/observe.h"
#include "functions/sign_in.h"

#define SESSION_MINUTES 480

typedef struct {
    api_task_t *task;
    auth_scope_t *scope;
    const idm_settings_t *settings;
    const directory_person_t *person;
    str_t email, groups_json, role;
    const char *source, *method; /* as profiles and audit_logs spell them */
    const char *failure;         /* what the person is told when the step at hand fails */
    bool tells_why;              /* with the database's own message behind it */
} entry_t;

/* Most certain first: the same directory's name, an address, an address that older versions made up. */
static const char FIND_SQL[] =
    "select id, coalesce(idm_disabled, false) from public.profiles"
    " where (lower(idm_uid) = lower($1) and idm_source = $2)"
    "    or lower(email) = lower($3)"
    "    or ($2 = 'freeipa' and lower(email) in (lower($1) || '@idm.local', lower($1) || '@idm.example.com',"
    "                                            lower($1) || '@idm.internal'))"
    " order by (lower(idm_uid) = lower($1) and idm_source = $2) is true desc,"
    "          (lower(email) = lower($3)) desc, created_at"
    " limit 1";

static const char UPDATE_SQL[] =
    "update public.profiles"
    "   set email = $2, full_name = coalesce($3, full_name), idm_uid = $4, idm_source = $5, idm_user_dn = $6,"
    "       idm_groups = $7::jsonb, idm_mail = $8, idm_title = $9, idm_department = $10, last_idm_sync = "
    "now()"
    " where id = $1::uuid";

/* Named in advance: by user name, in this domain or the domain's short form. */
static const char MANAGED_SQL[] =
    "select app_role from public.managed_users"
    " where is_active and lower(ad_username) = lower($1)"
    "   and lower(ad_domain) in (lower($2), lower($3), split_part(lower($2), '.', 1),"
    "                            split_part(lower($3), '.', 1))"
    " order by created_at limit 1";

static const char MAPPINGS_SQL[] = "select coalesce(nullif(idm_group_dn, ''), idm_group_name), app_role"
                                   "  from public.idm_group_mappings where is_active"
                                   " order by priority nulls last, idm_group_name";

static const char ROLES_SQL[] =
    "with gone as (delete from public.user_roles"
    "               where user_id = $1::uuid and role <> $2::public.app_role)"
    " insert into public.user_roles (user_id, role)"
    " values ($1::uuid, $2::public.app_role) on conflict (user_id, role) do nothing";

static const char SESSION_SQL[] =
    "insert into public.idm_auth_sessions (user_id, idm_uid, idm_user_dn, idm_groups, mapped_role,"
    "                                      auth_method, session_expires_at, ip_address, user_agent)"
    " values ($1::uuid, $2, coalesce($3, ''), $4::jsonb, $5::public.app_role, $6, to_timestamp($7::bigint),"
    "         $8, $9)";

static const char AUDIT_SQL[] =
    "insert into public.audit_logs (user_id, action, auth_source, auth_method, idm_user_dn,"
    "                               idm_groups_at_login, ip_address, details)"
    " values ($1::uuid, 'idm_login', $2, $3, $4, $5::jsonb, $6,"
    "         jsonb_build_object('username', $7::text, 'mapped_role', $8::text, 'canonical_principal', "
    "$9::text,"
    "                            'realm', $10::text, 'is_ad_trust_user', $11::boolean))";

static str_t groups_json(pool_t *pool, const directory_person_t *person)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 256);
    emit_init(&emit, &out);
    emit_array_begin(&emit);
    for (size_t i = 0; i < person->group_count; i++)
        emit_string(&emit, person->groups[i]);
    emit_array_end(&emit);
    return buf_str(&out);
}

static str_t metadata(const entry_t *entry)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, entry->task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "full_name",
                   entry->person->full_name.len > 0 ? entry->person->full_name : entry->person->uid);
    emit_kv_string(&emit, "idm_uid", entry->person->uid);
    emit_kv_string(&emit, "idm_source", str_from_c(entry->source));
    emit_object_end(&emit);
    return buf_str(&out);
}

static err_t *disabled(pool_t *pool)
{
    return auth_error(pool, 403, "user_banned", "Account is disabled");
}

/* The address follows the directory, unless somebody else has it. */
static err_t *follow_address(entry_t *entry, auth_user_t *user)
{
    auth_user_t *other = NULL;
    auth_scope_t *scope = entry->scope;
    if (str_eq_nocase(user->email, entry->email))
        return NULL;
    err_t *err = sign_in_find_email(scope, entry->email, &other);
    if (err != NULL || other != NULL) {
        entry->email = user->email;
        return err;
    }
    err = auth_query(scope, STR("update auth.users set email = $2, updated_at = now() where id = $1::uuid"),
                     DB_PARAMS(user->id, entry->email), NULL);
    if (err == NULL)
        err = auth_query(scope,
                         STR("update auth.identities"
                             "   set identity_data = identity_data || jsonb_build_object('email', $2::text)"
                             " where user_id = $1::uuid and provider = 'email'"),
                         DB_PARAMS(user->id, entry->email), NULL);
    return err;
}

static void step(entry_t *entry, const char *failure, bool tells_why)
{
    entry->failure = failure;
    entry->tells_why = tells_why;
}

static err_t *find_or_create(entry_t *entry, auth_user_t **user)
{
    db_rows_t rows = {0};
    auth_scope_t *scope = entry->scope;
    err_t *err = sign_in_as_service(scope);
    if (err == NULL)
        err = auth_query(scope, FN_SQL(FIND_SQL),
                         DB_PARAMS(entry->person->uid, str_from_c(entry->source), entry->email), &rows);
    if (err == NULL && rows.row_count > 0 && str_eq(db_value(&rows, 0, 1), STR("t")))
        err = disabled(scope->pool);
    if (err == NULL)
        err = sign_in_as_auth(scope);
    if (err == NULL && rows.row_count > 0) {
        err = sign_in_find_user(scope, db_value(&rows, 0, 0), user);
        if (err == NULL && *user == NULL) { /* the schema's foreign key forbids such profiles */
            step(entry, "Failed to sync user account", false);
            return auth_error(scope->pool, 500, "unexpected_failure", "The profile has no user");
        }
    } else if (err == NULL)
        err = sign_in_find_email(scope, entry->email, user);
    if (err == NULL && *user == NULL)
        return sign_in_create_user(scope, entry->email, metadata(entry), user);
    return err != NULL ? err : follow_address(entry, *user);
}

static err_t *choose_role(entry_t *entry)
{
    db_rows_t rows = {0};
    const directory_person_t *person = entry->person;
    err_t *err = auth_query(
        entry->scope, FN_SQL(MANAGED_SQL),
        DB_PARAMS(person->uid, person->is_ad ? person->ad_domain : person->realm, person->realm), &rows);
    if (err != NULL || rows.row_count > 0) {
        entry->role = err == NULL ? db_value(&rows, 0, 0) : STR_NULL;
        return err;
    }
    entry->role = STR("viewer");
    err = auth_query(entry->scope, FN_SQL(MAPPINGS_SQL), NULL, 0, &rows);
    for (size_t i = 0; err == NULL && i < rows.row_count; i++) {
        if (idm_is_member(entry->task->pool, db_value(&rows, i, 0), person)) {
            entry->role = db_value(&rows, i, 1);
            break;
        }
    }
    return err;
}

static str_t or_null(str_t text)
{
    return text.len > 0 ? text : STR_NULL;
}

/* What the product keeps about the sign-in, as the service role. */
static err_t *enter_books(entry_t *entry, str_t user_id, int64_t expires_at)
{
    const directory_person_t *person = entry->person;
    auth_scope_t *scope = entry->scope;
    str_t uid = person->uid, source = str_from_c(entry->source), method = str_from_c(entry->method);
    str_t until = pool_printf(scope->pool, "%lld", (long long)expires_at);
    err_t *err = sign_in_as_service(scope);
    if (err == NULL)
        err = choose_role(entry);
    if (err == NULL)
        err = auth_query(scope, FN_SQL(UPDATE_SQL),
                         DB_PARAMS(user_id, entry->email, or_null(person->full_name), uid, source,
                                   or_null(person->dn), entry->groups_json, or_null(person->email),
                                   or_null(person->title), or_null(person->department)),
                         NULL);
    if (err == NULL)
        err = auth_query(scope, FN_SQL(ROLES_SQL), DB_PARAMS(user_id, entry->role), NULL);
    if (err == NULL)
        err = auth_query(scope, FN_SQL(SESSION_SQL),
                         DB_PARAMS(user_id, uid, or_null(person->dn), entry->groups_json, entry->role, method,
                                   until, entry->task->client_addr, scope->user_agent),
                         NULL);
    if (err == NULL)
        err = auth_query(scope, FN_SQL(AUDIT_SQL),
                         DB_PARAMS(user_id, source, method, or_null(person->dn), entry->groups_json,
                                   entry->task->client_addr, uid, entry->role, person->principal,
                                   person->realm, person->is_ad ? STR("true") : STR("false")),
                         NULL);
    return err != NULL ? err : sign_in_as_auth(scope);
}

static err_t *enter(entry_t *entry, int64_t expires_at, auth_user_t **user, auth_session_t *session)
{
    step(entry, "Internal server error", false);
    err_t *err = auth_begin(entry->scope);
    if (err == NULL) {
        step(entry, "Failed to provision user account", true);
        err = find_or_create(entry, user);
    }
    if (err == NULL)
        err = enter_books(entry, (*user)->id, expires_at);
    if (err == NULL)
        err = auth_user_reload(entry->scope, user);
    if (err == NULL) {
        step(entry, "Failed to create session", false);
        err = sign_in_open(entry->scope, *user, "password", session);
    }
    return err != NULL ? err : auth_commit(entry->scope);
}

static void reply_entered(const entry_t *entry, const auth_user_t *user, const auth_session_t *session,
                          int64_t expires_at)
{
    buf_t out;
    emit_t emit;
    const directory_person_t *person = entry->person;
    buf_init(&out, entry->task->pool, 2048);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_kv_string(&emit, "user_id", user->id);
    emit_kv_string(&emit, "email", entry->email);
    emit_kv_string(&emit, "idm_uid", person->uid);
    emit_kv_string(&emit, "canonical_principal", person->principal);
    emit_kv_string(&emit, "realm", person->realm);
    emit_kv_bool(&emit, "is_ad_trust_user", person->is_ad);
    emit_kv_string(&emit, "role", entry->role);
    emit_kv_raw(&emit, "idm_groups", entry->groups_json);
    emit_kv_string(&emit, "access_token", session->access_token);
    emit_kv_string(&emit, "refresh_token", session->refresh_token);
    emit_kv_int(&emit, "expires_at", expires_at);
    emit_object_end(&emit);
    auth_session_mark_reply(entry->task, session);
    fn_reply(entry->task, 200, buf_str(&out));
}

static void fail(const entry_t *entry, const err_t *err)
{
    api_task_t *task = entry->task;
    str_t what = str_from_c(entry->failure);
    bool is_taken = str_eq(err->code, STR("email_exists")) || str_eq(err->code, STR("23505"));
    if (err->status == 403)
        fn_fail_success(task, 403, err->message);
    else if (is_taken)
        fn_fail_success(task, 500, STR("User account conflict - please contact administrator"));
    else
        fn_fail_success(
            task, 500,
            entry->tells_why ? pool_concat(task->pool, 3, what, STR(": "), fn_error_text(task, err)) : what);
}

bool idm_sign_in(api_task_t *task, const idm_settings_t *settings, const directory_person_t *person)
{
    auth_scope_t scope;
    auth_user_t *user = NULL;
    auth_session_t session;
    int64_t minutes = settings->session_minutes > 0 ? settings->session_minutes : SESSION_MINUTES;
    int64_t expires_at = clock_unix() + minutes * 60;
    entry_t entry = {.task = task,
                     .scope = &scope,
                     .settings = settings,
                     .person = person,
                     .email = idm_address(task->pool, settings, person),
                     .groups_json = groups_json(task->pool, person),
                     .source = person->is_ad ? "ad_trust" : "freeipa",
                     .method = person->is_ad ? "ad_trust" : "freeipa_ldap"};
    auth_scope_init(&scope, task->gateway, task->pool, task->client_addr,
                    api_task_header(task, "user-agent"));
    scope.deadline_us = task->deadline_us;
    err_t *err = enter(&entry, expires_at, &user, &session);
    auth_rollback(&scope);
    if (err != NULL) {
        idm_audit_failure(task, person->uid, err->status == 403 ? "account disabled" : "account trouble");
        observe(LOG_WARN, "idm_sign_in_failed", F_STR("code", err->code), F_STR("message", err->message));
        fail(&entry, err);
        return false;
    }
    reply_entered(&entry, user, &session, expires_at);
    return true;
}

void idm_audit_failure(api_task_t *task, str_t username, const char *reason)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "username", str_slice(username, 0, 320));
    emit_kv_string(&emit, "reason", str_from_c(reason));
    emit_object_end(&emit);
    sign_in_audit_failure(task, "idm_login_failed", buf_str(&out));
}
