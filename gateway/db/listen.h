/* A dedicated LISTEN connection that reconnects for ever. Loop thread only. */
#ifndef DB_LISTEN_H
#define DB_LISTEN_H

#include "base/str.h"
#include "loop/loop.h"

typedef struct db_listen db_listen_t;

typedef struct {
    /* The connection is up and listening: anything may have happened before, catch up now. */
    void (*on_ready)(void *arg);
    void (*on_notify)(void *arg, str_t channel, str_t payload);
    /* Lost; a reconnect is under way (at once, then 1 s, doubling to 8 s). May be NULL. */
    void (*on_lost)(void *arg);
} db_listen_handlers_t;

/* Listens on `channels` (count names, copied), of several hosts at the primary: a standby refuses LISTEN. A
 * probe each 10 s, to be answered within 4 s, finds half-open connections. Handlers may destroy it. */
db_listen_t *db_listen_create(loop_t *loop, str_t conninfo, const str_t *channels, size_t count,
                              const db_listen_handlers_t *handlers, void *arg);
void db_listen_destroy(db_listen_t *listen);
bool db_listen_is_up(const db_listen_t *listen);

#endif
