/* Private channels: who may read and write a topic is what row security on realtime.messages says, tried out
 * with probe rows in transactions that are rolled back. */
#ifndef REALTIME_PRIVATE_H
#define REALTIME_PRIVATE_H

#include "realtime/inside.h"

typedef struct {
    bool read_broadcast, read_presence, write_broadcast, write_presence;
} rt_rights_t;

typedef struct rt_probe rt_probe_t;

/* Asks; `done` is called once, later, unless cancelled. An error (the database is away, no such role) denies
 * all. Presence is asked about only when `with_presence`, reading only when `with_read`. `identity` and
 * `topic` are copied. */
rt_probe_t *rt_probe_start(rt_t *rt, const rt_identity_t *identity, str_t topic, bool with_read,
                           bool with_presence, void (*done)(void *arg, const rt_rights_t *rights), void *arg);
void rt_probe_cancel(rt_probe_t *probe); /* NULL is allowed */

#endif
