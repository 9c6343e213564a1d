#include "base/clock.h"
#include "base/emit.h"
#include "base/read_json.h"
#include "functions/notify.h"

#define JOB_ID_SHOWN 8
#define DETAILS_DEPTH_MAX 32
#define LINE_MAX_BYTES 500

/* How a status looks. */
typedef struct {
    const char *status, *mark, *colour;
} look_t;

static const look_t LOOKS[] = {
    {"completed", "\xE2\x9C\x85", "28a745"},
    {"failed", "\xE2\x9D\x8C", "dc3545"},
    {"running", "\xE2\x96\xB6", "007bff"},
};
static const look_t OTHER_LOOK = {NULL, "\xE2\x84\xB9", "6c757d"};
static const look_t CRITICAL_LOOK = {NULL, "\xF0\x9F\x9A\xA8", "FF0000"};

static const look_t *look_of(str_t status)
{
    for (size_t i = 0; i < sizeof(LOOKS) / sizeof(LOOKS[0]); i++) {
        if (str_eq(status, str_from_c(LOOKS[i].status)))
            return &LOOKS[i];
    }
    return &OTHER_LOOK;
}

/* --- secrets */

static bool contains_nocase(str_t text, str_t part)
{
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (str_eq_nocase(str_slice(text, i, i + part.len), part))
            return true;
    }
    return false;
}

static bool is_secret_name(str_t name)
{
    static const char *const PARTS[] = {"passw",         "pwd",         "passphrase", "secret",  "token",
                                        "cookie",        "private_key", "privatekey", "api_key", "apikey",
                                        "authorization", "credential",  "community",  "session"};
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
        if (contains_nocase(name, str_from_c(PARTS[i])))
            return true;
    }
    return false;
}

static json_t *redact_at(const json_t *value, int depth)
{
    if (depth > DETAILS_DEPTH_MAX)
        return json_string("[...]");
    if (json_is_array(value)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(copy, redact_at(json_array_get(value, i), depth + 1));
        return copy;
    }
    if (!json_is_object(value))
        return json_deep_copy(value);
    json_t *copy = json_object();
    for (void *at = json_object_iter((json_t *)value); at != NULL;
         at = json_object_iter_next((json_t *)value, at)) {
        const char *name = json_object_iter_key(at);
        const json_t *member = json_object_iter_value(at);
        bool is_plain = json_is_boolean(member) || json_is_null(member);
        json_object_set_new(copy, name,
                            is_secret_name(str_from_c(name)) && !is_plain ? json_string("[REDACTED]")
                                                                          : redact_at(member, depth + 1));
    }
    return copy;
}

json_t *notify_redact(const json_t *value)
{
    return redact_at(value, 0);
}

static str_t pretty(pool_t *pool, const json_t *details)
{
    if (details == NULL || json_is_null(details))
        return STR_NULL;
    json_t *shown = notify_redact(details);
    char *text = json_dumps(shown, JSON_INDENT(2) | JSON_ENCODE_ANY);
    str_t copy = text != NULL ? pool_str(pool, str_from_c(text)) : STR_NULL;
    free(text);
    json_decref(shown);
    return copy;
}

/* --- messages */

str_t notify_line(pool_t *pool, str_t text)
{
    str_t copy = pool_str(pool, str_slice(text, 0, LINE_MAX_BYTES));
    char *bytes = (char *)copy.base;
    for (size_t i = 0; i < copy.len; i++) {
        if ((unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f)
            bytes[i] = ' ';
    }
    return copy;
}

static str_t now_text(pool_t *pool)
{
    return clock_iso8601(pool, clock_unix_ms());
}

/* What a job says of itself, by the names that jobs use. */
static void add_job_facts(pool_t *pool, notice_t *notice, const json_t *details)
{
    static const struct {
        const char *key, *name;
    } FACTS[] = {{"cluster_name", "Cluster"}, {"server_name", "Server"},
                 {"vcenter_name", "vCenter"}, {"firmware_version", "Version"},
                 {"component", "Component"},  {"message", "Message"},
                 {"error", "Error"}};
    for (size_t i = 0; i < sizeof(FACTS) / sizeof(FACTS[0]); i++) {
        str_t value = read_json_str(details, FACTS[i].key);
        if (value.len > 0)
            notify_add_fact(notice, FACTS[i].name, notify_line(pool, value));
    }
}

static str_t log_details(pool_t *pool, str_t job_type, str_t status)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 96);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "job_type", job_type);
    emit_kv_string(&emit, "job_status", status);
    emit_object_end(&emit);
    return buf_str(&out);
}

void notify_job(pool_t *pool, const notify_settings_t *settings, str_t job_id, str_t job_type, str_t status,
                const json_t *details, notice_t *out)
{
    bool is_failed = str_eq(status, STR("failed"));
    str_t word = pool_concat(pool, 3, STR(" "), job_type, STR(" "));
    bool is_critical =
        is_failed && job_type.len > 0 && str_find(settings->critical_types, word, 0) != SIZE_MAX;
    const look_t *look = is_critical ? &CRITICAL_LOOK : look_of(status);
    *out = (notice_t){.colour = look->colour,
                      .severity = is_critical ? "critical"
                                  : is_failed ? "high"
                                              : "normal",
                      .is_critical = is_critical,
                      .job_id = job_id,
                      .log_details = log_details(pool, job_type, status),
                      .text = pretty(pool, details)};
    str_t type = notify_line(pool, job_type);
    out->subject = pool_printf(pool, "%s Job %.*s: %.*s", look->mark,
                               STR_ARG(pool_upper(pool, notify_line(pool, status))), STR_ARG(type));
    out->title = pool_printf(pool, "Job %.*s", STR_ARG(notify_line(pool, status)));
    if (job_id.len > 0)
        notify_add_fact(out, "Job ID",
                        pool_printf(pool, "%.*s...", STR_ARG(str_slice(job_id, 0, JOB_ID_SHOWN))));
    notify_add_fact(out, "Type", type);
    notify_add_fact(out, "Severity", is_critical ? STR("CRITICAL") : is_failed ? STR("High") : STR("Normal"));
    notify_add_fact(out, "Timestamp", now_text(pool));
    add_job_facts(pool, out, details);
}

void notify_test(pool_t *pool, str_t message, str_t subject, notice_t *out)
{
    *out = (notice_t){
        .subject = subject.len > 0 ? notify_line(pool, subject) : STR("Test Notification"),
        .title = STR("Test notification"),
        .text = message.len > 0 ? message : STR("This is a test of the notification settings. It arrived."),
        .colour = "0078D4",
        .severity = "normal",
        .is_test = true,
        .log_details = STR("{\"test\":true}")};
    notify_add_fact(out, "Timestamp", now_text(pool));
}

static str_t maintenance_log(pool_t *pool, str_t event, const json_t *window)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "event", event);
    emit_kv_string(&emit, "window_id", read_json_str(window, "id"));
    emit_kv_string(&emit, "title", read_json_str(window, "title"));
    emit_object_end(&emit);
    return buf_str(&out);
}

bool notify_maintenance(pool_t *pool, str_t event, const json_t *body, notice_t *out)
{
    static const struct {
        const char *event, *what, *colour, *severity, *log_type;
    } EVENTS[] = {
        {"maintenance_reminder", "Upcoming maintenance", "FFA500", "normal", "maintenance_reminder"},
        {"maintenance_window_started", "Maintenance started", "007bff", "normal", "job_notification"},
        {"maintenance_window_completed", "Maintenance completed", "28a745", "normal", "job_notification"},
        {"maintenance_window_failed", "Maintenance failed", "dc3545", "high", "job_notification"},
    };
    const json_t *window = json_object_get(body, "maintenance_window");
    for (size_t i = 0; i < sizeof(EVENTS) / sizeof(EVENTS[0]); i++) {
        if (!str_eq(event, str_from_c(EVENTS[i].event)))
            continue;
        str_t title = notify_line(pool, read_json_str(window, "title"));
        *out = (notice_t){.log_type = EVENTS[i].log_type,
                          .title = str_from_c(EVENTS[i].what),
                          .text = read_json_str(window, "description"),
                          .colour = EVENTS[i].colour,
                          .severity = EVENTS[i].severity,
                          .job_id = read_json_str(body, "job_id"),
                          .log_details = maintenance_log(pool, event, window)};
        out->subject = pool_printf(pool, "%s: %.*s", EVENTS[i].what, STR_ARG(title));
        notify_add_fact(out, "Window", title);
        notify_add_fact(out, "Type", read_json_str(window, "maintenance_type"));
        notify_add_fact(out, "Planned start", read_json_str(window, "planned_start"));
        notify_add_fact(out, "Planned end", read_json_str(window, "planned_end"));
        int64_t servers = read_json_int(body, "server_count", 0);
        if (servers > 0)
            notify_add_fact(out, "Servers", pool_printf(pool, "%lld", (long long)servers));
        return true;
    }
    return false;
}
