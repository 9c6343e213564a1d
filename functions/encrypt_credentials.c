#include "functions/fn.h"

#define PASSWORD_UNITS_MAX 255

/* Where a type's ciphertext goes. `id_fields`: the body member that names the row, alternatives in order. */
typedef struct {
    const char *type;
    const char *id_fields[2];
    const char *update_sql[2]; /* $1 ciphertext, $2 id */
    const char *missing;       /* error when no id came */
    bool is_unlimited;
} target_t;

static const target_t TARGETS[] = {
    {"credential_set",
     {"credential_set_id", NULL},
     {"update public.credential_sets set password_encrypted = $1 where id = $2::uuid", NULL},
     "credential_set_id required for credential_set type",
     false},
    {"server",
     {"server_id", NULL},
     {"update public.servers set idrac_password_encrypted = $1 where id = $2::uuid", NULL},
     "server_id required for server type",
     false},
    {"vcenter",
     {"vcenter_id", "vcenter_settings_id"},
     {"update public.vcenters set password_encrypted = $1 where id = $2::uuid",
      "update public.vcenter_settings set password = $1 where id = $2::uuid"},
     "vcenter_id or vcenter_settings_id required for vcenter type",
     false},
    {"openmanage",
     {"openmanage_settings_id", NULL},
     {"update public.openmanage_settings set password = $1 where id = $2::uuid", NULL},
     "openmanage_settings_id required for openmanage type",
     false},
    {"activity_settings", {NULL, NULL}, {NULL, NULL}, NULL, false},
    {"idm_settings",
     {"idm_settings_id", NULL},
     {"update public.idm_settings set bind_password_encrypted = $1 where id = $2::uuid", NULL},
     "idm_settings_id required for idm_settings type",
     false},
    {"idm_ad_bind",
     {"idm_settings_id", NULL},
     {"update public.idm_settings set ad_bind_password_encrypted = $1 where id = $2::uuid", NULL},
     "idm_settings_id required for idm_ad_bind type",
     false},
    {"zfs_template",
     {"template_id", NULL},
     {"update public.zfs_target_templates set ssh_key_encrypted = $1 where id = $2::uuid", NULL},
     "template_id required for zfs_template type",
     true},
    {"ssh_key",
     {"ssh_key_id", NULL},
     {"update public.ssh_keys set private_key_encrypted = $1 where id = $2::uuid", NULL},
     NULL,
     true},
    {"return_only", {NULL, NULL}, {NULL, NULL}, NULL, true},
};

static const target_t *find_target(str_t type)
{
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++) {
        if (str_eq(type, str_from_c(TARGETS[i].type)))
            return &TARGETS[i];
    }
    return NULL;
}

/* Callers of the UI that name neither a type nor a row want the ciphertext back. */
static str_t effective_type(const json_t *body)
{
    str_t type = read_json_str(body, "type");
    if (type.len > 0)
        return type;
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++) {
        for (size_t k = 0; k < 2; k++) {
            const char *field = TARGETS[i].id_fields[k];
            if (field != NULL && read_json_str(body, field).len > 0)
                return STR_NULL;
        }
    }
    return STR("return_only");
}

/* Ciphertext by the database's own function: one format for all who read it. False after having replied. */
static bool encrypt(api_task_t *task, db_session_t *session, str_t password, str_t *ciphertext)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(session,
                                  STR("select encryption_key is not null,"
                                      "       public.encrypt_password($1, encryption_key)"
                                      "  from public.activity_settings limit 1"),
                                  DB_PARAMS(password), &rows);
    if (err != NULL) {
        fn_fail(task, 500, STR("Failed to encrypt password"));
        return false;
    }
    if (rows.row_count == 0 || !str_eq(db_value(&rows, 0, 0), STR("t"))) {
        fn_fail(task, 500, STR("Encryption system not configured"));
        return false;
    }
    *ciphertext = db_value(&rows, 0, 1);
    return true;
}

static void reply_ciphertext(api_task_t *task, str_t ciphertext)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_kv_string(&emit, "encrypted", ciphertext);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

/* The row's id and which of the two statements it belongs to; the null string when none came. */
static str_t target_id(const target_t *target, const json_t *body, size_t *which)
{
    for (*which = 0; *which < 2 && target->id_fields[*which] != NULL; (*which)++) {
        str_t id = read_json_str(body, target->id_fields[*which]);
        if (id.len > 0)
            return id;
    }
    return STR_NULL;
}

static err_t *store_row(api_task_t *task, db_session_t *session, const target_t *target, const json_t *body,
                        str_t ciphertext, str_t id, size_t which)
{
    str_t username = read_json_str(body, "username");
    if (!str_is_uuid(id))
        return err_make(task->pool, 500, ERR_FAMILY_REQUEST, "", "not a UUID");
    err_t *err =
        db_session_query(session, str_from_c(target->update_sql[which]), DB_PARAMS(ciphertext, id), NULL);
    if (err == NULL && str_eq(str_from_c(target->type), STR("server")) && username.len > 0)
        err = db_session_query(session,
                               STR("update public.servers set idrac_username = $1 where id = $2::uuid"),
                               DB_PARAMS(username, id), NULL);
    return err;
}

static err_t *audit(api_task_t *task, db_session_t *session, const target_t *target, str_t id)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "type", str_from_c(target->type));
    emit_kv_string(&emit, "target_id", id);
    emit_object_end(&emit);
    return fn_audit(session, task->identity.sub, "credentials_encrypted", buf_str(&out), task->client_addr);
}

/* False after having replied with the reason. */
static bool store(api_task_t *task, db_session_t *session, const target_t *target, const json_t *body,
                  str_t ciphertext, bool *is_returned)
{
    size_t which = 0;
    db_rows_t rows = {0};
    str_t id = target_id(target, body, &which);
    err_t *err = NULL;
    *is_returned = false;
    if (str_eq(str_from_c(target->type), STR("activity_settings"))) {
        err = db_session_query(session,
                               STR("update public.activity_settings set scp_share_password_encrypted = $1"
                                   " returning id"),
                               DB_PARAMS(ciphertext), &rows);
        if (err == NULL && rows.row_count == 0) {
            fn_fail(task, 500, STR("Activity settings not found"));
            return false;
        }
    } else if (id.len > 0) {
        err = store_row(task, session, target, body, ciphertext, id, which);
    } else if (target->missing != NULL) {
        fn_fail(task, 400, str_from_c(target->missing));
        return false;
    } else {
        *is_returned = true;
    }
    if (err == NULL)
        err = audit(task, session, target, id);
    if (err != NULL)
        fn_fail(task, 500, STR("Failed to store encrypted password"));
    return err == NULL;
}

static void encrypt_and_store(api_task_t *task, db_session_t *session, const target_t *target,
                              const json_t *body, str_t password)
{
    str_t ciphertext = STR_NULL;
    bool is_returned = false;
    if (!encrypt(task, session, password, &ciphertext)) {
        db_session_rollback(session);
        return;
    }
    if (target == NULL) {
        fn_fail(task, 400, STR("Invalid type"));
        db_session_rollback(session);
        return;
    }
    if (!store(task, session, target, body, ciphertext, &is_returned)) {
        db_session_rollback(session);
        return;
    }
    err_t *err = db_session_commit(session);
    if (err != NULL)
        fn_fail(task, 500, STR("Failed to store encrypted password"));
    else if (is_returned)
        reply_ciphertext(task, ciphertext);
    else
        fn_reply(task, 200,
                 STR("{\"success\":true,\"message\":\"Password encrypted and stored successfully\"}"));
}

void fn_encrypt_credentials(api_task_t *task)
{
    json_t *body = NULL;
    db_session_t *session = NULL;
    if (!fn_body(task, &body, fn_fail))
        return;
    str_t password = read_json_str(body, "password"), type = effective_type(body);
    const target_t *target = find_target(type);
    if (password.len == 0 || type.len == 0) {
        fn_fail(task, 400, STR("password and type are required"));
        return;
    }
    if (!(target != NULL && target->is_unlimited) && fn_utf16_units(password) > PASSWORD_UNITS_MAX) {
        fn_fail(task, 400, STR("password must be less than 255 characters"));
        return;
    }
    err_t *err = fn_begin_service(task, &session);
    if (err != NULL)
        fn_fail(task, 500, fn_error_text(task, err));
    else
        encrypt_and_store(task, session, target, body, password);
}
