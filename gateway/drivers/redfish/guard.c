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
    int64_t ready_us; /* next request not before */
    int failures;
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

void redfish_guard_set_options(redfish_guard_t *guard, const redfish_guard_options_t *options)
{
    pthread_mutex_lock(&guard->mutex);
    guard->options = *options;
    pthread_cond_broadcast(&guard->changed);
    pthread_mutex_unlock(&guard->mutex);
}

static device_t *find(redfish_guard_t *guard, str_t address)
{
    for (device_t *device = guard->devices; device != NULL; device = device->next)
        if (str_eq(str_make(device->address, device->address_len), address))
            return device;
    return NULL;
}

static device_t *find_or_add(redfish_guard_t *guard, str_t address)
{
    device_t *device = find(guard, address);
    if (device != NULL)
        return device;
    device = calloc(1, sizeof(*device));
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
        if (device->is_busy || device->waiting > 0 || device->failures > 0 || device->open_until_us > now ||
            device->ready_us > now) {
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
                                          const volatile bool *is_cancelled, int64_t *wait_ms)
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

void redfish_guard_leave(redfish_guard_t *guard, str_t address, redfish_guard_outcome_t outcome)
{
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&guard->mutex);
    device_t *device = find_or_add(guard, address);
    device->is_busy = false;
    device->ready_us = now + (int64_t)guard->options.delay_ms * 1000;
    guard->active--;
    if (outcome == REDFISH_GUARD_GOOD) {
        device->failures = 0;
        device->open_until_us = 0;
    } else if (outcome == REDFISH_GUARD_FAILED) {
        device->failures++;
        if (guard->options.failures_max > 0 && device->failures >= guard->options.failures_max)
            device->open_until_us = now + (int64_t)guard->options.open_ms * 1000;
    }
    drop_idle(guard, now);
    pthread_cond_broadcast(&guard->changed);
    pthread_mutex_unlock(&guard->mutex);
}

void redfish_guard_reset(redfish_guard_t *guard, str_t address)
{
    pthread_mutex_lock(&guard->mutex);
    device_t *device = find(guard, address);
    if (device != NULL) {
        device->failures = 0;
        device->open_until_us = 0;
    }
    pthread_cond_broadcast(&guard->changed);
    pthread_mutex_unlock(&guard->mutex);
}
