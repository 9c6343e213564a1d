/* What others may ask of a pool and change in it. */
#include "db/inside.h"

#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

static str_t copy_text(str_t text)
{
    char *copy = strndup(text.base != NULL ? text.base : "", text.len);
    if (copy == NULL)
        abort();
    return str_make(copy, text.len);
}

void db_pool_set_options(db_pool_t *pool, const db_pool_options_t *options)
{
    db_pool_options_t old = pool->options, *now = &pool->options;
    *now = *options;
    now->name = copy_text(options->name);
    now->conninfo = copy_text(options->conninfo);
    if (now->size_max == 0)
        now->size_max = 1;
    if (now->acquire_timeout_ms <= 0)
        now->acquire_timeout_ms = 10000;
    if (now->share_limit_us <= 0)
        now->share_limit_us = 500;
    if (now->queue_max == 0)
        now->queue_max = now->size_max > 250 ? 4 * now->size_max : 1000;
    if (!str_eq(old.conninfo, now->conninfo) || old.needs_libpq != now->needs_libpq)
        pool->generation++;
    db_pool_tidy_soon(pool); /* closes idle connections of the old kind */
    free((char *)old.name.base);
    free((char *)old.conninfo.base);
}

static void publish(db_pool_t *pool, metric_t **gauge, const char *name, const char *help, size_t value)
{
    if (*gauge == NULL) {
        char label[80];
        snprintf(label, sizeof(label), "pool=\"%.*s\"", STR_ARG(pool->options.name));
        *gauge = metric_gauge(name, help, label);
    }
    metric_set(*gauge, (int64_t)value);
}

size_t pool_info_waiting(const db_pool_t *pool)
{
    return pool->waiting.count + pool->waiting_fast.count;
}

void pool_info_publish(db_pool_t *pool)
{
    size_t idle = 0;
    for (size_t i = 0; i < pool->conn_count; i++)
        idle += pool->conns[i]->state == CONN_STATE_IDLE;
    publish(pool, &pool->size_gauge, "basalt_db_pool_size", "Connections of the pool", pool->conn_count);
    publish(pool, &pool->idle_gauge, "basalt_db_pool_idle", "Connections without a transaction", idle);
    publish(pool, &pool->waiting_gauge, "basalt_db_pool_waiting", "Transactions that wait for a connection",
            pool_info_waiting(pool));
}

static size_t count_sent(const db_pool_t *pool)
{
    size_t sent = 0;
    for (size_t i = 0; i < pool->conn_count; i++)
        sent += pool->conns[i]->depth;
    return sent;
}

size_t db_pool_in_flight(const db_pool_t *pool)
{
    return count_sent(pool) + pool_info_waiting(pool);
}

db_pool_figures_t db_pool_figures(const db_pool_t *pool)
{
    db_pool_figures_t figures = {.size_max = pool->options.size_max,
                                 .waiting = pool_info_waiting(pool),
                                 .acquire_timeouts = pool->timeout_total};
    for (size_t i = 0; i < pool->conn_count; i++)
        figures.busy += pool->conns[i]->state != CONN_STATE_IDLE;
    return figures;
}

bool db_pool_is_up(const db_pool_t *pool)
{
    return pool->is_up;
}

int db_pool_server_version(const db_pool_t *pool)
{
    return pool->server_version;
}

str_t db_pool_parameter(const db_pool_t *pool, const char *name)
{
    for (size_t i = 0; i < pool->conn_count; i++)
        if (pool->conns[i]->wire != NULL && pool->conns[i]->state != CONN_STATE_BROKEN)
            return wire_parameter(pool->conns[i]->wire, name);
    return STR_NULL;
}

void db_pool_on_state(db_pool_t *pool, void (*fn)(void *arg, bool is_up), void *arg)
{
    pool->on_state = fn;
    pool->on_state_arg = arg;
}

void db_pool_flush_statements(db_pool_t *pool)
{
    for (size_t i = 0; i < pool->conn_count; i++)
        pool->conns[i]->must_flush_stmts = true;
}

void db_pool_inspect(const db_pool_t *pool, buf_t *out)
{
    size_t by_state[CONN_STATE_BROKEN + 1] = {0}, stmts = 0;
    for (size_t i = 0; i < pool->conn_count; i++) {
        by_state[pool->conns[i]->state]++;
        stmts += stmt_cache_count(pool->conns[i]->stmts);
    }
    buf_printf(out, "{\"name\":\"%.*s\",\"up\":%s,\"server_version\":%d,\"size\":%zu,\"size_max\":%zu,",
               STR_ARG(pool->options.name), pool->is_up ? "true" : "false", pool->server_version,
               pool->conn_count, pool->options.size_max);
    buf_printf(out, "\"opening\":%zu,\"idle\":%zu,\"busy\":%zu,\"cancelling\":%zu,\"in_flight\":%zu,",
               by_state[CONN_STATE_OPENING], by_state[CONN_STATE_IDLE], by_state[CONN_STATE_BUSY],
               by_state[CONN_STATE_CANCELLING], count_sent(pool));
    buf_printf(out, "\"waiting\":%zu,\"statements\":%zu,\"done\":%lld,\"lost_connections\":%lld,",
               pool_info_waiting(pool), stmts, (long long)pool->done_total, (long long)pool->lost_total);
    buf_printf(out, "\"retries\":%lld,\"acquire_timeouts\":%lld,\"cancels\":%lld}",
               (long long)pool->retry_total, (long long)pool->timeout_total, (long long)pool->cancel_total);
}
