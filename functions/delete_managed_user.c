#include "functions/delete_user.h"
#include "functions/fn.h"

/* The profile that signed in under the managed name: the bare name or name@domain, exactly. */
static const char READ_SQL[] =
    "select m.ad_username, m.ad_domain, m.display_name, p.id, p.email,"
    "       exists (select 1 from public.user_roles r where r.user_id = p.id),"
    "       exists (select 1 from public.user_roles r where r.user_id = p.id and r.role = 'admin')"
    "       and not exists (select 1 from public.user_roles r where r.user_id <> p.id and r.role = 'admin')"
    "  from public.managed_users m"
    "  left join lateral (select id, email from public.profiles"
    "                      where lower(idm_uid) in (lower(m.ad_username),"
    "                                               lower(m.ad_username || '@' || m.ad_domain))"
    "                      order by created_at limit 1) p on true"
    " where m.id = $1::uuid for update of m";

static const char AUDIT_SQL[] =
    "insert into public.audit_logs (user_id, action, auth_source, auth_method, ip_address, details)"
    " values ($1::uuid, 'user_deleted', 'local', 'admin_action', $2,"
    "         jsonb_build_object('managed_user_id', $3::text, 'ad_username', $4::text, 'ad_domain', $5::text,"
    "                            'display_name', $6::text, 'complete_removal', $7::boolean,"
    "                            'user_roles_deleted', $8::boolean, 'profile_deleted', $9::boolean,"
    "                            'auth_user_deleted', $9::boolean, 'profile_id', $10::text))";

typedef struct {
    str_t id, username, domain, display_name, profile_id;
    bool has_roles, is_last_admin, is_complete;
    /* What was done: */
    bool is_profile_deleted, is_sign_in_deleted;
} removal_t;

static str_t flag(bool value)
{
    return value ? STR("true") : STR("false");
}

/* Sets *is_found. */
static err_t *read_row(db_session_t *session, removal_t *removal, bool *is_found)
{
    db_rows_t rows = {0};
    err_t *err = delete_user_in_turn(session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(READ_SQL), DB_PARAMS(removal->id), &rows);
    *is_found = err == NULL && rows.row_count == 1;
    if (!*is_found)
        return err;
    removal->username = db_value(&rows, 0, 0);
    removal->domain = db_value(&rows, 0, 1);
    removal->display_name = db_value(&rows, 0, 2);
    removal->profile_id = db_value(&rows, 0, 3);
    removal->has_roles = str_eq(db_value(&rows, 0, 5), STR("t"));
    removal->is_last_admin = str_eq(db_value(&rows, 0, 6), STR("t"));
    return NULL;
}

static err_t *delete_rows(api_task_t *task, db_session_t *session, removal_t *removal)
{
    bool has_profile = removal->is_complete && !str_is_null(removal->profile_id);
    err_t *err = has_profile ? delete_user_rows(session, removal->profile_id) : NULL;
    removal->is_profile_deleted = has_profile;
    if (err == NULL)
        err = db_session_query(session, STR("delete from public.managed_users where id = $1::uuid"),
                               DB_PARAMS(removal->id), NULL);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(AUDIT_SQL),
                               DB_PARAMS(task->identity.sub, task->client_addr, removal->id,
                                         removal->username, removal->domain, removal->display_name,
                                         flag(removal->is_complete), flag(has_profile && removal->has_roles),
                                         flag(has_profile), removal->profile_id),
                               NULL);
    return err;
}

static str_t message_of(const removal_t *removal)
{
    if (!removal->is_complete)
        return STR("Authorization removed");
    if (removal->is_sign_in_deleted)
        return STR("User completely removed from system");
    if (removal->is_profile_deleted)
        return STR("User profile and roles removed (auth user may have been previously deleted)");
    return STR("Authorization removed (user had not logged in yet)");
}

static void reply_removed(api_task_t *task, const removal_t *removal)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_kv_string(&emit, "message", message_of(removal));
    emit_key(&emit, STR("details"));
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "managed_user_deleted", true);
    emit_kv_bool(&emit, "user_roles_deleted", removal->is_profile_deleted && removal->has_roles);
    emit_kv_bool(&emit, "profile_deleted", removal->is_profile_deleted);
    emit_kv_bool(&emit, "auth_user_deleted", removal->is_sign_in_deleted);
    emit_object_end(&emit);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

/* Why it must not be; NULL when it may. */
static const char *obstacle(const api_task_t *task, const removal_t *removal)
{
    if (!removal->is_complete || str_is_null(removal->profile_id))
        return NULL;
    if (str_eq_nocase(removal->profile_id, task->identity.sub))
        return "You cannot delete your own account";
    return removal->is_last_admin ? "The last administrator cannot be deleted" : NULL;
}

static void fail_delete(api_task_t *task, const err_t *err)
{
    str_t text = fn_error_text(task, err);
    fn_fail(task, 500, pool_printf(task->pool, "Failed to delete managed user: %.*s", STR_ARG(text)));
}

static void remove_user(api_task_t *task, removal_t *removal)
{
    db_session_t *session = NULL;
    bool is_found = false;
    const char *why = NULL;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = read_row(session, removal, &is_found);
    if (err == NULL && is_found)
        why = obstacle(task, removal);
    if (err == NULL && (!is_found || why != NULL)) {
        db_session_rollback(session);
        fn_fail(task, is_found ? 400 : 404, is_found ? str_from_c(why) : STR("Managed user not found"));
        return;
    }
    if (err == NULL)
        err = delete_rows(task, session, removal);
    err = fn_end(session, err);
    if (err == NULL && removal->is_profile_deleted)
        err = delete_user_sign_in(task, removal->profile_id, &removal->is_sign_in_deleted);
    if (err != NULL)
        fail_delete(task, err);
    else
        reply_removed(task, removal);
}

void fn_delete_managed_user(api_task_t *task)
{
    json_t *body = NULL;
    if (!fn_body(task, &body, fn_fail))
        return;
    removal_t removal = {.id = read_json_str(body, "managed_user_id"),
                         .is_complete = read_json_bool(body, "complete_removal", true)};
    if (removal.id.len == 0)
        fn_fail(task, 400, STR("managed_user_id is required"));
    else if (!str_is_uuid(removal.id))
        fn_fail(task, 404, STR("Managed user not found"));
    else
        remove_user(task, &removal);
}
