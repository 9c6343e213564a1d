#include "base/clock.h"
#include "base/emit.h"
#include "base/read_json.h"
#include "functions/notify.h"

static str_t yes_or_no(const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);
    return json_is_boolean(value) ? (json_is_true(value) ? STR("yes") : STR("no")) : STR_NULL;
}

static str_t lines_of(pool_t *pool, const json_t *texts)
{
    buf_t out;
    size_t i;
    const json_t *item;
    buf_init(&out, pool, 128);
    json_array_foreach(texts, i, item)
    {
        if (json_is_string(item))
            buf_printf(
                &out, "- %.*s\n",
                STR_ARG(notify_line(pool, str_make(json_string_value(item), json_string_length(item)))));
    }
    return buf_str(&out);
}

static str_t cluster_log(pool_t *pool, str_t cluster, bool is_safe, const char *severity)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 96);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "cluster_name", cluster);
    emit_kv_string(&emit, "status", is_safe ? STR("safe") : STR("unsafe"));
    emit_kv_string(&emit, "severity", str_from_c(severity));
    emit_object_end(&emit);
    return buf_str(&out);
}

/* The sender's word when it is one that the log knows. */
static const char *severity_of(const json_t *body, const char *otherwise)
{
    static const char *const KNOWN[] = {"critical", "high", "normal", "low", "warning"};
    str_t said = read_json_str(body, "severity");
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++) {
        if (str_eq(said, str_from_c(KNOWN[i])))
            return KNOWN[i];
    }
    return otherwise;
}

void notify_cluster_alert(pool_t *pool, const json_t *body, notice_t *out)
{
    bool is_safe = read_json_bool(body, "safe_to_proceed", false);
    const json_t *warnings = read_json_array(body, "warnings");
    bool has_warnings = json_array_size(warnings) > 0;
    str_t cluster = notify_line(pool, read_json_str(body, "cluster_name"));
    const char *severity = severity_of(body, !is_safe ? "critical" : has_warnings ? "warning" : "normal");
    *out = (notice_t){.log_type = "cluster_safety_alert",
                      .title = is_safe ? STR("Cluster is safe to proceed") : STR("Cluster is not safe"),
                      .text = lines_of(pool, warnings),
                      .colour = is_safe ? (has_warnings ? "FFA500" : "28a745") : "dc3545",
                      .severity = severity,
                      .is_critical = strcmp(severity, "critical") == 0,
                      .job_id = read_json_str(body, "job_id"),
                      .log_details = cluster_log(pool, cluster, is_safe, severity)};
    out->subject =
        pool_printf(pool, "Cluster safety: %.*s is %s", STR_ARG(cluster), is_safe ? "safe" : "NOT safe");
    notify_add_fact(out, "Cluster", cluster);
    notify_add_fact(out, "Healthy hosts",
                    pool_printf(pool, "%lld of %lld", (long long)read_json_int(body, "healthy_hosts", 0),
                                (long long)read_json_int(body, "total_hosts", 0)));
    notify_add_fact(out, "DRS enabled", yes_or_no(body, "drs_enabled"));
    notify_add_fact(out, "DRS mode", notify_line(pool, read_json_str(body, "drs_mode")));
    if (read_json_bool(body, "status_changed", false))
        notify_add_fact(out, "Before", notify_line(pool, read_json_str(body, "previous_status")));
    str_t checked_at = read_json_str(body, "check_timestamp");
    notify_add_fact(out, "Timestamp",
                    checked_at.len > 0 ? notify_line(pool, checked_at)
                                       : clock_iso8601(pool, clock_unix_ms()));
}

static str_t number_text(pool_t *pool, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? pool_printf(pool, "%g", json_number_value(value)) : STR("?");
}

static void append_violation(pool_t *pool, buf_t *out, const json_t *violation, bool is_rpo)
{
    str_t severity = notify_line(pool, read_json_str(violation, "severity"));
    buf_printf(out, "- %.*s", STR_ARG(notify_line(pool, read_json_str(violation, "group_name"))));
    if (severity.len > 0)
        buf_printf(out, " (%.*s)", STR_ARG(severity));
    if (is_rpo) {
        buf_printf(out, ": %.*s minutes behind, the target is %.*s\n",
                   STR_ARG(number_text(pool, violation, "current_rpo_minutes")),
                   STR_ARG(number_text(pool, violation, "target_rpo_minutes")));
        return;
    }
    str_t tested_at = notify_line(pool, read_json_str(violation, "last_test_at"));
    buf_printf(out, ": a failover test is due every %.*s days, the last was %.*s\n",
               STR_ARG(number_text(pool, violation, "reminder_days")),
               STR_ARG(tested_at.len > 0 ? tested_at : STR("never")));
}

static bool has_critical(const json_t *violations)
{
    size_t i;
    const json_t *violation;
    json_array_foreach(violations, i, violation)
    {
        if (str_eq(read_json_str(violation, "severity"), STR("critical")))
            return true;
    }
    return false;
}

void notify_sla_alert(pool_t *pool, const json_t *body, notice_t *out)
{
    buf_t text, log;
    emit_t emit;
    size_t i;
    const json_t *violation, *violations = read_json_array(body, "violations");
    str_t type = read_json_str(body, "alert_type"), summary = read_json_str(body, "summary");
    bool is_rpo = str_eq(type, STR("rpo_breach")), is_critical = has_critical(violations);
    buf_init(&text, pool, 512);
    if (summary.len > 0)
        buf_printf(&text, "%.*s\n", STR_ARG(notify_line(pool, summary)));
    json_array_foreach(violations, i, violation) append_violation(pool, &text, violation, is_rpo);
    buf_init(&log, pool, 96);
    emit_init(&emit, &log);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "alert_type", type);
    emit_kv_int(&emit, "violations_count", (int64_t)json_array_size(violations));
    emit_object_end(&emit);
    *out = (notice_t){.log_type = "sla_violation_alert",
                      .title = is_rpo ? STR("Replication is behind its target")
                                      : STR("Failover tests are overdue"),
                      .text = buf_str(&text),
                      .colour = is_rpo ? "FF6B35" : "FFA500",
                      .severity = is_critical ? "critical" : "warning",
                      .is_critical = is_critical,
                      .log_details = buf_str(&log)};
    out->subject = pool_printf(pool, "SLA alert: %s (%zu)", is_rpo ? "RPO breach" : "test overdue",
                               json_array_size(violations));
    notify_add_fact(out, "Severity", is_critical ? STR("CRITICAL") : STR("Warning"));
    notify_add_fact(out, "Groups", pool_printf(pool, "%zu", json_array_size(violations)));
    notify_add_fact(out, "Timestamp", clock_iso8601(pool, clock_unix_ms()));
}
