/* Settings of the product that the executor obeys: rows activity_settings and network_settings, re-read every
 * 30 s. */
#ifndef EXECUTOR_SETTINGS_H
#define EXECUTOR_SETTINGS_H

#include "executor/gateway_client.h"

typedef enum { ACTIVITY_ALL, ACTIVITY_ERRORS, ACTIVITY_NONE } activity_level_t;

typedef struct {
    activity_level_t activity_level;
    int request_body_max_kb, response_body_max_kb;
    bool is_slow_marked;
    int slow_ms;
    int discovery_threads;
    int idrac_delay_ms, idrac_concurrent;
    int connect_timeout_ms, read_timeout_ms; /* 0: the driver's own */
    int attempts_max, retry_delay_ms;
} settings_t;

typedef struct settings_cache settings_cache_t;

settings_cache_t *settings_cache_create(void);
void settings_cache_destroy(settings_cache_t *cache);

/* The settings, read anew when they are older than 30 s; the last good ones (or defaults) when that fails.
 * Any thread. */
settings_t settings_get(settings_cache_t *cache, gateway_client_t *client);

/* Pure: overlays what the rows say onto the defaults; rows may be NULL. */
settings_t settings_parse(const json_t *activity, const json_t *network);

#endif
