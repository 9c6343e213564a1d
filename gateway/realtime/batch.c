#include "realtime/batch.h"

#include "base/clock.h"

#include <stdlib.h>

/* Privileges, policies and columns change without notice: what delivery knows of a table is asked again this
 * often. */
enum { TABLE_FRESH_US = 1000000, TIMEOUT_MS = 5000 };

/* Reloads of the tables of one role. */
typedef struct {
    rt_batch_t *batch;
    rt_asking_t asking;
    str_t role;
    str_t params[2];
    db_stmt_t stmt;
} reload_t;

static const char DESCRIBE_SQL[] = "select t from basalt.feed_describe($1::oid[], $2) as d (t)";

static void release(rt_batch_t *batch)
{
    if (--batch->pending == 0)
        batch->next(batch);
}

void rt_batch_ask(rt_batch_t *batch, rt_asking_t *asking, db_pool_t *pool, const db_tx_spec_t *spec,
                  const db_tx_handlers_t *handlers, void *arg)
{
    batch->pending++;
    asking->next = batch->asking;
    batch->asking = asking;
    asking->tx = db_tx_submit(pool, spec, handlers, arg);
}

void rt_batch_answered(rt_batch_t *batch, rt_asking_t *asking)
{
    asking->tx = NULL;
    release(batch);
}

static void batch_free(rt_batch_t *batch)
{
    batch->rt->batch = NULL;
    for (size_t i = 0; i < batch->judged_count; i++) {
        rt_judged_t *judged = &batch->judged[i];
        rt_table_unref(judged->table);
        for (size_t v = 0; v < judged->viewer_count; v++)
            rt_viewer_unref(batch->rt, judged->viewers[v]);
    }
    pool_destroy(batch->pool);
}

static void batch_end(rt_batch_t *batch)
{
    void (*done)(void *arg) = batch->done;
    void *arg = batch->arg;
    batch_free(batch);
    done(arg);
}

void rt_batch_abandon(rt_t *rt)
{
    if (rt->batch == NULL)
        return;
    for (rt_asking_t *asking = rt->batch->asking; asking != NULL; asking = asking->next) {
        if (asking->tx != NULL)
            db_tx_cancel(asking->tx);
    }
    batch_free(rt->batch);
}

/* --- which tables, in whose eyes */

static rt_judged_t *find_judged(rt_batch_t *batch, uint32_t relid, str_t role)
{
    for (size_t i = 0; i < batch->judged_count; i++) {
        if (batch->judged[i].relid == relid && str_eq(batch->judged[i].role, role))
            return &batch->judged[i];
    }
    return NULL;
}

static bool is_relid_known(const rt_batch_t *batch, uint32_t relid, size_t before)
{
    for (size_t i = 0; i < before; i++) {
        if (batch->changes[i].relid == relid)
            return true;
    }
    return false;
}

static void list_changes(rt_judged_t *judged)
{
    rt_batch_t *batch = judged->batch;
    judged->changes = POOL_ARRAY(batch->pool, size_t, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->changes[i].relid == judged->relid && batch->changes[i].op != 'X')
            judged->changes[judged->change_count++] = i;
    }
}

static void add_judged(rt_batch_t *batch, uint32_t relid, str_t role)
{
    if (batch->judged_count % 16 == 0) {
        rt_judged_t *grown = POOL_ARRAY(batch->pool, rt_judged_t, batch->judged_count + 16);
        if (batch->judged_count > 0)
            memcpy(grown, batch->judged, batch->judged_count * sizeof(rt_judged_t));
        batch->judged = grown;
    }
    batch->judged[batch->judged_count++] =
        (rt_judged_t){.batch = batch, .relid = relid, .role = pool_str(batch->pool, role)};
    list_changes(&batch->judged[batch->judged_count - 1]);
}

static void collect_tables(rt_batch_t *batch)
{
    uint32_t last = 0;
    for (size_t i = 0; i < batch->count; i++) {
        uint32_t relid = batch->changes[i].relid;
        if (batch->changes[i].op == 'M' || relid == last || is_relid_known(batch, relid, i))
            continue;
        last = relid;
        rt_watch_t *watch = rt_watch_find(batch->rt, relid);
        str_t role = STR_NULL;
        for (size_t s = 0; watch != NULL && s < watch->count; s++) {
            str_t its_role = watch->subs[s]->changes->viewer->role;
            if (!str_eq(its_role, role) && find_judged(batch, relid, its_role) == NULL)
                add_judged(batch, relid, its_role);
            role = its_role;
        }
    }
}

/* --- what is known of them */

static void on_described(void *arg, size_t stmt, const str_t *values, size_t count)
{
    reload_t *reload = arg;
    (void)stmt, (void)count;
    rt_table_unref(rt_table_load(reload->batch->rt, values[0], reload->role));
}

static void on_reloaded(void *arg, const err_t *error)
{
    reload_t *reload = arg;
    if (error != NULL)
        reload->batch->is_failed = true;
    rt_batch_answered(reload->batch, &reload->asking);
}

static bool is_stale(const rt_batch_t *batch, const rt_judged_t *judged)
{
    const rt_table_t *table = rt_table_find(batch->rt, judged->relid, judged->role);
    return table == NULL || clock_mono_us() - table->loaded_us > TABLE_FRESH_US;
}

/* One transaction for all stale tables of the role of `judged[first]`. */
static void submit_reload(rt_batch_t *batch, size_t first)
{
    static const db_tx_handlers_t handlers = {.on_row = on_described, .on_done = on_reloaded};
    reload_t *reload = POOL_NEW(batch->pool, reload_t);
    *reload = (reload_t){.batch = batch, .role = batch->judged[first].role};
    buf_t relids;
    buf_init(&relids, batch->pool, 64);
    for (size_t i = first; i < batch->judged_count; i++) {
        if (str_eq(batch->judged[i].role, reload->role) && is_stale(batch, &batch->judged[i]))
            buf_printf(&relids, "%c%u", relids.len == 0 ? '{' : ',', batch->judged[i].relid);
    }
    buf_append_char(&relids, '}');
    reload->params[0] = buf_str(&relids);
    reload->params[1] = reload->role;
    reload->stmt = (db_stmt_t){.sql = str_from_c(DESCRIBE_SQL), .params = reload->params, .param_count = 2};
    db_tx_spec_t spec = {
        .is_read_only = true, .stmts = &reload->stmt, .stmt_count = 1, .timeout_ms = TIMEOUT_MS};
    rt_batch_ask(batch, &reload->asking, batch->rt->gateway->internal_pool, &spec, &handlers, reload);
}

static bool is_role_done(const rt_batch_t *batch, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (str_eq(batch->judged[i].role, batch->judged[at].role) && is_stale(batch, &batch->judged[i]))
            return true;
    }
    return false;
}

static void finish(rt_batch_t *batch)
{
    if (batch->is_failed)
        rt_gap(batch->rt, 0, STR("Some changes could not be checked and were not delivered"));
    else
        rt_batch_send(batch);
    batch_end(batch);
}

static void judge(rt_batch_t *batch)
{
    for (size_t i = 0; i < batch->judged_count; i++) {
        rt_judged_t *judged = &batch->judged[i];
        judged->table = rt_table_find(batch->rt, judged->relid, judged->role);
        if (judged->table != NULL)
            judged->table->refs++;
    }
    batch->pending = 1;
    batch->next = finish;
    if (!batch->is_failed)
        rt_trial_submit_all(batch);
    release(batch);
}

void rt_batch_run(rt_t *rt, pool_t *pool, rt_change_t *changes, size_t count, void (*done)(void *arg),
                  void *arg)
{
    rt_batch_t *batch = POOL_NEW(pool, rt_batch_t);
    *batch =
        (rt_batch_t){.rt = rt, .pool = pool, .changes = changes, .count = count, .done = done, .arg = arg};
    rt->batch = batch;
    collect_tables(batch);
    batch->pending = 1;
    batch->next = judge;
    for (size_t i = 0; i < batch->judged_count; i++) {
        if (is_stale(batch, &batch->judged[i]) && !is_role_done(batch, i))
            submit_reload(batch, i);
    }
    release(batch);
}
