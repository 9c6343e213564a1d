/* API tokens (X-API-Token): for scripts, which cannot sign in. */
#include "functions/fn.h"

bool fn_has_api_token(api_task_t *task)
{
    return api_task_header(task, "x-api-token").len > 0;
}

bool fn_api_token(api_task_t *task)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    str_t token = api_task_header(task, "x-api-token");
    err_t *err = fn_begin_service(task, &session);
    if (err == NULL)
        err = db_session_query(session, STR("select public.validate_api_token($1)"), DB_PARAMS(token), &rows);
    err = fn_end(session, err); /* it notes when the token was used */
    bool is_known = err == NULL && rows.row_count == 1 && str_is_uuid(db_value(&rows, 0, 0));
    if (!is_known)
        fn_fail(task, 401, STR("Invalid or expired API token"));
    task->identity = (identity_t){.sub = is_known ? db_value(&rows, 0, 0) : STR_NULL};
    return is_known;
}
