#include "executor/activity.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/read_json.h"
#include "base/redact.h"

static json_t *text_value(str_t text)
{
    json_t *value = json_stringn(text.base != NULL ? text.base : "", text.len);
    return value != NULL ? value : json_string("(bytes that are not UTF-8)");
}

static json_t *headers_of(pool_t *pool, const activity_about_t *about, const redfish_record_t *record)
{
    json_t *raw = json_object();
    for (size_t i = 0; i < record->header_count; i++)
        json_object_set_new(raw, pool_cstr(pool, record->headers[i].name),
                            text_value(record->headers[i].value));
    json_t *clean = redact_json(pool, raw, &about->secret, 1);
    json_decref(raw);
    return clean;
}

/* Other than JSON is stored as its size and digest, not as content. */
static json_t *body_of(pool_t *pool, str_t text, int max_kb, str_t secret)
{
    json_t *parsed = NULL;
    if (text.len == 0)
        return json_null();
    if (text.len > (size_t)max_kb * 1024)
        return json_pack("{s:b,s:I,s:i}", "_truncated", 1, "_original_size_kb",
                         (json_int_t)((text.len + 512) / 1024), "_limit_kb", max_kb);
    if (read_json(pool, text, NULL, &parsed) == NULL)
        return redact_json(pool, parsed, &secret, 1);
    str_t digest = crypt_sha256_hex(pool, text);
    return json_pack("{s:b,s:I,s:s%}", "_not_json", 1, "_size", (json_int_t)text.len, "_sha256", digest.base,
                     digest.len);
}

json_t *activity_row(pool_t *pool, const settings_t *settings, const activity_about_t *about,
                     const redfish_record_t *record)
{
    if (settings->activity_level == ACTIVITY_NONE ||
        (settings->activity_level == ACTIVITY_ERRORS && record->is_success))
        return NULL;
    int64_t ms = record->elapsed_us / 1000;
    json_t *row = json_object();
    json_object_set_new(row, "timestamp", text_value(clock_iso8601(pool, clock_unix_ms())));
    json_object_set_new(row, "command_type", text_value(record->method));
    json_object_set_new(row, "operation_type",
                        json_string(about->operation_type != NULL
                                        ? about->operation_type
                                        : redfish_operation_name(record->operation)));
    json_object_set_new(row, "endpoint", text_value(redact_text(pool, record->path, &about->secret, 1)));
    json_object_set_new(row, "full_url", text_value(redact_text(pool, record->url, &about->secret, 1)));
    json_object_set_new(row, "request_headers", headers_of(pool, about, record));
    json_object_set_new(row, "request_body",
                        body_of(pool, record->request_body, settings->request_body_max_kb, about->secret));
    json_object_set_new(row, "response_body",
                        body_of(pool, record->response_body, settings->response_body_max_kb, about->secret));
    json_object_set_new(row, "status_code", record->status > 0 ? json_integer(record->status) : json_null());
    json_object_set_new(row, "response_time_ms", json_integer(ms));
    json_object_set_new(row, "success", json_boolean(record->is_success));
    json_object_set_new(row, "source", json_string("job_executor"));
    if (record->error.len > 0)
        json_object_set_new(row, "error_message",
                            text_value(redact_text(pool, record->error, &about->secret, 1)));
    else if (settings->is_slow_marked && ms > settings->slow_ms)
        json_object_set_new(row, "error_message", json_sprintf("Slow: %lld ms", (long long)ms));
    if (about->server_id.len > 0)
        json_object_set_new(row, "server_id", text_value(about->server_id));
    if (about->task_id.len > 0)
        json_object_set_new(row, "task_id", text_value(about->task_id));
    return row;
}
