#include "functions/activity.h"

#include "base/crypt.h"
#include "base/observe.h"
#include "base/redact.h"

/* Nobody waits for long because of a row that tells what was done. */
#define NOTE_TIMEOUT_MS 5000

/* slow_only leaves out whatever was fast, failures too. */
static const char NOTE_SQL[] =
    "with s as (select coalesce(max(log_level), 'all') as level,"
    "                  coalesce(max(slow_command_threshold_ms), 5000) as slow_ms,"
    "                  coalesce(max(max_request_body_kb), 100) as request_kb,"
    "                  coalesce(max(max_response_body_kb), 100) as response_kb"
    "             from (select * from public.activity_settings order by created_at limit 1) first_row)"
    " insert into public.idrac_commands (server_id, initiated_by, command_type, endpoint, full_url,"
    "                                    request_headers, request_body, response_body, status_code,"
    "                                    response_time_ms, success, error_message, source, operation_type)"
    " select (select id from public.servers where id = $1::uuid), $2::uuid, $3, $4, $5, $6::jsonb,"
    "        case when octet_length($7) > s.request_kb * 1024"
    "             then jsonb_build_object('_truncated', true, '_limit_kb', s.request_kb,"
    "                                     '_original_size_kb', round(octet_length($7) / 1024.0))"
    "             else $7::jsonb end,"
    "        case when octet_length($8) > s.response_kb * 1024"
    "             then jsonb_build_object('_truncated', true, '_limit_kb', s.response_kb,"
    "                                     '_original_size_kb', round(octet_length($8) / 1024.0))"
    "             else $8::jsonb end,"
    "        nullif($9::int, 0), $10::int, $11::boolean, $12, $13, $14::public.operation_type"
    "   from s"
    "  where not (s.level = 'errors_only' and $11::boolean)"
    "    and not (s.level = 'slow_only' and $10::int < s.slow_ms)";

static json_t *text_value(str_t text)
{
    json_t *value = json_stringn(text.base != NULL ? text.base : "", text.len);
    return value != NULL ? value : json_string("(bytes that are not UTF-8)");
}

static str_t headers_of(pool_t *pool, const activity_t *activity)
{
    json_t *raw = json_object();
    for (size_t i = 0; i < activity->header_count; i++)
        json_object_set_new(raw, pool_cstr(pool, activity->headers[i].name),
                            text_value(activity->headers[i].value));
    /* A session id travels under this name; redact knows names, and this one is vCenter's own. */
    if (json_object_get(raw, "vmware-api-session-id") != NULL)
        json_object_set_new(raw, "vmware-api-session-id", json_string("[REDACTED]"));
    json_t *clean = redact_json(pool, raw, activity->secrets, activity->secret_count);
    str_t text = read_json_dump(pool, clean);
    json_decref(clean);
    json_decref(raw);
    return text;
}

static str_t body_of(pool_t *pool, const activity_t *activity, str_t body)
{
    json_t *parsed = NULL;
    if (body.len == 0)
        return STR_NULL;
    err_t *err = read_json(pool, body, &(read_json_limits_t){.any_value = true}, &parsed);
    if (err != NULL)
        return pool_printf(pool, "{\"_not_json\":true,\"_size\":%zu,\"_sha256\":\"%.*s\"}", body.len,
                           STR_ARG(crypt_sha256_hex(pool, body)));
    json_t *clean = redact_json(pool, parsed, activity->secrets, activity->secret_count);
    str_t text = read_json_dump(pool, clean);
    json_decref(clean);
    return text;
}

static str_t text_of(pool_t *pool, const activity_t *activity, str_t text)
{
    if (text.len == 0)
        return text;
    if (!str_is_utf8(text) || memchr(text.base, '\0', text.len) != NULL)
        return STR("(bytes that are not text)");
    return redact_text(pool, text, activity->secrets, activity->secret_count);
}

static err_t *write_row(gateway_t *gateway, pool_t *pool, const activity_t *activity)
{
    db_session_t *session = NULL;
    err_t *err = db_session_begin(gateway->request_sessions, pool,
                                  &(db_session_who_t){.role = STR("service_role"),
                                                      .claims_json = STR("{\"role\":\"service_role\"}"),
                                                      .timeout_ms = NOTE_TIMEOUT_MS},
                                  &session);
    if (err == NULL)
        err = db_session_query(
            session, FN_SQL(NOTE_SQL),
            DB_PARAMS(
                activity->server_id, activity->user_id, str_from_c(activity->command_type),
                text_of(pool, activity, activity->endpoint), text_of(pool, activity, activity->full_url),
                headers_of(pool, activity), body_of(pool, activity, activity->request_body),
                body_of(pool, activity, activity->response_body), pool_printf(pool, "%d", activity->status),
                pool_printf(pool, "%lld", (long long)(activity->elapsed_us / 1000)),
                activity->is_success ? STR("true") : STR("false"), text_of(pool, activity, activity->error),
                str_from_c(activity->source), str_from_c(activity->operation_type)),
            NULL);
    if (err == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err;
}

void activity_note(gateway_t *gateway, pool_t *pool, const activity_t *activity)
{
    err_t *err = write_row(gateway, pool, activity);
    if (err != NULL)
        observe(LOG_WARN, "activity_not_written", F_CSTR("command_type", activity->command_type),
                F_STR("code", err->code), F_STR("message", err->message));
}
