#include "scheduler/leader.h"

#include "base/observe.h"
#include "db/dedicated.h"

#include <stdlib.h>
#include <unistd.h>

enum { STEP_MS = 2000, TIMEOUT_MS = 4000 };

/* The lock's two keys: "bslt" and 0. Leading means that this very session is seen to hold it, so that a
 * pooler that was mistaken for a direct connection elects nobody instead of everybody. */
#define LOCK_KEY "1651731572"

static const char SETTINGS_SQL[] = "select set_config('tcp_keepalives_idle', '4', false),"
                                   "       set_config('tcp_keepalives_interval', '2', false),"
                                   "       set_config('tcp_keepalives_count', '3', false)";
static const char LISTEN_CRON_SQL[] = "listen basalt_cron";
static const char LISTEN_NET_SQL[] = "listen basalt_net";
static const char TRY_SQL[] = "select pg_try_advisory_lock(" LOCK_KEY ", 0)";
static const char CHECK_SQL[] =
    "select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
    "                  and classid = " LOCK_KEY " and objid = 0 and objsubid = 2 and granted)";

struct leader {
    loop_t *loop;
    leader_handlers_t handlers;
    void *arg;
    db_dedicated_t *conn;
    loop_timer_t timer;
    bool is_leading;
};

static void step(void *arg);

static void set_leading(leader_t *leader, bool is_leading)
{
    if (leader->is_leading == is_leading)
        return;
    leader->is_leading = is_leading;
    observe(LOG_INFO, is_leading ? "scheduler_lead_gained" : "scheduler_lead_lost", F_INT("pid", getpid()));
    (is_leading ? leader->handlers.on_gained : leader->handlers.on_lost)(leader->arg);
}

static bool is_true(const PGresult *result)
{
    return PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
           PQgetvalue(result, 0, 0)[0] == 't';
}

static void on_checked(void *arg, const PGresult *result)
{
    set_leading(arg, is_true(result));
}

static void on_tried(void *arg, const PGresult *result)
{
    leader_t *leader = arg;
    if (is_true(result))
        db_dedicated_run(leader->conn, CHECK_SQL, NULL, 0, on_checked);
}

static void step(void *arg)
{
    leader_t *leader = arg;
    loop_timer_start(leader->loop, &leader->timer, STEP_MS, step, leader);
    if (!db_dedicated_is_idle(leader->conn))
        return;
    if (leader->is_leading)
        db_dedicated_run(leader->conn, CHECK_SQL, NULL, 0, on_checked);
    else
        db_dedicated_run(leader->conn, TRY_SQL, NULL, 0, on_tried);
}

static void on_listening(void *arg, const PGresult *result)
{
    (void)result;
    step(arg);
}

static void on_listening_cron(void *arg, const PGresult *result)
{
    leader_t *leader = arg;
    (void)result;
    db_dedicated_run(leader->conn, LISTEN_NET_SQL, NULL, 0, on_listening);
}

static void on_set(void *arg, const PGresult *result)
{
    leader_t *leader = arg;
    (void)result;
    db_dedicated_run(leader->conn, LISTEN_CRON_SQL, NULL, 0, on_listening_cron);
}

static void on_up(void *arg)
{
    leader_t *leader = arg;
    db_dedicated_run(leader->conn, SETTINGS_SQL, NULL, 0, on_set);
}

static void on_conn_lost(void *arg)
{
    set_leading(arg, false);
}

static void on_notify(void *arg, bool is_own)
{
    leader_t *leader = arg;
    (void)is_own;
    if (leader->is_leading)
        leader->handlers.on_bell(leader->arg);
}

str_t leader_conninfo(const config_t *config)
{
    bool is_direct = config_is_set(config, "BASALT_DIRECT_DB_URI");
    return config_str(config, is_direct ? "BASALT_DIRECT_DB_URI" : "BASALT_INTERNAL_DB_URI");
}

leader_t *leader_create(gateway_t *gateway, const leader_handlers_t *handlers, void *arg)
{
    static const db_dedicated_handlers_t conn_handlers = {
        .on_up = on_up, .on_lost = on_conn_lost, .on_notify = on_notify};
    leader_t *leader = calloc(1, sizeof(*leader));
    if (leader == NULL)
        abort();
    leader->loop = gateway->loop;
    leader->handlers = *handlers;
    leader->arg = arg;
    leader->conn = db_dedicated_create(gateway->loop, leader_conninfo(gateway->config), TIMEOUT_MS,
                                       &conn_handlers, leader);
    return leader;
}

void leader_destroy(leader_t *leader)
{
    if (leader == NULL)
        return;
    loop_timer_stop(&leader->timer);
    db_dedicated_destroy(leader->conn);
    free(leader);
}

bool leader_is_leading(const leader_t *leader)
{
    return leader != NULL && leader->is_leading;
}
