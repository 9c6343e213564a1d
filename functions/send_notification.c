#include "functions/fn.h"
#include "functions/notify.h"

static void fail_plain(api_task_t *task, const err_t *err)
{
    fn_fail(task, 500, fn_error_text(task, err));
}

static void reply_message(api_task_t *task, bool has_success, const char *message)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 96);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    if (has_success)
        emit_kv_bool(&emit, "success", true);
    emit_kv_string(&emit, "message", str_from_c(message));
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

static void emit_outcome(emit_t *emit, const char *channel, const notify_outcome_t *outcome)
{
    emit_key(emit, str_from_c(channel));
    if (!outcome->is_tried) {
        emit_null(emit);
        return;
    }
    emit_object_begin(emit);
    if (outcome->error != NULL) {
        emit_kv_string(emit, "error", outcome->error->message);
    } else {
        emit_kv_bool(emit, "success", true);
        emit_kv_string(emit, "message", STR("Notification sent"));
    }
    emit_object_end(emit);
}

static void reply_results(api_task_t *task, const notify_result_t *result)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 256);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "success", true);
    emit_key(&emit, STR("results"));
    emit_object_begin(&emit);
    emit_outcome(&emit, "email", &result->email);
    emit_outcome(&emit, "teams", &result->teams);
    emit_object_end(&emit);
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}

static bool is_test(const json_t *body)
{
    return read_json_bool(body, "isTest", false) || read_json_bool(body, "is_test", false) ||
           read_json_bool(body, "test", false);
}

/* Nobody wants to hear of it: every kind of news that applies is switched off. */
static bool is_cluster_muted(const notify_settings_t *settings, const json_t *body)
{
    bool is_safe = read_json_bool(body, "safe_to_proceed", false);
    bool has_changed = read_json_bool(body, "status_changed", false);
    bool has_warnings = json_array_size(read_json_array(body, "warnings")) > 0;
    if (!is_safe && settings->on_unsafe)
        return false;
    if (has_changed && settings->on_change)
        return false;
    if (is_safe && has_warnings && settings->on_warning)
        return false;
    return !is_safe || has_changed || has_warnings;
}

static void send_alert(api_task_t *task, const notify_settings_t *settings, const json_t *body,
                       bool is_cluster)
{
    notice_t notice;
    notify_result_t result;
    if (is_cluster && is_cluster_muted(settings, body)) {
        reply_message(task, false, "Notification disabled for this event");
        return;
    }
    if (is_cluster)
        notify_cluster_alert(task->pool, body, &notice);
    else
        notify_sla_alert(task->pool, body, &notice);
    notify_send(task->gateway, task->pool, settings, &notice, NOTIFY_ALL, &result);
    reply_message(task, true, is_cluster ? "Cluster safety alert sent" : "SLA violation alert sent");
}

/* The form of the mail channel names recipient, subject and text, and means mail only. */
static void send_test(api_task_t *task, const notify_settings_t *settings, const json_t *body,
                      notify_channels_t channels)
{
    notice_t notice;
    notify_result_t result;
    str_t message = read_json_str(body, "testMessage"), type = read_json_str(body, "type");
    notify_test(task->pool, message.len > 0 ? message : read_json_str(body, "body"),
                read_json_str(body, "subject"), &notice);
    notice.mail_to = read_json_str(body, "to");
    if (str_eq(type, STR("email")))
        channels = NOTIFY_EMAIL;
    else if (str_eq(type, STR("teams")))
        channels = NOTIFY_TEAMS;
    notify_send(task->gateway, task->pool, settings, &notice, channels, &result);
    reply_results(task, &result);
}

static void send_job(api_task_t *task, const notify_settings_t *settings, const json_t *body)
{
    notice_t notice;
    notify_result_t result;
    str_t type = read_json_str(body, "jobType"), status = read_json_str(body, "status");
    if (!notify_is_wanted(settings, status) || str_starts_with(type, STR("idm_"))) {
        reply_message(task, false, "Notification disabled for this event");
        return;
    }
    notify_job(task->pool, settings, read_json_str(body, "jobId"), type, status,
               json_object_get(body, "details"), &notice);
    notify_send(task->gateway, task->pool, settings, &notice, NOTIFY_ALL, &result);
    reply_results(task, &result);
}

static void send_any(api_task_t *task, const notify_settings_t *settings, const json_t *body)
{
    notice_t notice;
    notify_result_t result;
    str_t type = read_json_str(body, "notification_type");
    if (str_eq(type, STR("cluster_safety_alert")) || str_eq(type, STR("sla_violation_alert"))) {
        send_alert(task, settings, body, str_eq(type, STR("cluster_safety_alert")));
    } else if (notify_maintenance(task->pool, type, body, &notice)) {
        notify_send(task->gateway, task->pool, settings, &notice, NOTIFY_ALL, &result);
        reply_results(task, &result);
    } else if (is_test(body)) {
        send_test(task, settings, body, NOTIFY_ALL);
    } else {
        send_job(task, settings, body);
    }
}

/* The settings row, or a reply. */
static notify_settings_t *settings_or_reply(api_task_t *task)
{
    notify_settings_t *settings = NULL;
    err_t *err = notify_load(task->gateway, task->pool, &settings);
    if (err != NULL)
        fail_plain(task, err);
    else if (settings == NULL)
        reply_message(task, false, "No notification settings configured");
    if (settings != NULL)
        settings->deadline_us = task->deadline_us;
    return settings;
}

/* What people make it send goes to addresses and in words of theirs: not for viewers. */
void fn_send_notification(api_task_t *task)
{
    json_t *body = NULL;
    fn_proof_t proof = FN_PROOF_NONE;
    if (!fn_admit_executor(task, "admin operator", FN_BAD_PROOF, fn_fail_success, &proof) ||
        !fn_body(task, &body, fn_fail))
        return;
    notify_settings_t *settings = settings_or_reply(task);
    if (settings != NULL)
        send_any(task, settings, body);
}

/* A test of the Teams channel alone; anything but a delivery is an error, because the form looks at nothing
 * but the status. */
void fn_send_teams_notification(api_task_t *task)
{
    json_t *body = NULL;
    notice_t notice;
    notify_result_t result;
    if (!fn_body(task, &body, fn_fail))
        return;
    notify_settings_t *settings = settings_or_reply(task);
    if (settings == NULL)
        return;
    notify_test(task->pool, read_json_str(body, "testMessage"), STR_NULL, &notice);
    notify_send(task->gateway, task->pool, settings, &notice, NOTIFY_TEAMS, &result);
    if (!result.teams.is_tried)
        fn_fail(task, 400, STR("Teams webhook is not configured"));
    else if (result.teams.error != NULL)
        fn_fail(task, 502, result.teams.error->message);
    else
        reply_results(task, &result);
}
