#include "executor/jobs/device.h"
#include "executor/jobs/jobs.h"
#include "executor/jobs/servers.h"

#include "base/clock.h"
#include "base/read_json.h"

#include <time.h>

enum { POLL_MS = 2000 };

typedef enum { AIM_NONE, AIM_ON, AIM_OFF, AIM_FLIP } aim_t;

typedef struct {
    const char *name;
    aim_t aim;
    bool needs_on;
    bool is_repeatable; /* sent twice it does no more than sent once */
    int timeout_s;
} power_kind_t;

static const power_kind_t KINDS[] = {
    {"On", AIM_ON, false, true, 120},
    {"ForceOff", AIM_OFF, false, true, 120},
    {"GracefulShutdown", AIM_OFF, false, true, 300},
    {"ForceRestart", AIM_ON, true, false, 180},
    {"GracefulRestart", AIM_ON, true, false, 300},
    {"PowerCycle", AIM_ON, true, false, 180},
    {"PushPowerButton", AIM_FLIP, false, false, 300},
    {"Nmi", AIM_NONE, true, false, 0},
};

/* The names of the product's HTTP API, beside those of Redfish. */
static str_t redfish_name(str_t name)
{
    static const char *const ALIASES[][2] = {{"on", "On"},
                                             {"off", "ForceOff"},
                                             {"graceful_shutdown", "GracefulShutdown"},
                                             {"reset", "ForceRestart"},
                                             {"graceful_restart", "GracefulRestart"}};
    for (size_t i = 0; i < sizeof(ALIASES) / sizeof(ALIASES[0]); i++)
        if (str_eq_nocase(name, str_from_c(ALIASES[i][0])))
            return str_from_c(ALIASES[i][1]);
    return name;
}

static const power_kind_t *find_kind(str_t name)
{
    name = redfish_name(name);
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
        if (str_eq(name, str_from_c(KINDS[i].name)))
            return &KINDS[i];
    return NULL;
}

static bool is_on(str_t state)
{
    return str_eq(state, STR("On"));
}

static bool is_off(str_t state)
{
    return str_eq(state, STR("Off"));
}

static bool is_reached(const power_kind_t *kind, bool was_on, str_t state)
{
    switch (kind->aim) {
    case AIM_ON:
        return is_on(state);
    case AIM_OFF:
        return is_off(state);
    case AIM_FLIP:
        return was_on ? is_off(state) : is_on(state);
    default:
        return true;
    }
}

static bool nap(const job_t *job)
{
    for (int i = 0; i < POLL_MS / 100; i++) {
        if (job->is_halted)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return true;
}

/* Waits until the device itself says that the state is reached. A restart must be seen to leave On first, or
 * to have had the time for it. */
static err_t *wait_for(device_t *device, pool_t *pool, const power_kind_t *kind, bool was_on, str_t *state)
{
    int64_t started = clock_mono_us(), limit = (int64_t)kind->timeout_s * 1000000;
    bool is_restart = kind->aim == AIM_ON && kind->needs_on, has_left = !is_restart;
    str_t last = STR_NULL;
    device_poll_begin(device);
    for (;;) {
        redfish_system_t system;
        err_t *err = redfish_read_system(device->redfish, pool, &system);
        int64_t elapsed = clock_mono_us() - started;
        if (err == NULL) {
            *state = system.power_state;
            has_left = has_left || !is_on(*state) || elapsed > 10000000;
            device_poll_keep(device, !str_eq(*state, last));
            last = *state;
            if (has_left && is_reached(kind, was_on, *state))
                return NULL;
        } else if (str_eq(err->code, STR("auth")) || str_eq(err->code, STR("breaker")) ||
                   str_eq(err->code, STR("cancelled"))) {
            return err;
        }
        if (elapsed > limit)
            return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "timeout",
                            "%s was accepted, but after %d s the power state is still %.*s", kind->name,
                            kind->timeout_s, STR_ARG(state->len > 0 ? *state : STR("unknown")));
        if (!nap(device->job))
            return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "cancelled",
                            "stopped while waiting for the power state");
    }
}

static str_t reset_step(pool_t *pool, const json_t *server)
{
    return pool_printf(pool, "reset:%.*s", STR_ARG(read_json_str(server, "id")));
}

/* Sends the reset, with a journal entry before and after: whoever comes next knows that it may have been
 * sent. */
static err_t *send_reset(device_t *device, pool_t *pool, const power_kind_t *kind,
                         const redfish_system_t *system, str_t step, bool *is_already)
{
    job_t *job = device->job;
    *is_already = false;
    err_t *err = job_journal_start(job, step,
                                   json_pack("{s:s,s:s%}", "action", kind->name, "before",
                                             system->power_state.base != NULL ? system->power_state.base : "",
                                             system->power_state.len));
    if (err != NULL)
        return err;
    if (job->is_halted)
        return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "cancelled", "cancelled before anything was sent");
    err = redfish_reset(device->redfish, pool, system->system, str_from_c(kind->name));
    if (err != NULL && str_eq(err->code, STR("conflict")) && kind->is_repeatable) {
        *is_already = true;
        err = NULL;
    }
    job_journal_done(job, step, json_pack("{s:s,s:b}", "action", kind->name, "is_sent", err == NULL));
    job_flush_quietly(job);
    return err;
}

/* A former run may have sent it. What cannot be sent twice is only looked at. */
static err_t *judge_former(pool_t *pool, const power_kind_t *kind, const char *journal, str_t state)
{
    if (strcmp(journal, "done") == 0)
        return NULL;
    return err_make(pool, 0, ERR_FAMILY_UPSTREAM, "unknown",
                    "The executor stopped while %s was being sent. Whether the device received it is not "
                    "known; it was not "
                    "sent again. The power state is %.*s",
                    kind->name, STR_ARG(state.len > 0 ? state : STR("unknown")));
}

static err_t *act(device_t *device, pool_t *pool, const power_kind_t *kind, const json_t *server,
                  str_t *state, str_t *note)
{
    redfish_system_t system;
    str_t step = reset_step(pool, server);
    const json_t *former = NULL;
    const char *journal = job_journal_state(device->job, step, &former);
    err_t *err = redfish_read_system(device->redfish, pool, &system);
    if (err != NULL)
        return err;
    *state = system.power_state;
    bool was_on = is_on(system.power_state), is_already = false;
    bool is_sent = journal != NULL && (!kind->is_repeatable || strcmp(journal, "done") == 0);
    if (is_sent) {
        err = judge_former(pool, kind, journal, *state);
        was_on = former != NULL ? is_on(read_json_str(former, "before")) : was_on;
    } else if (kind->aim != AIM_FLIP && !kind->needs_on && is_reached(kind, was_on, *state)) {
        *note = pool_printf(pool, "is already %.*s", STR_ARG(*state));
        return NULL;
    } else if (kind->needs_on && !was_on) {
        err = err_make(pool, 409, ERR_FAMILY_UPSTREAM, "conflict", "%s needs a server that is on; it is %.*s",
                       kind->name, STR_ARG(*state));
    } else if (!redfish_allows_reset(system.system, str_from_c(kind->name))) {
        err = err_make(pool, 400, ERR_FAMILY_UPSTREAM, "not_supported", "The server does not offer %s",
                       kind->name);
    } else {
        err = send_reset(device, pool, kind, &system, step, &is_already);
    }
    if (err != NULL)
        return err;
    *note = is_already ? pool_printf(pool, "%s: the device says it is in that state already", kind->name)
                       : pool_printf(pool, "%s was carried out", kind->name);
    return kind->aim == AIM_NONE ? NULL : wait_for(device, pool, kind, was_on, state);
}

static err_t *power_server(job_t *job, pool_t *pool, const json_t *server, str_t task_id, json_t *result,
                           str_t *note)
{
    device_t device;
    const power_kind_t *kind = find_kind(read_json_str(job->details, "action"));
    str_t state = STR_NULL;
    err_t *err = device_open_server(&device, job, pool, server, task_id);
    if (err != NULL)
        return err;
    err = act(&device, pool, kind, server, &state, note);
    device_close(&device);
    if (state.len > 0) {
        json_t *row = json_object();
        json_object_set_new(row, "power_state", device_text(state));
        json_object_set_new(row, "last_seen", device_now(pool));
        device_patch_row(job, pool, "servers", read_json_str(server, "id"), row);
        json_object_set_new(result, "power_state", device_text(state));
    }
    if (err == NULL)
        *note = pool_printf(pool, "%.*s, power %.*s", STR_ARG(*note), STR_ARG(state));
    return err;
}

void job_power_action(job_t *job)
{
    static const servers_plan_t PLAN = {.verb = "Changing power of", .work = power_server};
    str_t action = read_json_str(job->details, "action");
    if (find_kind(action) == NULL) /* no default: that would be a silent power operation */
        job_fail(
            job,
            "details.action must be one of On, ForceOff, ForceRestart, GracefulRestart, GracefulShutdown, "
            "PushPowerButton, Nmi, PowerCycle%s%.*s",
            action.len > 0 ? "; it is " : "", STR_ARG(str_slice(action, 0, 40)));
    else
        servers_run(job, &PLAN);
}
