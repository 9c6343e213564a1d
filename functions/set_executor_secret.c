#include "base/crypt.h"
#include "base/rand.h"
#include "functions/fn.h"

#define SECRET_BYTES 32

typedef struct {
    bool has_key, is_configured;
    str_t secret;
} secret_state_t;

static const char STATE_SQL[] =
    "select coalesce(bool_or(encryption_key is not null), false),"
    "       coalesce(bool_or(executor_shared_secret_encrypted is not null), false),"
    "       max(public.decrypt_password(executor_shared_secret_encrypted, encryption_key))"
    "  from public.activity_settings";

static const char STORE_SQL[] = "update public.activity_settings"
                                "   set executor_shared_secret_encrypted ="
                                "       public.encrypt_password($1, encryption_key)"
                                " where encryption_key is not null";

static err_t *read_state(db_session_t *session, secret_state_t *state)
{
    db_rows_t rows = {0};
    err_t *err = db_session_query(session, FN_SQL(STATE_SQL), NULL, 0, &rows);
    if (err != NULL)
        return err;
    state->has_key = str_eq(db_value(&rows, 0, 0), STR("t"));
    state->is_configured = str_eq(db_value(&rows, 0, 1), STR("t"));
    state->secret = db_value(&rows, 0, 2);
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
    if (!state->has_key) {
        fn_fail(task, 400, STR("Encryption key not configured. Please set one in Security settings."));
        return NULL;
    }
    rand_bytes(bytes, sizeof(bytes));
    str_t secret = crypt_base64(task->pool, str_make((const char *)bytes, sizeof(bytes)));
    crypt_wipe(bytes, sizeof(bytes));
    err_t *err = db_session_query(session, FN_SQL(STORE_SQL), DB_PARAMS(secret), NULL);
    if (err == NULL)
        err =
            fn_audit(session, task->identity.sub, "executor_secret_generated", STR("{}"), task->client_addr);
    if (err == NULL)
        reply_secret(task, secret, true);
    return err;
}

static err_t *reveal(api_task_t *task, db_session_t *session, const secret_state_t *state)
{
    if (!state->is_configured)
        fn_fail(task, 404, STR("No secret configured. Generate one first."));
    else if (!state->has_key)
        fn_fail(task, 400, STR("Encryption key not configured"));
    else
        reply_secret(task, state->secret, false);
    return task->status == 200 ? fn_audit(session, task->identity.sub, "executor_secret_revealed", STR("{}"),
                                          task->client_addr)
                               : NULL;
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
