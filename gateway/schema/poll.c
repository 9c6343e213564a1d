#include "schema/poll.h"

#include "base/observe.h"
#include "db/tx.h"

#include <stdlib.h>

#define TOLD_FACTOR 30 /* so many times more seldom where triggers tell; they may be dropped */

struct schema_poll {
    loop_t *loop;
    db_pool_t *pool;
    int interval_ms;
    void (*on_changed)(void *arg);
    void *arg;
    loop_timer_t timer;
    db_stmt_t stmt;
    db_tx_spec_t spec;
    db_tx_t *tx;       /* under way */
    int64_t last, now; /* -1: not known */
    bool is_told;
};

/* Counters that the server keeps anyway: no table is read. */
static const char SQL[] =
    "select exists (select from pg_catalog.pg_event_trigger t join pg_catalog.pg_proc p on p.oid = t.evtfoid"
    "                where t.evtenabled <> 'D' and strpos(p.prosrc, 'pgrst') > 0),"
    "       sum(n_tup_ins + n_tup_upd + n_tup_del)::int8"
    "  from pg_catalog.pg_stat_sys_tables"
    " where schemaname = 'pg_catalog'"
    "   and relname in ('pg_attribute', 'pg_class', 'pg_constraint', 'pg_description', 'pg_namespace', "
    "'pg_proc',"
    "                   'pg_rewrite', 'pg_type')";

static void ask(void *arg);

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    schema_poll_t *poll = arg;
    (void)stmt;
    (void)count;
    poll->is_told = str_eq(values[0], STR("t"));
    if (str_is_null(values[1]) || !str_to_int64(values[1], &poll->now))
        poll->now = -1;
}

static void on_done(void *arg, const err_t *error)
{
    schema_poll_t *poll = arg;
    poll->tx = NULL;
    int factor = poll->is_told && error == NULL ? TOLD_FACTOR : 1;
    loop_timer_start(poll->loop, &poll->timer, factor * poll->interval_ms, ask, poll);
    if (error != NULL || poll->now < 0)
        return;
    bool has_changed = poll->last >= 0 && poll->now != poll->last && !poll->is_told;
    poll->last = poll->now;
    if (has_changed) {
        observe(LOG_INFO, "schema_changed_unannounced", F_INT("rows", poll->now));
        poll->on_changed(poll->arg);
    }
}

static void ask(void *arg)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_done = on_done};
    schema_poll_t *poll = arg;
    poll->now = -1;
    poll->tx = db_tx_submit(poll->pool, &poll->spec, &handlers, poll);
}

schema_poll_t *schema_poll_create(loop_t *loop, db_pool_t *pool, int interval_ms,
                                  void (*on_changed)(void *arg), void *arg)
{
    schema_poll_t *poll = calloc(1, sizeof(*poll));
    if (poll == NULL)
        abort();
    *poll = (schema_poll_t){.loop = loop,
                            .pool = pool,
                            .interval_ms = interval_ms,
                            .on_changed = on_changed,
                            .arg = arg,
                            .last = -1,
                            .now = -1,
                            .stmt = {.sql = str_make(SQL, sizeof(SQL) - 1)}};
    poll->spec = (db_tx_spec_t){.is_read_only = true, .stmts = &poll->stmt, .stmt_count = 1};
    ask(poll);
    return poll;
}

void schema_poll_destroy(schema_poll_t *poll)
{
    if (poll == NULL)
        return;
    loop_timer_stop(&poll->timer);
    if (poll->tx != NULL)
        db_tx_cancel(poll->tx);
    free(poll);
}
