#include "db/inside.h"

#include "base/clock.h"

#include <stdlib.h>

void tx_list_push(tx_list_t *list, db_tx_t *tx)
{
    tx->next = NULL;
    tx->prev = list->last;
    if (list->last != NULL)
        list->last->next = tx;
    else
        list->first = tx;
    list->last = tx;
    list->count++;
}

void tx_list_push_front(tx_list_t *list, db_tx_t *tx)
{
    tx->prev = NULL;
    tx->next = list->first;
    if (list->first != NULL)
        list->first->prev = tx;
    else
        list->last = tx;
    list->first = tx;
    list->count++;
}

void tx_list_remove(tx_list_t *list, db_tx_t *tx)
{
    if (tx->prev != NULL)
        tx->prev->next = tx->next;
    else
        list->first = tx->next;
    if (tx->next != NULL)
        tx->next->prev = tx->prev;
    else
        list->last = tx->prev;
    tx->prev = tx->next = NULL;
    list->count--;
}

pool_t *tx_memory(db_tx_t *tx)
{
    if (tx->memory == NULL)
        tx->memory = pool_create();
    return tx->memory;
}

void tx_free(db_tx_t *tx)
{
    pool_destroy(tx->memory);
    free(tx);
}

void tx_finish(db_tx_t *tx, err_t *error)
{
    tx->state = TX_STATE_DONE;
    tx->conn = NULL;
    if (!tx->is_detached)
        tx->handlers.on_done(tx->arg, error);
    tx_free(tx);
}

/* libpq takes zero-terminated texts: a NUL inside would cut a value silently. */
static bool has_nul(const db_tx_spec_t *spec)
{
    for (size_t i = 0; i < spec->stmt_count; i++)
        for (size_t j = 0; j < spec->stmts[i].param_count; j++)
            if (str_find_char(spec->stmts[i].params[j], '\0', 0) != SIZE_MAX)
                return true;
    for (size_t i = 0; i < spec->setting_count; i++)
        if (str_find_char(spec->settings[i].value, '\0', 0) != SIZE_MAX)
            return true;
    return !str_is_null(spec->role) && str_find_char(spec->role, '\0', 0) != SIZE_MAX;
}

/* What is refused before it waits: what the database would refuse anyway, and too much. */
static err_t *refuse(db_tx_t *tx, size_t queue_max)
{
    if (tx->spec.stmt_count > DB_STMTS_MAX)
        return err_bug(tx_memory(tx), "a transaction of too many statements");
    if (has_nul(&tx->spec))
        return pg_error_from_fields(tx_memory(tx), STR("22021"),
                                    STR("invalid byte sequence for encoding \"UTF8\": 0x00"), STR_NULL,
                                    STR_NULL, tx->spec.is_anonymous);
    if (pool_info_waiting(tx->pool) >= queue_max)
        return pg_error_queue_full(tx_memory(tx));
    return NULL;
}

/* "8s", "500ms", "1min", "3000" in milliseconds; 0 when it is no plain number with a unit, or none. */
static int64_t parse_duration_ms(str_t text)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1}};
    size_t digits = 0;
    int64_t value;
    text = str_trim(text);
    while (digits < text.len && text.base[digits] >= '0' && text.base[digits] <= '9')
        digits++;
    if (!str_to_int64(str_slice(text, 0, digits), &value) || value > 1000000000)
        return 0;
    str_t unit = str_trim(str_slice(text, digits, text.len));
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_eq(unit, str_from_c(units[i].unit)))
            return value * units[i].ms;
    return 0;
}

/* The time after which the server ends the statement by itself, as far as this transaction says so. */
static int64_t server_limit_ms(const db_tx_spec_t *spec)
{
    int64_t limit = spec->timeout_ms;
    for (size_t i = 0; i < spec->role_setting_count && spec->timeout_ms == 0; i++)
        if (str_eq(spec->role_settings[i].name, STR("statement_timeout")))
            limit = parse_duration_ms(spec->role_settings[i].value);
    for (size_t i = 0; i < spec->setting_count; i++)
        if (str_eq(spec->settings[i].name, STR("statement_timeout")))
            limit = parse_duration_ms(spec->settings[i].value);
    return limit;
}

db_tx_t *db_tx_submit(db_pool_t *pool, const db_tx_spec_t *spec, const db_tx_handlers_t *handlers, void *arg)
{
    db_tx_t *tx = calloc(1, sizeof(*tx));
    if (tx == NULL)
        abort();
    tx->pool = pool;
    tx->spec = *spec;
    /* The level must be named before the first query of a transaction: only BEGIN can. */
    tx->spec.is_explicit = spec->is_explicit || spec->isolation != DB_ISOLATION_DEFAULT;
    tx->server_limit_ms = server_limit_ms(spec);
    tx->handlers = *handlers;
    tx->arg = arg;
    tx->submitted_us = clock_mono_us();
    tx->deadline_us = tx->submitted_us + (int64_t)pool->options.acquire_timeout_ms * 1000;
    tx->error = refuse(tx, pool->options.queue_max);
    lane_classify(tx);
    db_pool_admit(tx);
    return tx;
}

void db_tx_cancel(db_tx_t *tx)
{
    if (tx->is_detached || tx->state == TX_STATE_DONE)
        return;
    tx->is_detached = true;
    if (tx->state == TX_STATE_WAITING) {
        db_pool_forget(tx);
        tx_free(tx);
    } else if (tx->state == TX_STATE_SENT) {
        conn_pause(tx->conn, false);
        if (tx->conn->depth == 1)
            cancel_schedule(tx->conn);
    }
}

bool db_tx_blocks_others(const db_tx_t *tx)
{
    return tx->state == TX_STATE_SENT && tx->conn->depth > 1;
}

void db_tx_pause(db_tx_t *tx)
{
    if (tx->state == TX_STATE_SENT && tx->conn->first == &tx->segment)
        conn_pause(tx->conn, true);
}

void db_tx_resume(db_tx_t *tx)
{
    if (tx->state == TX_STATE_SENT && tx->conn->first == &tx->segment)
        conn_pause(tx->conn, false);
}
