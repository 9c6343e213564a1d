#include "base/crypt.h"
#include "base/observe.h"
#include "base/rand.h"
#include "functions/fn.h"

#define SECRET_BYTES 32

typedef struct {
    bool has_key, is_configured;
} secret_state_t;

static const char STATE_SQL[] =
    "select coalesce(bool_or(encryption_key is not null), false),"
    "       coalesce(bool_or(executor_shared_secret_encrypted is not null), false)"
    "  from public.activity_settings";

static const char ENCRYPT_SQL[] = "select public.encrypt_password($1, encryption_key)"
                                  "  from public.activity_settings where encryption_key is not null"
                                  " order by created_at limit 1";

static const char STORE_SQL[] = "update public.activity_settings set executor_shared_secret_encrypted = $1"
                                " where encryption_key is not null";

static const char DECRYPT_SQL[] =
    "select public.decrypt_password(executor_shared_secret_encrypted, encryption_key)"
    "  from public.activity_settings where executor_shared_secret_encrypted is not null"
    " order by created_at limit 1";

/* What the page says of it; the database's own words are for the log. */
static err_t *failed(api_task_t *task, const char *what, const err_t *err)
{
    observe(LOG_WARN, "executor_secret_failed", F_CSTR("what", what), F_STR("code", err->code),
            F_STR("message", err->message));
    return err_make(task->pool, 500, ERR_FAMILY_DATABASE, "", "%s", what);
}

static err_t *read_state(db_session_t *session, secret_state_t *state)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(session, FN_SQL(STATE_SQL), NULL, 0, &rows);
    if (err != NULL)
        return err;
    state->has_key = str_eq(db_value(&rows, 0, 0), STR("t"));
    state->is_configured = str_eq(db_value(&rows, 0, 1), STR("t"));
    return NULL;
}

static void reply_secret(api_task_t *task, str_t secret, bool is_new)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 192);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    if (is_new) {
        emit_kv_bool(&emit, "success", true);
        emit_kv_string(&emit, "message", STR("Executor shared secret configured successfully"));
    }
    emit_kv_string(&emit, "secret", secret);
    emit_object_end(&emit);
    api_task_add_header(task, STR("Cache-Control"), STR("no-store"));
    fn_reply(task, 200, buf_str(&out));
}

static err_t *generate(api_task_t *task, db_session_t *session, const secret_state_t *state)
{
    uint8_t bytes[SECRET_BYTES];
    db_rows_t rows = {0};
    if (!state->has_key) {
        fn_fail(task, 400, STR("Encryption key not configured. Please set one in Security settings."));
        return NULL;
    }
    rand_bytes(bytes, sizeof(bytes));
    str_t secret = crypt_base64(task->pool, str_make((const char *)bytes, sizeof(bytes)));
    crypt_wipe(bytes, sizeof(bytes));
    err_t *err = db_session_query(session, FN_SQL(ENCRYPT_SQL), DB_PARAMS(secret), &rows);
    if (err != NULL)
        return failed(task, "Failed to encrypt secret", err);
    err = db_session_query(session, FN_SQL(STORE_SQL), DB_PARAMS(db_value(&rows, 0, 0)), NULL);
    if (err != NULL)
        return failed(task, "Failed to save secret", err);
    err = fn_audit(session, task->identity.sub, "executor_secret_generated", STR("{}"), task->client_addr);
    if (err == NULL)
        reply_secret(task, secret, true);
    return err;
}

static err_t *reveal(api_task_t *task, db_session_t *session, const secret_state_t *state)
{
    db_rows_t rows = {0};
    if (!state->is_configured || !state->has_key) {
        fn_fail(task, state->is_configured ? 400 : 404,
                state->is_configured ? STR("Encryption key not configured")
                                     : STR("No secret configured. Generate one first."));
        return NULL;
    }
    err_t *err = db_session_query(session, FN_SQL(DECRYPT_SQL), NULL, 0, &rows);
    if (err != NULL)
        return failed(task, "Failed to decrypt secret", err);
    reply_secret(task, db_value(&rows, 0, 0), false);
    return fn_audit(session, task->identity.sub, "executor_secret_revealed", STR("{}"), task->client_addr);
}

static err_t *act(api_task_t *task, db_session_t *session, str_t action)
{
    secret_state_t state = {0};
    err_t *err = read_state(session, &state);
    if (err != NULL)
        return err;
    if (str_eq(action, STR("generate")))
        return generate(task, session, &state);
    if (str_eq(action, STR("reveal")))
        return reveal(task, session, &state);
    if (str_eq(action, STR("check")))
        fn_reply(task, 200,
                 state.is_configured ? STR("{\"configured\":true}") : STR("{\"configured\":false}"));
    else
        fn_fail(task, 400, STR("Invalid action. Use 'generate', 'check', or 'reveal'"));
    return NULL;
}

void fn_set_executor_secret(api_task_t *task)
{
    json_t *body = NULL;
    db_session_t *session = NULL;
    if (!fn_body(task, &body, fn_fail))
        return;
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL) {
        err = act(task, session, read_json_str(body, "action"));
        err = fn_end(session, err);
    }
    if (err != NULL)
        fn_fail(task, 500, fn_error_text(task, err));
}
