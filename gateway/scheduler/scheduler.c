#include "scheduler/scheduler.h"

#include "api/events.h"
#include "api/inspect.h"
#include "base/observe.h"
#include "scheduler/inside.h"

bool sched_is_leading(const sched_t *sched)
{
    return !sched->is_stopping && leader_is_leading(sched->leader);
}

/* --- the lead --- */

static void on_gained(void *arg)
{
    sched_t *sched = arg;
    sched->retry_ms = 0;
    metric_set(sched->metrics.leading, 1);
    pass_want(sched);
}

/* Commands under way go on: whoever leads next sees their locks. */
static void on_lost(void *arg)
{
    sched_t *sched = arg;
    metric_set(sched->metrics.leading, 0);
    loop_timer_stop(&sched->wake);
}

static void on_bell(void *arg)
{
    sched_t *sched = arg;
    pass_want(sched);
    net_want(sched);
}

/* Shutting down: another gateway may lead at once. */
static void on_drain(void *arg, str_t subject)
{
    sched_t *sched = arg;
    (void)subject;
    sched->is_stopping = true;
    sched->net.is_cancelled = true;
    loop_timer_stop(&sched->wake);
    leader_destroy(sched->leader);
    sched->leader = NULL;
    metric_set(sched->metrics.leading, 0);
    runs_abort(sched);
}

/* --- what is shown --- */

static void inspect_schedules(const sched_t *sched, emit_t *emit)
{
    emit_array_begin(emit);
    for (size_t i = 0; SCHEDULES[i].name != NULL; i++) {
        const own_t *own = &sched->own[i];
        emit_object_begin(emit);
        emit_kv_string(emit, "name", str_from_c(SCHEDULES[i].name));
        emit_kv_string(emit, "pattern", str_from_c(SCHEDULES[i].pattern)); /* null: set in the database */
        emit_kv_bool(emit, "is_scheduled", own->is_scheduled);
        emit_kv_bool(emit, "is_running", own->is_running);
        emit_kv_int(emit, "last_started_ms", own->last_ms);
        emit_kv_int(emit, "last_status", own->last_status);
        emit_object_end(emit);
    }
    emit_array_end(emit);
}

static void inspect(void *arg, buf_t *out)
{
    const sched_t *sched = arg;
    emit_t emit;
    emit_init(&emit, out);
    emit_object_begin(&emit);
    emit_kv_bool(&emit, "is_leading", sched_is_leading(sched));
    emit_kv_bool(&emit, "runs_cron", sched->has_cron);
    emit_kv_bool(&emit, "sends_net", sched->has_net);
    emit_kv_bool(&emit, "is_failing", sched->retry_ms > 0);
    emit_key(&emit, STR("runs"));
    runs_inspect(sched, &emit);
    emit_kv_int(&emit, "requests_in_flight", (int64_t)sched->net.in_flight);
    emit_key(&emit, STR("schedules"));
    inspect_schedules(sched, &emit);
    emit_object_end(&emit);
}

static void create_metrics(sched_t *sched)
{
    static const char runs[] = "basalt_cron_runs_total", requests[] = "basalt_net_requests_total",
                      own[] = "basalt_schedule_runs_total";
    static const char runs_help[] = "Commands of cron.job that have ended",
                      requests_help[] = "Requests of net.http_request_queue that were sent",
                      own_help[] = "Schedules of the gateway itself that have ended";
    sched->metrics.leading = metric_gauge("basalt_scheduler_leading", "1 on the gateway that leads", "");
    sched->metrics.succeeded = metric_counter(runs, runs_help, "status=\"succeeded\"");
    sched->metrics.failed = metric_counter(runs, runs_help, "status=\"failed\"");
    sched->metrics.missed = metric_counter("basalt_cron_missed_total", "Occurrences that nobody ran", "");
    sched->metrics.requests = metric_counter(requests, requests_help, "outcome=\"answered\"");
    sched->metrics.request_errors = metric_counter(requests, requests_help, "outcome=\"error\"");
    sched->metrics.own_succeeded = metric_counter(own, own_help, "status=\"succeeded\"");
    sched->metrics.own_failed = metric_counter(own, own_help, "status=\"failed\"");
}

void scheduler_register(gateway_t *gateway, pool_t *pool)
{
    static const leader_handlers_t handlers = {on_gained, on_lost, on_bell};
    if (gateway->internal_sessions == NULL || !config_bool(gateway->config, "BASALT_SCHEDULER"))
        return;
    sched_t *sched = POOL_NEW(pool, sched_t);
    sched->gateway = gateway;
    sched->net.places = (size_t)config_int(gateway->config, "BASALT_NET_WORKERS");
    create_metrics(sched);
    sched->leader = leader_create(gateway, &handlers, sched);
    api_event_on(gateway, API_EVENT_DRAIN, on_drain, sched);
    api_inspect_add(gateway, "scheduler", inspect, sched);
}
