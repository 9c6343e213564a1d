/* Who leads: a session advisory lock on a connection of its own, which also listens on the doorbells. */
#ifndef SCHEDULER_LEADER_H
#define SCHEDULER_LEADER_H

#include "api/gateway.h"

typedef struct leader leader_t;

/* All on the loop. */
typedef struct {
    void (*on_gained)(void *arg);
    void (*on_lost)(void *arg); /* after on_gained only */
    void (*on_bell)(void *arg); /* basalt_cron or basalt_net rang; while leading only */
} leader_handlers_t;

/* Where session state lasts: the connection past a pooler when there is one, else the internal login's. */
str_t leader_conninfo(const config_t *config);

/* Tries for the lock every two seconds. A leader that dies frees it with its connection; the server notices a
 * dead host within about ten seconds. */
leader_t *leader_create(gateway_t *gateway, const leader_handlers_t *handlers, void *arg);
void leader_destroy(leader_t *leader); /* frees the lock; no on_lost */
bool leader_is_leading(const leader_t *leader);

#endif
