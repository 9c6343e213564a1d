#include "functions/sync_summary.h"

#include "base/clock.h"

#define ERRORS_MAX 1000

static void free_errors(void *arg)
{
    json_decref(arg);
}

void sync_summary_init(api_task_t *task, sync_summary_t *summary, int64_t total)
{
    *summary = (sync_summary_t){.total = total, .errors = json_array()};
    pool_on_dispose(task->pool, free_errors, summary->errors);
}

void sync_summary_fail(api_task_t *task, sync_summary_t *summary, str_t item, str_t why)
{
    summary->failed++;
    str_t text = pool_printf(task->pool, "%.*s: %.*s", STR_ARG(item), STR_ARG(why));
    if (json_array_size(summary->errors) < ERRORS_MAX)
        json_array_append_new(summary->errors, json_stringn_nocheck(text.base, text.len));
}

void sync_summary_reply(api_task_t *task, const sync_summary_t *summary, bool hides_empty)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_key(&emit, STR("summary"));
    emit_object_begin(&emit);
    if (summary->total != SYNC_TOTAL_HIDDEN)
        emit_kv_int(&emit, "total", summary->total);
    emit_kv_int(&emit, "new", summary->added);
    emit_kv_int(&emit, "updated", summary->updated);
    emit_kv_int(&emit, "auto_linked", summary->linked);
    emit_kv_int(&emit, "errors", summary->failed);
    emit_object_end(&emit);
    if (!hides_empty || json_array_size(summary->errors) > 0)
        emit_kv_raw(&emit, "errors", read_json_dump(task->pool, summary->errors));
    emit_kv_string(&emit, "timestamp", clock_iso8601(task->pool, clock_unix_ms()));
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

err_t *sync_try(db_session_t *session, str_t sql, const str_t *params, size_t param_count, db_rows_t *rows)
{
    err_t *err = db_session_savepoint(session);
    if (err != NULL)
        return err;
    err = db_session_query(session, sql, params, param_count, rows);
    if (err == NULL)
        return NULL;
    err_t *lost = db_session_rollback_to_savepoint(session);
    return lost != NULL ? lost : err;
}

str_t sync_text(api_task_t *task, const json_t *item, const char *key)
{
    const json_t *value = json_object_get(item, key);
    if (json_is_string(value) && json_string_length(value) > 0)
        return str_make(json_string_value(value), json_string_length(value));
    if (json_is_integer(value))
        return pool_printf(task->pool, "%lld", (long long)json_integer_value(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? STR("true") : STR("false");
    return STR_NULL;
}
