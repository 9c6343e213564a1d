#include "auth/cleanup.h"

#include "base/observe.h"

#define DAY "now() - interval '24 hours'"
#define BATCH " limit 500 for update skip locked) "

typedef struct {
    gateway_t *gateway;
    loop_timer_t timer;
    bool is_running; /* a round is on a worker; the loop's */
} cleanup_t;

/* The parent of a usable token stays: a client that lost the answer may still come with it. */
static const char *const ROUND[] = {
    "delete from auth.refresh_tokens where id in (select r.id from auth.refresh_tokens r where r.revoked and "
    "r.updated_at < " DAY
    " and not exists (select from auth.refresh_tokens c where c.parent = r.token and not c.revoked)" BATCH,
    "delete from auth.sessions where id in (select id from auth.sessions where not_after < " DAY BATCH,
    "delete from auth.flow_state where id in (select id from auth.flow_state where created_at < " DAY BATCH,
    "delete from auth.mfa_challenges where id in (select id from auth.mfa_challenges where created_at < " DAY
        BATCH,
    "delete from auth.mfa_factors where id in (select id from auth.mfa_factors where status = 'unverified' "
    "and created_at < " DAY BATCH,
};

err_t *auth_cleanup_run(auth_scope_t *scope, int64_t *rows)
{
    db_rows_t result;
    *rows = 0;
    for (size_t i = 0; i < sizeof(ROUND) / sizeof(ROUND[0]); i++) {
        err_t *err = auth_begin(scope);
        if (err == NULL)
            err = auth_query(scope, str_from_c(ROUND[i]), NULL, 0, &result);
        if (err == NULL)
            err = auth_commit(scope);
        if (err != NULL) {
            auth_rollback(scope);
            return err;
        }
        *rows += result.affected;
    }
    return NULL;
}

static void on_worker(void *arg)
{
    cleanup_t *cleanup = arg;
    auth_scope_t scope;
    int64_t rows = 0;
    pool_t *pool = pool_create();
    auth_scope_init(&scope, cleanup->gateway, pool, STR_NULL, STR_NULL);
    err_t *err = auth_cleanup_run(&scope, &rows);
    if (err != NULL)
        observe(LOG_WARN, "auth_cleanup_failed", F_STR("code", err->code), F_STR("message", err->message));
    else if (rows > 0)
        observe(LOG_INFO, "auth_cleanup", F_INT("rows", rows));
    pool_destroy(pool);
}

static void on_done(void *arg)
{
    ((cleanup_t *)arg)->is_running = false;
}

static void on_timer(void *arg);

static void start_timer(cleanup_t *cleanup)
{
    int64_t interval_ms = config_int(cleanup->gateway->config, "BASALT_AUTH_CLEANUP_INTERVAL");
    loop_timer_start(cleanup->gateway->loop, &cleanup->timer, interval_ms < 1000 ? 1000 : interval_ms,
                     on_timer, cleanup);
}

static void on_timer(void *arg)
{
    cleanup_t *cleanup = arg;
    if (!cleanup->is_running)
        cleanup->is_running =
            worker_submit(cleanup->gateway->workers, cleanup->gateway->loop, on_worker, on_done, cleanup);
    start_timer(cleanup);
}

static void stop(void *arg)
{
    loop_timer_stop(&((cleanup_t *)arg)->timer);
}

void auth_cleanup_start(gateway_t *gateway, pool_t *process_pool)
{
    if (gateway->internal_sessions == NULL)
        return;
    cleanup_t *cleanup = POOL_NEW(process_pool, cleanup_t);
    cleanup->gateway = gateway;
    start_timer(cleanup);
    pool_on_dispose(process_pool, stop, cleanup);
}
