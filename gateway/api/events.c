#include "api/events.h"

#include <stdlib.h>

#define LISTENERS_MAX 16

typedef struct {
    void (*fn)(void *arg, str_t subject);
    void *arg;
} listener_t;

struct api_events {
    listener_t listeners[API_EVENT_COUNT][LISTENERS_MAX];
    size_t counts[API_EVENT_COUNT];
};

typedef struct {
    gateway_t *gateway;
    api_event_t event;
    size_t len;
    char subject[];
} posted_event_t;

struct api_events *api_events_create(void)
{
    struct api_events *events = calloc(1, sizeof(*events));
    if (events == NULL)
        abort();
    return events;
}

void api_events_destroy(struct api_events *events)
{
    free(events);
}

void api_event_on(gateway_t *gateway, api_event_t event, void (*fn)(void *arg, str_t subject), void *arg)
{
    struct api_events *events = gateway->events;
    if (events->counts[event] == LISTENERS_MAX)
        abort(); /* a wiring mistake, met at start */
    events->listeners[event][events->counts[event]++] = (listener_t){fn, arg};
}

void api_event_emit(gateway_t *gateway, api_event_t event, str_t subject)
{
    struct api_events *events = gateway->events;
    for (size_t i = 0; i < events->counts[event]; i++)
        events->listeners[event][i].fn(events->listeners[event][i].arg, subject);
}

static void on_posted(void *arg)
{
    posted_event_t *posted = arg;
    api_event_emit(posted->gateway, posted->event, str_make(posted->subject, posted->len));
    free(posted);
}

void api_event_post(gateway_t *gateway, api_event_t event, str_t subject)
{
    posted_event_t *posted = malloc(sizeof(*posted) + subject.len);
    if (posted == NULL)
        abort();
    posted->gateway = gateway;
    posted->event = event;
    posted->len = subject.len;
    memcpy(posted->subject, subject.base, subject.len);
    loop_post(gateway->loop, on_posted, posted);
}
