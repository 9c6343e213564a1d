#include "functions/vcenter_ask.h"
#include "functions/vcenter_where.h"

#include "base/clock.h"

#define RESOLVE_MS 5000

static const char COUNT_SQL[] = "select count(*) from public.servers";

/* What was tried, in order, and what came of it. */
typedef struct {
    api_task_t *task;
    buf_t log;
    emit_t emit;
    int64_t steps, server_count;
    bool has_vcenter, is_reachable, is_resolved;
    str_t vcenter_error, dns_error;
} check_t;

static void note(check_t *check, const char *type, str_t target, const char *method, const char *status,
                 int64_t elapsed_us, int code, str_t details)
{
    emit_t *emit = &check->emit;
    emit_object_begin(emit);
    emit_kv_string(emit, "timestamp", clock_iso8601(check->task->pool, clock_unix_ms()));
    emit_kv_int(emit, "step", check->steps++);
    emit_kv_string(emit, "test_type", str_from_c(type));
    emit_kv_string(emit, "target", target);
    emit_kv_string(emit, "method", str_from_c(method));
    emit_kv_string(emit, "status", str_from_c(status));
    emit_kv_int(emit, "response_time_ms", elapsed_us / 1000);
    if (code > 0)
        emit_kv_int(emit, "status_code", code);
    if (details.len > 0)
        emit_kv_string(emit, "details", details);
    emit_object_end(emit);
}

/* Controllers are reached by the executor, often from another network: here servers are only counted. */
static err_t *count_servers(check_t *check)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    int64_t from = clock_mono_us();
    err_t *err = fn_begin_caller(check->task, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(COUNT_SQL), NULL, 0, &rows);
    if (err == NULL && !str_to_int64(db_value(&rows, 0, 0), &check->server_count))
        check->server_count = 0;
    db_session_rollback(session);
    if (err != NULL)
        return err;
    note(check, "server_query", STR("servers"), "SELECT", "success", clock_mono_us() - from, 0,
         pool_printf(check->task->pool, "%lld servers", (long long)check->server_count));
    note(check, "server_connectivity", STR("job executor"), "SKIP", "warning", 0, 0,
         STR("Device controllers are tested by the job executor"));
    activity_t row = {.command_type = "network_validation",
                      .operation_type = "idrac_api",
                      .source = "edge_function",
                      .endpoint = STR("/validate-network-prerequisites"),
                      .full_url = STR("/functions/v1/validate-network-prerequisites"),
                      .user_id = check->task->identity.sub,
                      .is_success = true};
    activity_note(check->task->gateway, check->task->pool, &row);
    return NULL;
}

static void ask_vcenter(check_t *check, const peer_where_t *where)
{
    peer_t peer = {.task = check->task,
                   .where = *where,
                   .operation_type = "vcenter_api",
                   .source = "network_prerequisites"};
    err_t *err = peer_init(&peer);
    if (err == NULL)
        err = vcenter_sign_in(&peer, "network_validation_vcenter", NULL);
    check->is_reachable = err == NULL;
    bool is_refused = err != NULL && str_eq(err->code, STR("refused"));
    if (err != NULL)
        check->vcenter_error =
            is_refused ? pool_concat(check->task->pool, 2, STR("HTTP "), err->message) : peer_failure(err);
    note(check, "vcenter_connectivity", where->host, "POST", err == NULL ? "success" : "failed",
         peer.elapsed_us, is_refused ? (int)err->status : 0, check->vcenter_error);
    peer_close(&peer);
}

/* The name of the vCenter by the resolver of this host. */
static void resolve(check_t *check, str_t host)
{
    int64_t from = clock_mono_us();
    err_t *err = target_resolve(check->task->pool, host, fn_time_left_ms(check->task, RESOLVE_MS));
    check->is_resolved = err == NULL;
    if (err != NULL)
        check->dns_error = STR("DNS resolution may be impaired");
    note(check, "dns_resolution", host, "DNS", err == NULL ? "success" : "warning", clock_mono_us() - from, 0,
         err == NULL ? STR_NULL : err->message);
}

static err_t *check_vcenter(check_t *check)
{
    peer_where_t *where = NULL;
    size_t count = 0;
    err_t *err = NULL;
    if (fn_caller_has_role(check->task, "admin"))
        err = vcenter_where(check->task, VCENTER_SETTINGS, &where, &count);
    if (err != NULL)
        return err;
    check->has_vcenter = count > 0;
    if (count == 0) {
        note(check, "vcenter_query", STR("vcenter_settings"), "SELECT", "warning", 0, 0,
             STR("No vCenter configured"));
        resolve(check, STR("localhost"));
        return NULL;
    }
    note(check, "vcenter_query", STR("vcenter_settings"), "SELECT", "success", 0, 0, STR_NULL);
    ask_vcenter(check, &where[0]);
    resolve(check, where[0].host);
    return NULL;
}

static void emit_results(emit_t *emit, const check_t *check)
{
    bool is_good = !check->has_vcenter || check->is_reachable;
    emit_key(emit, STR("results"));
    emit_object_begin(emit);
    emit_key(emit, STR("servers"));
    emit_object_begin(emit);
    emit_kv_int(emit, "tested", check->server_count);
    emit_kv_int(emit, "reachable", 0);
    emit_kv_int(emit, "unreachable", 0);
    emit_kv_raw(emit, "errors", STR("[]"));
    emit_object_end(emit);
    emit_key(emit, STR("vcenter"));
    emit_object_begin(emit);
    emit_kv_bool(emit, "configured", check->has_vcenter);
    emit_kv_bool(emit, "reachable", check->is_reachable);
    emit_kv_string(emit, "error", check->vcenter_error);
    emit_object_end(emit);
    emit_key(emit, STR("dns"));
    emit_object_begin(emit);
    emit_kv_bool(emit, "working", check->is_resolved);
    emit_kv_string(emit, "error", check->dns_error);
    emit_object_end(emit);
    emit_key(emit, STR("overall"));
    emit_object_begin(emit);
    emit_kv_bool(emit, "passed", is_good);
    emit_kv_raw(emit, "criticalFailures", is_good ? STR("[]") : STR("[\"vCenter unreachable\"]"));
    emit_object_end(emit);
    emit_object_end(emit);
}

void fn_validate_network_prerequisites(api_task_t *task)
{
    buf_t out;
    emit_t emit;
    check_t check = {.task = task};
    buf_init(&check.log, task->pool, 1024);
    emit_init(&check.emit, &check.log);
    emit_array_begin(&check.emit);
    note(&check, "init", STR("system"), "INIT", "success", 0, 0, STR_NULL);
    err_t *err = count_servers(&check);
    if (err == NULL)
        err = check_vcenter(&check);
    if (err != NULL) {
        fn_fail(task, 500, fn_error_text(task, err));
        return;
    }
    note(&check, "completion", STR("system"), "COMPLETE", "success", 0, 0, STR_NULL);
    emit_array_end(&check.emit);
    buf_init(&out, task->pool, check.log.len + 512);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_results(&emit, &check);
    emit_kv_raw(&emit, "executionLog", buf_str(&check.log));
    emit_object_end(&emit);
    fn_reply(task, 200, buf_str(&out));
}
