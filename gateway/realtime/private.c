#include "realtime/private.h"

#include "base/emit.h"
#include "base/observe.h"
#include "base/rand.h"

enum { TIMEOUT_MS = 5000, ASKS_MAX = 3, SETTINGS = 5 };

/* Probes are made by the owner, to whom row security does not apply; then the caller looks for them. */
static const char PROBE_SQL[] =
    "insert into realtime.messages (id, topic, extension, private) "
    "select ($1::uuid[])[n], $2, ($3::text[])[n], true from generate_series(1, 2) n";
static const char BECOME_SQL[] =
    "select set_config('role', $1, true), set_config('realtime.topic', $2, true), "
    "set_config('request.jwt.claims', $3, true), set_config('request.jwt.claim.sub', $4, true), "
    "set_config('request.jwt.claim.role', $1, true), set_config('request.headers', '{}', true)";
static const char LOOK_SQL[] = "select extension from realtime.messages where id = any ($1::uuid[])";
static const char WRITE_SQL[] =
    "insert into realtime.messages (topic, extension, private) values ($1, $2, true)";
static const char PARTITION_SQL[] = "select realtime.ensure_message_partition()";

/* One transaction of a probe. */
typedef struct {
    rt_probe_t *probe;
    db_tx_t *tx;
    bool *granted; /* of a writing ask */
    str_t params[2][4];
    db_stmt_t stmts[3];
    size_t stmt_count;
    bool is_retried;
} ask_t;

struct rt_probe {
    rt_t *rt;
    pool_t *pool;
    str_t topic, role, claims_json, sub, ids;
    rt_rights_t rights;
    ask_t asks[ASKS_MAX];
    size_t ask_count, pending;
    void (*done)(void *arg, const rt_rights_t *rights);
    void *arg;
};

static void submit(ask_t *ask);

static db_end_t roll_back(void *arg)
{
    (void)arg;
    return DB_END_ROLLBACK;
}

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    ask_t *ask = arg;
    (void)count;
    if (ask->granted != NULL || stmt != 2)
        return;
    if (str_eq(values[0], STR("broadcast")))
        ask->probe->rights.read_broadcast = true;
    else
        ask->probe->rights.read_presence = true;
}

static void finish(rt_probe_t *probe)
{
    if (--probe->pending > 0)
        return;
    probe->done(probe->arg, &probe->rights);
    pool_destroy(probe->pool);
}

static void on_partition_made(void *arg, const err_t *error)
{
    ask_t *ask = arg;
    ask->tx = NULL;
    if (error != NULL)
        finish(ask->probe);
    else
        submit(ask);
}

/* No partition for today yet: made in a transaction that stays. */
static void make_partition(ask_t *ask)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_done = on_partition_made};
    db_stmt_t *stmt = POOL_NEW(ask->probe->pool, db_stmt_t);
    stmt->sql = str_from_c(PARTITION_SQL);
    db_tx_spec_t spec = {.is_exclusive = true, .stmts = stmt, .stmt_count = 1, .timeout_ms = TIMEOUT_MS};
    ask->is_retried = true;
    ask->tx = db_tx_submit(ask->probe->rt->gateway->internal_pool, &spec, &handlers, ask);
}

static void on_done(void *arg, const err_t *error)
{
    ask_t *ask = arg;
    ask->tx = NULL;
    if (error != NULL && str_eq(error->code, STR("23514")) && !ask->is_retried) {
        make_partition(ask);
        return;
    }
    if (error == NULL && ask->granted != NULL)
        *ask->granted = true;
    if (error != NULL && !str_eq(error->code, STR("42501")))
        observe(LOG_WARN, "realtime_probe_failed", F_STR("code", error->code),
                F_STR("message", error->message));
    finish(ask->probe);
}

static void submit(ask_t *ask)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_decide = roll_back, .on_done = on_done};
    db_tx_spec_t spec = {.is_explicit = true,
                         .is_exclusive = true,
                         .stmts = ask->stmts,
                         .stmt_count = ask->stmt_count,
                         .timeout_ms = TIMEOUT_MS};
    ask->tx = db_tx_submit(ask->probe->rt->gateway->internal_pool, &spec, &handlers, ask);
}

static ask_t *add_ask(rt_probe_t *probe)
{
    ask_t *ask = &probe->asks[probe->ask_count++];
    *ask = (ask_t){.probe = probe};
    str_t become[] = {probe->role, probe->topic, probe->claims_json, probe->sub};
    memcpy(ask->params[1], become, sizeof(become));
    return ask;
}

static void add_stmt(ask_t *ask, const char *sql, const str_t *params, size_t count)
{
    ask->stmts[ask->stmt_count++] =
        (db_stmt_t){.sql = str_from_c(sql), .params = params, .param_count = count};
}

static void ask_read(rt_probe_t *probe, bool with_presence)
{
    ask_t *ask = add_ask(probe);
    probe->ids = pool_printf(probe->pool, "{%s,%s}", pool_cstr(probe->pool, rand_uuid(probe->pool)),
                             pool_cstr(probe->pool, rand_uuid(probe->pool)));
    ask->params[0][0] = probe->ids;
    ask->params[0][1] = probe->topic;
    ask->params[0][2] = with_presence ? STR("{broadcast,presence}") : STR("{broadcast,broadcast}");
    add_stmt(ask, PROBE_SQL, ask->params[0], 3);
    add_stmt(ask, BECOME_SQL, ask->params[1], 4);
    add_stmt(ask, LOOK_SQL, ask->params[0], 1);
}

static void ask_write(rt_probe_t *probe, str_t extension, bool *granted)
{
    ask_t *ask = add_ask(probe);
    ask->granted = granted;
    ask->params[0][0] = probe->topic;
    ask->params[0][1] = extension;
    add_stmt(ask, BECOME_SQL, ask->params[1], 4);
    add_stmt(ask, WRITE_SQL, ask->params[0], 2);
}

rt_probe_t *rt_probe_start(rt_t *rt, const rt_identity_t *identity, str_t topic, bool with_read,
                           bool with_presence, void (*done)(void *arg, const rt_rights_t *rights), void *arg)
{
    pool_t *pool = pool_create();
    rt_probe_t *probe = POOL_NEW(pool, rt_probe_t);
    *probe = (rt_probe_t){.rt = rt, .pool = pool, .done = done, .arg = arg};
    probe->topic = pool_str(pool, topic);
    probe->role = pool_str(pool, identity->role);
    probe->claims_json = pool_str(pool, identity->claims_json);
    probe->sub = str_is_null(identity->sub) ? STR("") : pool_str(pool, identity->sub);
    if (with_read)
        ask_read(probe, with_presence);
    ask_write(probe, STR("broadcast"), &probe->rights.write_broadcast);
    if (with_presence)
        ask_write(probe, STR("presence"), &probe->rights.write_presence);
    probe->pending = probe->ask_count;
    for (size_t i = 0; i < probe->ask_count; i++)
        submit(&probe->asks[i]);
    return probe;
}

void rt_probe_cancel(rt_probe_t *probe)
{
    if (probe == NULL)
        return;
    for (size_t i = 0; i < probe->ask_count; i++) {
        if (probe->asks[i].tx != NULL)
            db_tx_cancel(probe->asks[i].tx);
    }
    pool_destroy(probe->pool);
}
