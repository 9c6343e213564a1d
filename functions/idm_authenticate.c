#include "functions/idm.h"
#include "functions/peer.h"

#include "base/observe.h"

static const char SETTINGS_SQL[] =
    "select s.auth_mode, s.server_host, s.base_dn, s.user_search_base, s.group_search_base, s.bind_dn,"
    "       public.decrypt_password(s.bind_password_encrypted, k.key), s.ca_certificate, s.ad_dc_host,"
    "       s.ad_domain_fqdn, s.ad_bind_dn, public.decrypt_password(s.ad_bind_password_encrypted, k.key),"
    "       array_to_string(s.trusted_domains, ' '),"
    "       coalesce(s.server_port, 389), coalesce(s.ldaps_port, 636), coalesce(s.ad_dc_port, 636),"
    "       coalesce(nullif(s.connection_timeout_seconds, 0), 10),"
    "       coalesce(nullif(s.max_failed_attempts, 0), 5), coalesce(nullif(s.lockout_duration_minutes, 0), "
    "30),"
    "       coalesce(s.session_timeout_minutes, 0),"
    "       coalesce(s.use_ldaps, true) or coalesce(s.require_ldaps, true),"
    "       coalesce(s.ad_dc_use_ssl, true) or coalesce(s.require_ldaps, true),"
    "       coalesce(s.verify_certificate, true)"
    "  from public.idm_settings s"
    "  left join (select encryption_key as key from public.activity_settings limit 1) k on true"
    " limit 2";

static bool read_settings(const db_rows_t *rows, idm_settings_t *out)
{
    directory_t *directory = &out->directory;
    str_t *const texts[] = {&out->auth_mode,
                            &directory->server_host,
                            &directory->base_dn,
                            &directory->user_base,
                            &directory->group_base,
                            &directory->bind_dn,
                            &directory->bind_password,
                            &directory->ca_pem,
                            &directory->ad_host,
                            &directory->ad_domain,
                            &directory->ad_bind_dn,
                            &directory->ad_bind_password,
                            &directory->trusted_domains};
    int64_t *const numbers[] = {&directory->server_port, &directory->ldaps_port, &directory->ad_port,
                                &directory->timeout_s,   &out->tries_max,        &out->lock_minutes,
                                &out->session_minutes};
    bool *const flags[] = {&directory->is_tls, &directory->is_ad_tls, &directory->is_verified};
    size_t column = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = db_value(rows, 0, column++);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (!str_to_int64(db_value(rows, 0, column++), numbers[i]))
            return false;
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        *flags[i] = str_eq(db_value(rows, 0, column++), STR("t"));
    return true;
}

bool idm_load(api_task_t *task, idm_settings_t *out)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    *out = (idm_settings_t){0};
    out->directory.ca_file = config_str(task->gateway->config, "BASALT_CA_FILE");
    out->directory.addr_policy = peer_policy(task->gateway);
    out->directory.deadline_us = task->deadline_us;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(SETTINGS_SQL), NULL, 0, &rows);
    db_session_rollback(session);
    if (err != NULL)
        fn_fail_success(task, 500, STR("Internal server error"));
    else if (rows.row_count != 1 || !read_settings(&rows, out))
        fn_fail_success(task, 503, STR("IDM authentication not configured"));
    else if (str_eq(out->auth_mode, STR("local_only")))
        fn_fail_success(task, 403, STR("IDM authentication not enabled"));
    else
        return true;
    return false;
}

static void refuse(api_task_t *task, const lockout_t *lock, str_t message)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", false);
    emit_kv_string(&emit, "error", message);
    emit_kv_int(&emit, "remaining_attempts", lock->remaining);
    emit_object_end(&emit);
    fn_reply(task, 401, buf_str(&out));
}

/* What Active Directory adds to "invalid credentials": for administrators, never for the person. */
static const char *reason_of(str_t code)
{
    static const struct {
        const char *code, *reason;
    } REASONS[] = {{"525", "unknown in the directory"},
                   {"530", "not allowed at this time"},
                   {"531", "not allowed from here"},
                   {"532", "password expired"},
                   {"533", "account disabled"},
                   {"701", "account expired"},
                   {"773", "password must be changed first"},
                   {"775", "account locked in the directory"}};
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++) {
        if (str_eq(code, str_from_c(REASONS[i].code)))
            return REASONS[i].reason;
    }
    return "wrong credentials";
}

/* A directory that is away, or set up wrongly, is not the person's fault. */
static void explain(api_task_t *task, const lockout_t *lock, const err_t *err)
{
    if (str_eq(err->code, STR("credentials"))) {
        idm_audit_failure(task, lock->identifier, reason_of(err->details));
        refuse(task, lock, STR("Invalid credentials"));
        return;
    }
    lockout_release(task, lock);
    observe(LOG_WARN, "directory_failed", F_STR("code", err->code), F_STR("message", err->message));
    if (err->status == 504)
        fn_fail_success(task, 504, STR("Authentication timeout - please try again"));
    else
        fn_fail_success(task, 503, err->message);
}

static void authenticate(api_task_t *task, const idm_settings_t *settings, const lockout_t *lock,
                         str_t username, str_t password)
{
    directory_person_t person;
    err_t *err = directory_check(task->pool, &settings->directory, username, password, &person);
    if (err != NULL) {
        explain(task, lock, err);
        return;
    }
    idm_sign_in(task, settings, &person);
    err = lockout_success(task, lock); /* the password was right, whatever became of the account */
    if (err != NULL)
        observe(LOG_WARN, "lockout_not_cleared", F_STR("code", err->code), F_STR("message", err->message));
}

/* The parser's text would be shown to the person. */
static void fail_body(api_task_t *task, int status, str_t message)
{
    (void)message;
    fn_fail_success(task, status, STR("Internal server error"));
}

void fn_idm_authenticate(api_task_t *task)
{
    json_t *body = NULL;
    idm_settings_t settings;
    if (!fn_body(task, &body, fail_body))
        return;
    str_t username = read_json_str(body, "username"), password = read_json_str(body, "password");
    if (username.len == 0 || password.len == 0) {
        fn_fail_success(task, 400, STR("Username and password are required"));
        return;
    }
    if (!idm_load(task, &settings))
        return;
    str_t name = directory_split_name(username).user; /* with or without a domain: one counter */
    lockout_t lock = {.identifier = name.len > 0 ? name : username,
                      .type = "username",
                      .max = settings.tries_max,
                      .minutes = settings.lock_minutes};
    err_t *err = lockout_enter(task, &lock);
    if (err != NULL)
        fn_fail_success(task, 500, STR("Internal server error"));
    else if (lock.is_locked)
        lockout_reply(task, &lock, "Account temporarily locked");
    else
        authenticate(task, &settings, &lock, username, password);
}
