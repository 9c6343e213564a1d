/* How rooms tell each other things without including each other. Loop thread only. */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "api/gateway.h"

typedef enum {
    API_EVENT_SESSION_ENDED,  /* subject: session id */
    API_EVENT_USER_CHANGED,   /* subject: user id (banned, deleted, role changed) */
    API_EVENT_KEYS_CHANGED,   /* the token verifier was replaced */
    API_EVENT_SCHEMA_CHANGED, /* a new schema snapshot is in force */
    API_EVENT_CONFIG_RELOADED,
    API_EVENT_DRAIN, /* shutting down */
    API_EVENT_COUNT
} api_event_t;

/* The table itself: made and freed by main. */
struct api_events *api_events_create(void);
void api_events_destroy(struct api_events *events);

void api_event_on(gateway_t *gateway, api_event_t event, void (*fn)(void *arg, str_t subject), void *arg);
void api_event_emit(gateway_t *gateway, api_event_t event, str_t subject);
/* From a worker: posts to the loop (subject copied). */
void api_event_post(gateway_t *gateway, api_event_t event, str_t subject);

#endif
