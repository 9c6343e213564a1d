#include "executor/settings.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/read_json.h"

#include <pthread.h>
#include <stdlib.h>

enum { LIFE_US = 30000000 };

struct settings_cache {
    pthread_mutex_t mutex;
    settings_t settings;
    int64_t read_us; /* 0: never */
};

static int bounded(const json_t *row, const char *key, int absent, int low, int high)
{
    int64_t value = row != NULL ? read_json_int(row, key, absent) : absent;
    return value < low ? low : (value > high ? high : (int)value);
}

settings_t settings_parse(const json_t *activity, const json_t *network)
{
    str_t level = activity != NULL ? read_json_str(activity, "log_level") : STR_NULL;
    settings_t out = {
        .activity_level = str_eq(level, STR("none"))          ? ACTIVITY_NONE
                          : str_eq(level, STR("errors_only")) ? ACTIVITY_ERRORS
                                                              : ACTIVITY_ALL,
        .request_body_max_kb = bounded(activity, "max_request_body_kb", 100, 1, 10240),
        .response_body_max_kb = bounded(activity, "max_response_body_kb", 100, 1, 10240),
        .is_slow_marked = activity != NULL && read_json_bool(activity, "alert_on_slow_commands", false),
        .slow_ms = bounded(activity, "slow_command_threshold_ms", 5000, 1, 3600000),
        .discovery_threads = bounded(activity, "discovery_max_threads", 5, 1, 32),
        .idrac_delay_ms = bounded(activity, "idrac_request_delay_ms", 500, 0, 60000),
        .idrac_concurrent = bounded(activity, "idrac_max_concurrent", 4, 1, 64),
        .attempts_max = bounded(network, "max_retry_attempts", 3, 1, 10),
        .retry_delay_ms = bounded(network, "retry_delay_seconds", 2, 1, 60) * 1000,
    };
    /* The table's defaults (30 s, 60 s) are meant for slow networks; only values that were set shorten the
     * driver's. */
    if (network != NULL) {
        int connect_s = bounded(network, "connection_timeout_seconds", 30, 1, 300);
        int read_s = bounded(network, "read_timeout_seconds", 60, 1, 600);
        out.connect_timeout_ms = connect_s == 30 ? 0 : connect_s * 1000;
        out.read_timeout_ms = read_s == 60 ? 0 : read_s * 1000;
    }
    return out;
}

settings_cache_t *settings_cache_create(void)
{
    settings_cache_t *cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    cache->settings = settings_parse(NULL, NULL);
    return cache;
}

void settings_cache_destroy(settings_cache_t *cache)
{
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

settings_t settings_get(settings_cache_t *cache, gateway_client_t *client)
{
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&cache->mutex);
    bool is_fresh = cache->read_us != 0 && now - cache->read_us < LIFE_US;
    settings_t settings = cache->settings;
    pthread_mutex_unlock(&cache->mutex);
    if (is_fresh)
        return settings;
    pool_t *pool = pool_create();
    json_t *activity = NULL, *network = NULL;
    err_t *err = gateway_select_one(client, pool,
                                    STR("activity_settings?select=log_level,max_request_body_kb,max_response_"
                                        "body_kb,alert_on_slow_commands,"
                                        "slow_command_threshold_ms,discovery_max_threads,idrac_request_delay_"
                                        "ms,idrac_max_concurrent&limit=1"),
                                    &activity);
    if (err == NULL)
        err = gateway_select_one(client, pool, STR("network_settings?select=*&limit=1"), &network);
    if (err == NULL) {
        settings = settings_parse(activity, network);
        pthread_mutex_lock(&cache->mutex);
        cache->settings = settings;
        cache->read_us = now;
        pthread_mutex_unlock(&cache->mutex);
    } else {
        observe(LOG_WARN, "settings_unreadable", F_STR("message", err->message));
    }
    pool_destroy(pool);
    return settings;
}
