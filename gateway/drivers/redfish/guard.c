#include "drivers/redfish/guard.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

typedef struct device {
    struct device *next;
    char *address;
    size_t address_len;
    bool is_busy;
    int waiting;
    int64_t ready_us;      /* next request not before */
    int refused, unwell;   /* calls in a row */
    int64_t open_until_us; /* 0: closed */
} device_t;

struct redfish_guard {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    redfish_guard_options_t options;
    device_t *devices;
    int active;
};

redfish_guard_t *redfish_guard_create(const redfish_guard_options_t *options)
{
    redfish_guard_t *guard = calloc(1, sizeof(*guard));
    if (guard == NULL)
        abort();
    pthread_mutex_init(&guard->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    guard->options = *options;
    return guard;
}

void redfish_guard_destroy(redfish_guard_t *guard)
{
    if (guard == NULL)
        return;
    while (guard->devices != NULL) {
        device_t *device = guard->devices;
        guard->devices = device->next;
        free(device->address);
        free(device);
    }
    pthread_cond_destroy(&guard->changed);
    pthread_mutex_destroy(&guard->mutex);
    free(guard);
}

void redfish_guard_set_pace(redfish_guard_t *guard, int concurrent_max, int delay_ms)
{
    pthread_mutex_lock(&guard->mutex);
    guard->options.concurrent_max = concurrent_max;
    guard->options.delay_ms = delay_ms;
    pthread_cond_broadcast(&guard->changed);
    pthread_mutex_unlock(&guard->mutex);
}

static device_t *find_or_add(redfish_guard_t *guard, str_t address)
{
    for (device_t *device = guard->devices; device != NULL; device = device->next)
        if (str_eq(str_make(device->address, device->address_len), address))
            return device;
    device_t *device = calloc(1, sizeof(*device));
    char *copy = malloc(address.len + 1);
    if (device == NULL || copy == NULL)
        abort();
    memcpy(copy, address.base, address.len);
    copy[address.len] = '\0';
    device->address = copy;
    device->address_len = address.len;
    device->next = guard->devices;
    guard->devices = device;
    return device;
}

/* A scan of a large network must not leave an entry for each address behind. */
static void drop_idle(redfish_guard_t *guard, int64_t now)
{
    device_t **link = &guard->devices;
    while (*link != NULL) {
        device_t *device = *link;
        if (device->is_busy || device->waiting > 0 || device->refused > 0 || device->unwell > 0 ||
            device->open_until_us > now || device->ready_us > now) {
            link = &device->next;
            continue;
        }
        *link = device->next;
        free(device->address);
        free(device);
    }
}

static void wait_until(redfish_guard_t *guard, int64_t due_us)
{
    struct timespec at = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};
    pthread_cond_timedwait(&guard->changed, &guard->mutex, &at);
}

redfish_guard_entry_t redfish_guard_enter(redfish_guard_t *guard, str_t address, bool is_forced,
                                          const atomic_bool *is_cancelled, int64_t *wait_ms)
{
    redfish_guard_entry_t entry = REDFISH_GUARD_ENTERED;
    pthread_mutex_lock(&guard->mutex);
    device_t *device = find_or_add(guard, address);
    device->waiting++;
    for (;;) {
        int64_t now = clock_mono_us();
        if (is_cancelled != NULL && *is_cancelled) {
            entry = REDFISH_GUARD_CANCELLED;
            break;
        }
        if (device->open_until_us > now && !is_forced) {
            *wait_ms = (device->open_until_us - now) / 1000 + 1;
            entry = REDFISH_GUARD_OPEN;
            break;
        }
        if (!device->is_busy && guard->active < guard->options.concurrent_max && device->ready_us <= now)
            break;
        int64_t due = now + 500000; /* cancellation is noticed within half a second */
        if (!device->is_busy && device->ready_us > now && device->ready_us < due)
            due = device->ready_us;
        wait_until(guard, due);
    }
    device->waiting--;
    if (entry == REDFISH_GUARD_ENTERED) {
        device->is_busy = true;
        guard->active++;
    }
    pthread_mutex_unlock(&guard->mutex);
    return entry;
}

/* The first pause, doubled for each failure behind the one that opened the breaker. */
static int64_t unwell_pause_ms(const redfish_guard_options_t *options, int failures)
{
    int64_t pause = options->unwell_ms;
    for (int i = options->failures_max; i < failures && pause < options->refused_ms; i++)
        pause *= 2;
    return pause < options->refused_ms ? pause : options->refused_ms;
}

static void count_failure(device_t *device, const redfish_guard_options_t *options, bool is_refusal,
                          int64_t now)
{
    /* Who looks, in spite of the pause, whether the device is back does not make it longer. */
    if (!is_refusal && device->open_until_us > now)
        return;
    int *count = is_refusal ? &device->refused : &device->unwell;
    ++*count;
    if (options->failures_max == 0 || *count < options->failures_max)
        return;
    int64_t pause_ms = is_refusal ? options->refused_ms : unwell_pause_ms(options, *count);
    device->open_until_us = now + pause_ms * 1000;
}

void redfish_guard_leave(redfish_guard_t *guard, str_t address, redfish_guard_outcome_t outcome)
{
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&guard->mutex);
    device_t *device = find_or_add(guard, address);
    device->is_busy = false;
    device->ready_us = now + (int64_t)guard->options.delay_ms * 1000;
    guard->active--;
    if (outcome == REDFISH_GUARD_GOOD)
        device->refused = device->unwell = 0, device->open_until_us = 0;
    else if (outcome != REDFISH_GUARD_NEUTRAL)
        count_failure(device, &guard->options, outcome == REDFISH_GUARD_REFUSED, now);
    drop_idle(guard, now);
    pthread_cond_broadcast(&guard->changed);
    pthread_mutex_unlock(&guard->mutex);
}
