#include "functions/delete_user.h"

/* Everything that names the user is let go of first; what belongs to the user goes with the profile. */
static const char USER_SQL[] =
    "select p.email, p.full_name,"
    "       exists (select 1 from public.user_roles where user_id = $1::uuid and role = 'admin')"
    "       and not exists (select 1 from public.user_roles where user_id <> $1::uuid and role = 'admin')"
    "  from (select $1::uuid as id) wanted left join public.profiles p using (id)";

/* Columns that reference profiles without an action of their own, found in the catalog so that none is
 * forgotten. */
static const char REFERENCES_SQL[] =
    "select format('update %s set %I = null where %I = $1::uuid', c.conrelid::regclass, a.attname, a.attname)"
    "  from pg_catalog.pg_constraint c"
    "  join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]"
    " where c.contype = 'f' and c.confrelid = 'public.profiles'::regclass and c.confdeltype in ('a', 'r')"
    "   and cardinality(c.conkey) = 1 and not a.attnotnull";

static const char *const DELETES[] = {
    "delete from public.idm_auth_sessions where user_id = $1::uuid",
    "delete from public.user_roles where user_id = $1::uuid",
    "delete from public.profiles where id = $1::uuid",
};

static const char AUDIT_SQL[] =
    "insert into public.audit_logs (user_id, action, auth_source, auth_method, ip_address, details)"
    " values ($1::uuid, 'user_deleted', 'local', 'admin_action', $2,"
    "         jsonb_build_object('deleted_user_id', $3::text, 'deleted_user_email', $4::text,"
    "                            'deleted_user_name', $5::text))";

typedef struct {
    str_t id, email, full_name;
    bool is_last_admin;
} target_t;

err_t *delete_user_in_turn(db_session_t *session)
{
    return db_session_query(session,
                            STR("select pg_advisory_xact_lock(hashtextextended('basalt administrators', 0))"),
                            NULL, 0, NULL);
}

static err_t *read_target(db_session_t *session, target_t *target)
{
    db_rows_t rows = {0};
    err_t *err = delete_user_in_turn(session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(USER_SQL), DB_PARAMS(target->id), &rows);
    if (err != NULL)
        return err;
    target->email = db_value(&rows, 0, 0);
    target->full_name = db_value(&rows, 0, 1);
    target->is_last_admin = str_eq(db_value(&rows, 0, 2), STR("t"));
    return NULL;
}

/* Sets *stage to what is being done, as the caller is told when it fails. */
static err_t *delete_rows(db_session_t *session, str_t user_id, const char **stage)
{
    db_rows_t rows = {0};
    *stage = "Failed to update job references";
    err_t *err = db_session_query(session, FN_SQL(REFERENCES_SQL), NULL, 0, &rows);
    for (size_t i = 0; err == NULL && i < rows.row_count; i++)
        err = db_session_query(session, db_value(&rows, i, 0), DB_PARAMS(user_id), NULL);
    if (err == NULL)
        *stage = "Failed to delete user profile";
    for (size_t i = 0; err == NULL && i < sizeof(DELETES) / sizeof(DELETES[0]); i++)
        err = db_session_query(session, str_from_c(DELETES[i]), DB_PARAMS(user_id), NULL);
    return err;
}

err_t *delete_user_rows(db_session_t *session, str_t user_id)
{
    const char *stage = NULL;
    return delete_rows(session, user_id, &stage);
}

/* The sign-in itself is the internal login's: after the product's rows are committed, so that a failure here
 * leaves a user without profile and roles, who can do nothing and can be deleted again. */
err_t *delete_user_sign_in(api_task_t *task, str_t user_id, bool *is_deleted)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    err_t *err = db_session_begin(task->gateway->internal_sessions, task->pool,
                                  &(db_session_who_t){.deadline_us = task->deadline_us}, &session);
    if (err == NULL)
        err = db_session_query(session, STR("delete from auth.users where id = $1::uuid"), DB_PARAMS(user_id),
                               &rows);
    if (is_deleted != NULL)
        *is_deleted = err == NULL && rows.affected > 0;
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

static void fail_with_details(api_task_t *task, const char *error, const err_t *err)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "error", str_from_c(error));
    emit_kv_string(&emit, "details", fn_error_text(task, err));
    emit_object_end(&emit);
    fn_reply(task, 500, buf_str(&out));
}

static void fail_body(api_task_t *task, int status, str_t message)
{
    (void)status;
    fail_with_details(task, "Internal server error",
                      err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "%.*s", STR_ARG(message)));
}

static void reply_deleted(api_task_t *task, const target_t *target)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 192);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_kv_string(&emit, "message", STR("User deleted successfully"));
    emit_key(&emit, STR("deleted_user"));
    emit_object_begin(&emit);
    emit_kv_string(&emit, "id", target->id);
    if (!str_is_null(target->email))
        emit_kv_string(&emit, "email", target->email);
    if (!str_is_null(target->full_name))
        emit_kv_string(&emit, "full_name", target->full_name);
    emit_object_end(&emit);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

static void delete_target(api_task_t *task, target_t *target)
{
    db_session_t *session = NULL;
    const char *stage = "Failed to delete user profile";
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = read_target(session, target);
    if (err == NULL && target->is_last_admin) {
        db_session_rollback(session);
        fn_fail(task, 400, STR("The last administrator cannot be deleted"));
        return;
    }
    if (err == NULL)
        err = delete_rows(session, target->id, &stage);
    if (err == NULL)
        err = db_session_query(
            session, FN_SQL(AUDIT_SQL),
            DB_PARAMS(task->identity.sub, task->client_addr, target->id, target->email, target->full_name),
            NULL);
    err = fn_end(session, err);
    if (err == NULL)
        err = delete_user_sign_in(task, target->id, NULL);
    if (err != NULL)
        fail_with_details(task, stage, err);
    else
        reply_deleted(task, target);
}

void fn_delete_user(api_task_t *task)
{
    json_t *body = NULL;
    if (!fn_body(task, &body, fail_body))
        return;
    target_t target = {.id = read_json_str(body, "user_id")};
    if (target.id.len == 0)
        fn_fail(task, 400, STR("user_id is required"));
    else if (str_eq_nocase(target.id, task->identity.sub))
        fn_fail(task, 400, STR("You cannot delete your own account"));
    else if (!str_is_uuid(target.id))
        fail_with_details(task, "Internal server error",
                          err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "user_id is not a UUID"));
    else
        delete_target(task, &target);
}
