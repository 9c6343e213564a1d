#include "functions/fn.h"

void fn_get_service_key(api_task_t *task)
{
    db_session_t *session = NULL;
    str_t key = config_str(task->gateway->config, "SUPABASE_SERVICE_ROLE_KEY");
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = fn_audit(session, task->identity.sub, "service_key_revealed", STR("{}"), task->client_addr);
    err = fn_end(session, err);
    if (err != NULL || key.len == 0) {
        fn_fail(task, 500,
                err != NULL ? fn_error_text(task, err) : STR("The service role key is not configured"));
        return;
    }
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "service_role_key", key);
    emit_kv_string(&emit, "message", STR("Copy this key to your Job Executor .env file"));
    emit_object_end(&emit);
    api_task_add_header(task, STR("Cache-Control"), STR("no-store"));
    fn_reply(task, 200, buf_str(&out));
}
