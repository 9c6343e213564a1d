/* The process context: what every room may use. Built by main, borrowed by all, changed by nobody else. */
#ifndef API_GATEWAY_H
#define API_GATEWAY_H

#include "base/config.h"
#include "db/pool.h"
#include "db/session.h"
#include "http/server.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "token/token.h"

struct schema_cache;
struct api_routes;
struct api_events;
struct api_inspect;

typedef struct gateway {
    config_t *config;
    loop_t *loop;
    http_server_t *server;
    worker_pool_t *workers;      /* sequential handlers: auth, functions, storage */
    worker_pool_t *hash_workers; /* bcrypt only: few threads, short queue */
    worker_pool_t *mail_workers; /* requests that may wait for a mail server */
    worker_pool_t *net_workers;  /* requests of net.http_post: they may call functions, so not `workers` */
    db_pool_t *request_pool;     /* login authenticator: REST */
    db_pool_t *internal_pool;    /* login basalt_internal: feed, scheduler; NULL on a bare database */
    db_sessions_t *request_sessions;  /* blocking twin of request_pool, for functions as caller/service */
    db_sessions_t *internal_sessions; /* blocking twin of internal_pool, for auth and jobs; may be NULL */
    token_verifier_t *tokens;
    struct schema_cache *schema; /* schema/cache.h */
    struct api_routes *routes;
    struct api_events *events;
    struct api_inspect *inspect;
    bool is_draining;
} gateway_t;

/* Configuration keys of the gateway (api/config_keys.c), documented in docs/configuration.md. */
extern const config_key_t GATEWAY_CONFIG_KEYS[];

#endif
