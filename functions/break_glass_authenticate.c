#include "auth/password.h"
#include "base/crypt.h"
#include "functions/lockout.h"
#include "functions/sign_in.h"

#define TRIES_MAX 3
#define LOCK_MINUTES 60

typedef struct {
    str_t id, email, full_name;
    str_t stored; /* password_hash as it stands */
    str_t slow;   /* to be stored in its place; null string: it is slow already */
    bool is_known;
} account_t;

/* One answer for an account that is not there, asleep, or has another password: it tells nothing about which
 * accounts exist. */
static const char REFUSED[] = "Invalid credentials or account not active";

static const char ACCOUNT_SQL[] = "select id, email, full_name, password_hash"
                                  "  from public.break_glass_admins where email = $1 and is_active";

static const char USE_SQL[] = "update public.break_glass_admins"
                              "   set use_count = coalesce(use_count, 0) + 1, last_used_at = now(),"
                              "       password_hash = coalesce($2, password_hash)"
                              " where id = $1::uuid and is_active and password_hash = $3 returning use_count";

static const char PROFILE_SQL[] = "select id from public.profiles where lower(email) = lower($1)"
                                  " order by created_at limit 1";

static const char ROLE_SQL[] = "insert into public.user_roles (user_id, role) values ($1::uuid, 'admin')"
                               " on conflict (user_id, role) do nothing";

static const char AUDIT_SQL[] =
    "insert into public.audit_logs (user_id, action, auth_source, auth_method, ip_address, details)"
    " values ($1::uuid, 'break_glass_login', 'break_glass', 'password', $2,"
    "         jsonb_build_object('admin_id', $3::text, 'admin_email', $4::text, 'use_count', $5::int))";

static err_t *read_account(api_task_t *task, str_t email, account_t *out)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(ACCOUNT_SQL), DB_PARAMS(email), &rows);
    db_session_rollback(session);
    *out = (account_t){0};
    if (err != NULL || rows.row_count == 0)
        return err;
    *out = (account_t){.id = db_value(&rows, 0, 0),
                       .email = db_value(&rows, 0, 1),
                       .full_name = db_value(&rows, 0, 2),
                       .stored = db_value(&rows, 0, 3),
                       .is_known = true};
    return NULL;
}

static void refuse(api_task_t *task, str_t email, const char *reason)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "email", str_slice(email, 0, 320));
    emit_kv_string(&emit, "reason", str_from_c(reason));
    emit_object_end(&emit);
    sign_in_audit_failure(task, "break_glass_login_failed", buf_str(&out));
}

static err_t *find_or_create(auth_scope_t *scope, const account_t *account, auth_user_t **user)
{
    db_rows_t rows = {0};
    buf_t out;
    emit_t emit;
    err_t *err = sign_in_as_service(scope);
    if (err == NULL)
        err = auth_query(scope, FN_SQL(PROFILE_SQL), DB_PARAMS(account->email), &rows);
    if (err == NULL)
        err = sign_in_as_auth(scope);
    if (err != NULL)
        return err;
    if (rows.row_count > 0)
        return sign_in_find_user(scope, db_value(&rows, 0, 0), user);
    buf_init(&out, scope->pool, 96);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "full_name", account->full_name);
    emit_kv_bool(&emit, "break_glass", true);
    emit_object_end(&emit);
    return sign_in_create_user(scope, account->email, buf_str(&out), user);
}

/* The account is used up, the role is there, the row is written: all or nothing with the session. */
static err_t *enter_books(api_task_t *task, auth_scope_t *scope, const account_t *account, str_t user_id)
{
    db_rows_t rows = {0};
    err_t *err = sign_in_as_service(scope);
    if (err == NULL)
        err =
            auth_query(scope, FN_SQL(USE_SQL), DB_PARAMS(account->id, account->slow, account->stored), &rows);
    if (err == NULL && rows.row_count == 0)
        err = err_make(task->pool, 401, ERR_FAMILY_AUTH, "", "%s", REFUSED);
    if (err == NULL)
        err = auth_query(scope, FN_SQL(ROLE_SQL), DB_PARAMS(user_id), NULL);
    if (err == NULL)
        err = auth_query(
            scope, FN_SQL(AUDIT_SQL),
            DB_PARAMS(user_id, task->client_addr, account->id, account->email, db_value(&rows, 0, 0)), NULL);
    return err != NULL ? err : sign_in_as_auth(scope);
}

static err_t *sign_in(api_task_t *task, auth_scope_t *scope, const account_t *account, auth_user_t **user,
                      auth_session_t *session)
{
    err_t *err = auth_begin(scope);
    if (err == NULL)
        err = find_or_create(scope, account, user);
    if (err == NULL && *user == NULL)
        err = err_make(task->pool, 500, ERR_FAMILY_AUTH, "", "Failed to create session");
    if (err == NULL)
        err = enter_books(task, scope, account, (*user)->id);
    if (err == NULL)
        err = sign_in_open(scope, *user, "password", session);
    return err != NULL ? err : auth_commit(scope);
}

static void reply_session(api_task_t *task, const account_t *account, const auth_user_t *user,
                          const auth_session_t *session)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 1536);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_key(&emit, STR("user"));
    emit_object_begin(&emit);
    emit_kv_string(&emit, "id", user->id);
    emit_kv_string(&emit, "email", account->email);
    emit_kv_string(&emit, "full_name", account->full_name);
    emit_kv_string(&emit, "role", STR("admin"));
    emit_kv_bool(&emit, "break_glass", true);
    emit_object_end(&emit);
    emit_kv_string(&emit, "access_token", session->access_token);
    emit_kv_string(&emit, "refresh_token", session->refresh_token);
    emit_object_end(&emit);
    auth_session_mark_reply(task, session);
    fn_reply(task, 200, buf_str(&out));
}

static void fail(api_task_t *task, const err_t *err)
{
    bool is_ours = err->family != ERR_FAMILY_DATABASE && err->status >= 400 && err->status < 500;
    fn_fail_success(task, is_ours ? err->status : 500, is_ours ? err->message : STR("Internal server error"));
}

/* The interface stores the unsalted SHA-256 that it makes in the browser. The first good sign-in replaces it
 * by bcrypt over that digest, of which also passwords beyond 72 bytes have one. Every try costs one bcrypt,
 * so that its time tells nothing about which accounts exist. */
static bool is_password(api_task_t *task, account_t *account, str_t password)
{
    str_t digest = crypt_sha256_hex(task->pool, password);
    if (account->is_known && password_is_bcrypt(account->stored))
        return password_verify(task->pool, digest, account->stored, NULL);
    bool is_right = account->is_known && account->stored.len == digest.len &&
                    crypt_equal(digest, pool_lower(task->pool, account->stored));
    if (is_right)
        account->slow = password_hash(task->pool, digest);
    else
        password_waste_time(task->pool, digest);
    return is_right;
}

static void authenticate(api_task_t *task, const lockout_t *lock, str_t password)
{
    account_t account;
    auth_scope_t scope;
    auth_user_t *user = NULL;
    auth_session_t session;
    err_t *err = read_account(task, lock->identifier, &account);
    if (err != NULL) {
        lockout_release(task, lock);
        fail(task, err);
        return;
    }
    if (!is_password(task, &account, password)) {
        refuse(task, lock->identifier, account.is_known ? "wrong password" : "no active account");
        fn_fail_success(task, 401, str_from_c(REFUSED));
        return;
    }
    auth_scope_init(&scope, task->gateway, task->pool, task->client_addr,
                    api_task_header(task, "user-agent"));
    scope.deadline_us = task->deadline_us;
    err = sign_in(task, &scope, &account, &user, &session);
    auth_rollback(&scope);
    if (err == NULL)
        err = lockout_success(task, lock);
    if (err != NULL)
        fail(task, err);
    else
        reply_session(task, &account, user, &session);
}

void fn_break_glass_authenticate(api_task_t *task)
{
    json_t *body = NULL;
    if (!fn_body(task, &body, fn_fail_success))
        return;
    str_t password = read_json_str(body, "password");
    lockout_t lock = {.identifier = read_json_str(body, "email"),
                      .type = "break_glass_email",
                      .max = TRIES_MAX,
                      .minutes = LOCK_MINUTES};
    if (lock.identifier.len == 0 || password.len == 0) {
        fn_fail_success(task, 400, STR("Email and password are required"));
        return;
    }
    err_t *err = lockout_enter(task, &lock);
    if (err != NULL) {
        fail(task, err);
    } else if (lock.is_locked) {
        refuse(task, lock.identifier, "locked");
        lockout_reply(task, &lock, "Account locked due to too many failed attempts");
    } else {
        authenticate(task, &lock, password);
    }
}
