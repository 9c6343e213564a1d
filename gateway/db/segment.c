/* Writing transactions to a connection:
 *
 *   implicit   [prepare cfg] cfg [pre-request] ([prepare] statement)* Sync
 *   explicit   BEGIN; the same; Sync   then, once all has succeeded and on_decide has spoken,   COMMIT; Sync
 *
 * cfg is one SELECT of set_config(.., true) calls: everything it sets is gone after the transaction. COMMIT
 * has a segment of its own because an error makes the server skip the rest of a segment, and the connection
 * would stay in the failed transaction for the next caller. What several of them gather on one connection
 * during a turn of the loop goes out in one piece. */
#include "db/ident.h"
#include "db/inside.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static step_t *add_step(segment_t *segment, step_kind_t kind, uint32_t stmt, stmt_entry_t *entry)
{
    step_t *step = &segment->steps[segment->step_count++];
    *step = (step_t){.kind = kind, .stmt = stmt, .entry = entry};
    if (entry != NULL)
        stmt_cache_pin(entry);
    return step;
}

/* The statement's entry on this connection, prepared in this very segment when it is new. NULL: sending
 * failed. */
static stmt_entry_t *take_entry(conn_t *conn, segment_t *segment, const db_stmt_t *stmt,
                                const stmt_key_t *key)
{
    stmt_entry_t *entry = stmt_cache_add(conn->stmts, key);
    add_step(segment, STEP_PREPARE, 0, entry);
    return wire_prepare(conn->wire, entry->name, stmt) ? entry : NULL;
}

static bool send_unprepared(conn_t *conn, segment_t *segment, step_kind_t kind, uint32_t index,
                            const db_stmt_t *stmt)
{
    add_step(segment, kind, index, NULL);
    return wire_execute(conn->wire, NULL, stmt, kind == STEP_STMT, NULL);
}

static bool send_prepared(conn_t *conn, segment_t *segment, step_kind_t kind, uint32_t index,
                          const db_stmt_t *stmt, stmt_entry_t *entry)
{
    if (entry == NULL)
        return false;
    step_t *step = add_step(segment, kind, index, entry);
    step->is_binary = kind == STEP_STMT && segment->takes_binary && entry->formats.binary_count > 0;
    return wire_execute(conn->wire, entry->name, stmt, kind == STEP_STMT && !entry->is_described,
                        step->is_binary ? &entry->formats : NULL);
}

static bool send_stmt(conn_t *conn, segment_t *segment, step_kind_t kind, uint32_t index,
                      const db_stmt_t *stmt, str_t role, str_t path)
{
    if (stmt->is_unprepared || !conn->pool->options.is_prepared)
        return send_unprepared(conn, segment, kind, index, stmt);
    stmt_key_t key = stmt_cache_key(db_stmt_hash(stmt), stmt->sql, role, path);
    stmt_entry_t *entry = stmt_cache_find(conn->stmts, &key);
    if (entry == NULL)
        entry = take_entry(conn, segment, stmt, &key);
    return send_prepared(conn, segment, kind, index, stmt, entry);
}

static bool send_plain(conn_t *conn, segment_t *segment, const char *sql, bool is_prepared)
{
    db_stmt_t stmt = {.sql = str_from_c(sql), .is_unprepared = !is_prepared};
    return send_stmt(conn, segment, STEP_QUIET, 0, &stmt, STR_NULL, STR_NULL);
}

/* ---- settings ---- */

typedef struct {
    const db_tx_spec_t *spec;
    db_setting_t *items;
    size_t count;
} cfg_t;

static bool is_read_only_by_cfg(const db_tx_spec_t *spec)
{
    return spec->is_read_only && !spec->is_explicit;
}

/* An explicit transaction waits for us once, between its statements and their COMMIT. When this host is gone
 * by then, it must not hold its locks until the server's system misses us, which takes hours. */
static const db_setting_t SHORT_WAIT = {STR("idle_in_transaction_session_timeout"), STR("15000")};

/* Room for `items` is the caller's: three more than the spec lists. The role is always set: a function may
 * have left another one on the connection. */
static void cfg_collect(cfg_t *cfg, char timeout[16])
{
    const db_tx_spec_t *spec = cfg->spec;
    for (size_t i = 0; i < spec->role_setting_count; i++)
        cfg->items[cfg->count++] = spec->role_settings[i];
    if (spec->timeout_ms > 0) {
        snprintf(timeout, 16, "%d", spec->timeout_ms);
        cfg->items[cfg->count++] = (db_setting_t){STR("statement_timeout"), str_from_c(timeout)};
    }
    if (spec->is_explicit)
        cfg->items[cfg->count++] = SHORT_WAIT;
    cfg->items[cfg->count++] =
        (db_setting_t){STR("role"), str_is_null(spec->role) ? STR("none") : spec->role};
    for (size_t i = 0; i < spec->setting_count; i++)
        cfg->items[cfg->count++] = spec->settings[i];
}

/* What the statement is known under: the names that its text is made of. The zero in front keeps it apart
 * from texts. */
static stmt_key_t cfg_key(buf_t *scratch, const cfg_t *cfg)
{
    buf_clear(scratch);
    buf_append_char(scratch, '\0');
    buf_append_char(scratch, is_read_only_by_cfg(cfg->spec) ? 'r' : 'w');
    for (size_t i = 0; i < cfg->count; i++) {
        buf_append_char(scratch, '\0');
        buf_append_str(scratch, cfg->items[i].name);
    }
    return stmt_cache_key(str_hash(buf_str(scratch)), buf_str(scratch), STR_NULL, STR_NULL);
}

static void cfg_text(buf_t *sql, const cfg_t *cfg)
{
    buf_append_lit(sql, "select ");
    if (is_read_only_by_cfg(cfg->spec))
        buf_append_lit(sql, "pg_catalog.set_config('transaction_read_only','on',true)");
    else
        buf_append_lit(sql, "1");
    for (size_t i = 0; i < cfg->count; i++) {
        buf_append_lit(sql, ",pg_catalog.set_config(");
        ident_append_literal(sql, cfg->items[i].name);
        buf_append_lit(sql, ",$");
        buf_append_int(sql, (int64_t)i + 1);
        buf_append_lit(sql, ",true)");
    }
}

static bool cfg_send(conn_t *conn, segment_t *segment, const cfg_t *cfg, str_t *values)
{
    for (size_t i = 0; i < cfg->count; i++)
        values[i] = str_is_null(cfg->items[i].value) ? STR("") : cfg->items[i].value;
    db_stmt_t stmt = {.params = values, .param_count = cfg->count};
    stmt_key_t key = cfg_key(&conn->pool->scratch.text, cfg);
    stmt_entry_t *entry = conn->pool->options.is_prepared ? stmt_cache_find(conn->stmts, &key) : NULL;
    if (entry != NULL)
        return send_prepared(conn, segment, STEP_QUIET, 0, &stmt, entry);
    buf_t sql;
    buf_init(&sql, NULL, 512);
    cfg_text(&sql, cfg);
    stmt.sql = buf_str(&sql);
    bool ok = conn->pool->options.is_prepared
                  ? send_prepared(conn, segment, STEP_QUIET, 0, &stmt, take_entry(conn, segment, &stmt, &key))
                  : send_unprepared(conn, segment, STEP_QUIET, 0, &stmt);
    buf_dispose(&sql);
    return ok;
}

/* One text per distinct list of names, so that it is prepared once; the values are bound. */
static bool send_cfg(conn_t *conn, segment_t *segment, const db_tx_spec_t *spec)
{
    enum { ON_STACK = 24 };
    db_setting_t item_stack[ON_STACK];
    str_t value_stack[ON_STACK];
    char timeout[16];
    size_t count_max = spec->role_setting_count + spec->setting_count + 3;
    if (count_max <= ON_STACK) {
        cfg_t cfg = {.spec = spec, .items = item_stack};
        cfg_collect(&cfg, timeout);
        return cfg_send(conn, segment, &cfg, value_stack);
    }
    pool_t *scratch = pool_create();
    cfg_t cfg = {.spec = spec, .items = POOL_ARRAY(scratch, db_setting_t, count_max)};
    cfg_collect(&cfg, timeout);
    bool ok = cfg_send(conn, segment, &cfg, POOL_ARRAY(scratch, str_t, count_max));
    pool_destroy(scratch);
    return ok;
}

static str_t setting(const db_tx_spec_t *spec, str_t name)
{
    for (size_t i = 0; i < spec->setting_count; i++)
        if (str_eq(spec->settings[i].name, name))
            return spec->settings[i].value;
    return STR_NULL;
}

static const char *begin_text(const db_tx_spec_t *spec)
{
    static const char *const texts[][2] = {
        [DB_ISOLATION_DEFAULT] = {"BEGIN", "BEGIN READ ONLY"},
        [DB_ISOLATION_REPEATABLE_READ] = {"BEGIN ISOLATION LEVEL REPEATABLE READ",
                                          "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
        [DB_ISOLATION_SERIALIZABLE] = {"BEGIN ISOLATION LEVEL SERIALIZABLE",
                                       "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"},
    };
    return texts[spec->isolation][spec->is_read_only ? 1 : 0];
}

static bool send_sync(conn_t *conn)
{
    if (!wire_sync(conn->wire)) {
        conn_mark_broken(conn, NULL);
        return false;
    }
    conn_flush_soon(conn);
    return true;
}

bool segment_send_housekeeping(conn_t *conn, const char *const *texts, size_t count, bool is_prepared)
{
    segment_t *segment = calloc(1, sizeof(*segment));
    if (segment == NULL)
        abort();
    conn_append(conn, segment);
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++)
        ok = send_plain(conn, segment, texts[i], is_prepared);
    if (!ok)
        conn_mark_broken(conn, NULL);
    return ok && send_sync(conn);
}

static bool send_wash(conn_t *conn)
{
    return segment_send_housekeeping(conn, DB_WASH, DB_WASH_COUNT, true);
}

bool segment_send_wash(conn_t *conn)
{
    conn->wash.is_due = false;
    return send_wash(conn);
}

static bool wash_for(conn_t *conn, const db_tx_spec_t *spec)
{
    if (conn->pool->options.is_trusting)
        return true;
    bool may_leave = spec->is_exclusive || !spec->is_read_only;
    bool must_wash =
        db_wash_before(&conn->wash, spec->role, setting(spec, STR("request.jwt.claims")), may_leave);
    return !must_wash || send_wash(conn);
}

static bool close_stale_stmts(conn_t *conn)
{
    if (conn->must_flush_stmts)
        stmt_cache_clear(conn->stmts, true);
    conn->must_flush_stmts = false;
    stmt_cache_trim(conn->stmts);
    buf_t sql;
    buf_init(&sql, NULL, 0);
    bool ok = true;
    while (ok && stmt_cache_next_close(conn->stmts, &sql)) {
        buf_append_char(&sql, '\0');
        const char *text = sql.base;
        ok = segment_send_housekeeping(conn, &text, 1, false);
        buf_clear(&sql);
    }
    buf_dispose(&sql);
    return ok;
}

/* ---- time zone ---- */

static bool sets_time_format(const db_setting_t *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(settings[i].name, STR("timezone")) ||
            str_eq_nocase(settings[i].name, STR("datestyle")))
            return true;
    return false;
}

/* Times in binary know no time zone: only where it is UTC, and nothing in the transaction can set another one
 * (reads are trusted not to). */
static bool shows_utc(const conn_t *conn, const db_tx_spec_t *spec)
{
    if (!conn->wire->takes_formats || !spec->is_read_only || spec->is_exclusive ||
        !str_is_null(spec->pre_request) || sets_time_format(spec->role_settings, spec->role_setting_count) ||
        sets_time_format(spec->settings, spec->setting_count))
        return false;
    str_t zone = wire_parameter(conn->wire, "TimeZone");
    return str_eq(zone, STR("UTC")) || str_eq(zone, STR("Etc/UTC")) || str_eq(zone, STR("GMT"));
}

static bool send_body(conn_t *conn, segment_t *segment, const db_tx_spec_t *spec)
{
    str_t path = setting(spec, STR("search_path"));
    segment->takes_binary = shows_utc(conn, spec);
    if (spec->is_explicit && !send_plain(conn, segment, begin_text(spec), true))
        return false;
    if (!send_cfg(conn, segment, spec))
        return false;
    if (!str_is_null(spec->pre_request)) {
        db_stmt_t call = {.sql = spec->pre_request};
        if (!send_stmt(conn, segment, STEP_QUIET, 0, &call, spec->role, path))
            return false;
    }
    for (uint32_t i = 0; i < spec->stmt_count; i++)
        if (!send_stmt(conn, segment, STEP_STMT, i, &spec->stmts[i], spec->role, path))
            return false;
    return true;
}

static segment_t *start_segment(conn_t *conn, db_tx_t *tx)
{
    segment_t *segment = &tx->segment;
    *segment = (segment_t){.tx = tx};
    tx->conn = conn;
    tx->is_sync_sent = false;
    conn->is_shared = tx->is_fast;
    conn_append(conn, segment);
    return segment;
}

bool segment_send_tx(conn_t *conn, db_tx_t *tx)
{
    bool ok = wash_for(conn, &tx->spec) && close_stale_stmts(conn);
    segment_t *segment = start_segment(conn, tx);
    tx->sent_us = clock_mono_us();
    if (ok && !send_body(conn, segment, &tx->spec)) {
        conn_mark_broken(conn, NULL);
        ok = false;
    }
    tx->is_sync_sent = ok && send_sync(conn);
    return tx->is_sync_sent;
}

bool segment_send_end(conn_t *conn, db_tx_t *tx, db_end_t end)
{
    segment_t *segment = start_segment(conn, tx);
    tx->is_ending = true;
    tx->end = end;
    if (!send_plain(conn, segment, end == DB_END_COMMIT ? "COMMIT" : "ROLLBACK", true)) {
        conn_mark_broken(conn, NULL);
        return false;
    }
    tx->is_sync_sent = send_sync(conn);
    return tx->is_sync_sent;
}
