/* Sequential transactions on a worker's connection. Pipeline mode is used for the first round trip only
 * (wash, BEGIN and all settings at once); everything else is plain blocking libpq. */
#include "db/session_set.h"

#include "base/buf.h"
#include "base/clock.h"
#include "db/connect.h"
#include "db/ident.h"
#include "db/pg_error.h"

#include <stdio.h>
#include <stdlib.h>

enum { STATEMENT_TIMEOUT_MS = 30000, ANSWER_GRACE_MS = 5000, DEADLINE_GRACE_MS = 1000 };

struct db_session {
    db_sessions_t *set;
    session_conn_t *conn; /* NULL: ended */
    pool_t *pool;
    db_session_who_t who; /* copied into `pool`, to begin once more */
    size_t query_count;
};

/* --- the deadline --- */

static bool is_late(const db_session_who_t *who)
{
    return who->deadline_us != 0 && clock_mono_us() >= who->deadline_us;
}

static err_t *late(pool_t *pool)
{
    return err_make(pool, 504, ERR_FAMILY_OVERLOAD, "", "There was not enough time to finish");
}

/* What the server is given: it ends a statement just after the deadline, so that whoever asks afterwards sees
 * that it has passed. */
static int timeout_of(const db_session_who_t *who)
{
    if (who->deadline_us == 0)
        return who->timeout_ms > 0 ? who->timeout_ms : STATEMENT_TIMEOUT_MS;
    int64_t left_ms = (who->deadline_us - clock_mono_us()) / 1000 + 2;
    return who->timeout_ms > 0 && who->timeout_ms < left_ms ? who->timeout_ms
           : left_ms > 1                                    ? (int)left_ms
                                                            : 1;
}

/* --- the first round trip --- */

static str_t copy(pool_t *pool, str_t s)
{
    return str_is_null(s) ? s : pool_str(pool, s);
}

static db_session_who_t copy_who(pool_t *pool, const db_session_who_t *who)
{
    db_session_who_t own = *who;
    own.role = copy(pool, who->role);
    own.claims_json = str_is_null(who->claims_json) ? STR("{}") : pool_str(pool, who->claims_json);
    str_t *settings = POOL_ARRAY(pool, str_t, who->setting_count * 2 + 1);
    for (size_t i = 0; i < who->setting_count * 2; i++)
        settings[i] = pool_str(pool, str_is_null(who->settings[i]) ? STR("") : who->settings[i]);
    own.settings = settings;
    return own;
}

static void cfg_add(buf_t *sql, const char **values, int *count, const char *name, const char *value)
{
    values[(*count)++] = value;
    buf_append_str(sql, *count == 1 ? STR("select pg_catalog.set_config(") : STR(",pg_catalog.set_config("));
    ident_append_literal(sql, str_from_c(name));
    buf_printf(sql, ",$%d,true)", *count);
}

/* All strings of `who` end with a zero: they were copied into a pool. */
static bool send_cfg(PGconn *pg, pool_t *pool, const db_session_who_t *who)
{
    const char **values = POOL_ARRAY(pool, const char *, who->setting_count + 3);
    int count = 0;
    char timeout[16];
    buf_t sql;
    buf_init(&sql, pool, 512);
    snprintf(timeout, sizeof(timeout), "%d", timeout_of(who));
    cfg_add(&sql, values, &count, "statement_timeout", timeout);
    cfg_add(&sql, values, &count, "role", str_is_null(who->role) ? "none" : who->role.base);
    cfg_add(&sql, values, &count, "request.jwt.claims", who->claims_json.base);
    for (size_t i = 0; i < who->setting_count; i++)
        cfg_add(&sql, values, &count, who->settings[2 * i].base, who->settings[2 * i + 1].base);
    buf_append_char(&sql, '\0');
    return PQsendQueryParams(pg, sql.base, count, NULL, values, NULL, NULL, 0);
}

static bool send_plain(PGconn *pg, const char *sql)
{
    return PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

static bool send_begin(session_conn_t *conn, pool_t *pool, const db_session_who_t *who)
{
    uint64_t caller = str_hash(who->role) * 31 + str_hash(who->claims_json);
    bool must_wash = conn->is_dirty && caller != conn->last_caller;
    conn->last_caller = caller;
    conn->is_dirty = (conn->is_dirty && !must_wash) || !str_is_null(who->role);
    bool ok = PQenterPipelineMode(conn->pg);
    for (size_t i = 0; must_wash && ok && i < DB_WASH_COUNT; i++)
        ok = send_plain(conn->pg, DB_WASH[i]);
    ok = ok && (!must_wash || PQpipelineSync(conn->pg));
    return ok && send_plain(conn->pg, "BEGIN") && send_cfg(conn->pg, pool, who) && PQpipelineSync(conn->pg);
}

/* Reads everything up to the last Sync. The first error counts; the rest of its segment comes back as
 * aborted. */
static err_t *read_begin(session_conn_t *conn, pool_t *pool, bool is_anonymous)
{
    err_t *err = NULL;
    size_t null_count = 0;
    while (session_conn_await(conn)) {
        PGresult *result = PQgetResult(conn->pg);
        if (result == NULL) {
            if (PQstatus(conn->pg) == CONNECTION_BAD || ++null_count > 64)
                break;
            continue;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR && err == NULL)
            err = pg_error_from_result(pool, result, is_anonymous);
        PQclear(result);
        PGTransactionStatusType now = PQtransactionStatus(conn->pg);
        if (status == PGRES_PIPELINE_SYNC &&
            (now == PQTRANS_INTRANS || now == PQTRANS_INERROR || err != NULL))
            break;
    }
    if (conn->is_broken || PQstatus(conn->pg) == CONNECTION_BAD || !PQexitPipelineMode(conn->pg)) {
        conn->is_broken = true;
        if (err == NULL)
            err = pg_error_lost_connection(pool, str_from_c(PQerrorMessage(conn->pg)));
    }
    return err;
}

static err_t *begin(session_conn_t *conn, pool_t *pool, const db_session_who_t *who)
{
    conn->limit_ms = timeout_of(who) + ANSWER_GRACE_MS;
    conn->deadline_us = who->deadline_us != 0 ? who->deadline_us + DEADLINE_GRACE_MS * 1000 : 0;
    if (!send_begin(conn, pool, who)) {
        conn->is_broken = true;
        return pg_error_lost_connection(pool, str_from_c(PQerrorMessage(conn->pg)));
    }
    return read_begin(conn, pool, who->is_anonymous);
}

/* --- ending --- */

/* Leaves no transaction behind; a connection that will not be idle is closed. */
static void end_transaction(session_conn_t *conn)
{
    if (!conn->is_broken && PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        PQclear(session_conn_result(conn, PQsendQuery(conn->pg, "ROLLBACK")));
    if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        conn->is_broken = true;
}

static void release(db_session_t *session)
{
    session_conn_t *conn = session->conn;
    session->conn = NULL;
    end_transaction(conn);
    session_set_give(session->set, conn);
}

static void on_pool_gone(void *arg)
{
    db_session_rollback(arg);
}

void db_session_rollback(db_session_t *session)
{
    if (session != NULL && session->conn != NULL)
        release(session);
}

err_t *db_session_begin(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who,
                        db_session_t **out)
{
    db_session_who_t own = copy_who(pool, who);
    err_t *err = NULL;
    /* Idle connections may have died unnoticed, all of them: nothing has been executed, so the next one is
     * tried. */
    for (int attempt = 0; attempt < 64; attempt++) {
        session_conn_t *conn;
        err = is_late(&own) ? late(pool) : session_set_take(sessions, pool, own.deadline_us, &conn);
        if (err != NULL)
            return err;
        err = begin(conn, pool, &own);
        if (err == NULL) {
            db_session_t *session = POOL_NEW(pool, db_session_t);
            *session = (db_session_t){.set = sessions, .conn = conn, .pool = pool, .who = own};
            pool_on_dispose(pool, on_pool_gone, session);
            *out = session;
            return NULL;
        }
        bool is_stale_conn = conn->is_broken && !conn->is_fresh;
        end_transaction(conn);
        session_set_give(sessions, conn);
        if (!is_stale_conn)
            return is_late(&own) ? late(pool) : err;
    }
    return err;
}

static err_t *simple(db_session_t *session, const char *sql, const char *wanted_tag)
{
    if (session->conn == NULL)
        return err_bug(session->pool, "the session has ended");
    PGconn *pg = session->conn->pg;
    PGresult *result = session_conn_result(session->conn, PQsendQuery(pg, sql));
    err_t *err = NULL;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        err = pg_error_from_result(session->pool, result, session->who.is_anonymous);
    else if (strcmp(PQcmdStatus(result), wanted_tag) != 0)
        err = err_bug(session->pool, "COMMIT was answered with ROLLBACK: an error before it was ignored");
    PQclear(result);
    if (PQstatus(pg) == CONNECTION_BAD)
        session->conn->is_broken = true;
    return err;
}

err_t *db_session_commit(db_session_t *session)
{
    bool must_stop = session->conn != NULL && is_late(&session->who);
    err_t *err = must_stop ? late(session->pool) : simple(session, "COMMIT", "COMMIT");
    db_session_rollback(session); /* gives the connection back */
    return err;
}

err_t *db_session_savepoint(db_session_t *session)
{
    return simple(session, "SAVEPOINT gateway", "SAVEPOINT");
}

err_t *db_session_rollback_to_savepoint(db_session_t *session)
{
    return simple(session, "ROLLBACK TO SAVEPOINT gateway", "ROLLBACK");
}

/* --- queries --- */

static void close_evicted(session_conn_t *conn)
{
    stmt_cache_trim(conn->stmts);
    buf_t sql;
    buf_init(&sql, NULL, 0);
    while (stmt_cache_next_close(conn->stmts, &sql)) {
        buf_append_char(&sql, '\0');
        PQclear(session_conn_result(conn, PQsendQuery(conn->pg, sql.base)));
        buf_clear(&sql);
    }
    buf_dispose(&sql);
}

/* Sets *entry; NULL when that failed, then the result (perhaps NULL itself) is for the caller to report. */
static PGresult *prepare(db_session_t *session, str_t sql, int param_count, stmt_entry_t **entry)
{
    session_conn_t *conn = session->conn;
    stmt_key_t key = stmt_cache_key(str_hash(sql), sql, session->who.role, STR_NULL);
    *entry = stmt_cache_find(conn->stmts, &key);
    if (*entry != NULL)
        return NULL;
    *entry = stmt_cache_add(conn->stmts, &key);
    PGresult *result = session_conn_result(
        conn, PQsendPrepare(conn->pg, (*entry)->name, pool_cstr(session->pool, sql), param_count, NULL));
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        (*entry)->state = STMT_STATE_READY;
        PQclear(result);
        close_evicted(conn);
        return NULL;
    }
    stmt_cache_drop(conn->stmts, *entry, false);
    *entry = NULL;
    return result;
}

static void clear_result(void *arg)
{
    PQclear(arg);
}

/* The values stay in libpq's result, which lives as long as the pool. */
static void fill_rows(pool_t *pool, PGresult *result, db_rows_t *out)
{
    size_t rows = (size_t)PQntuples(result), columns = (size_t)PQnfields(result);
    str_t *names = POOL_ARRAY(pool, str_t, columns + 1),
          *values = POOL_ARRAY(pool, str_t, rows * columns + 1);
    pool_on_dispose(pool, clear_result, result);
    for (size_t c = 0; c < columns; c++)
        names[c] = str_from_c(PQfname(result, (int)c));
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            if (!PQgetisnull(result, (int)r, (int)c))
                values[r * columns + c] =
                    str_make(PQgetvalue(result, (int)r, (int)c), (size_t)PQgetlength(result, (int)r, (int)c));
    int64_t affected;
    bool has_count = str_to_int64(str_from_c(PQcmdTuples(result)), &affected);
    *out = (db_rows_t){rows, columns, names, values, has_count ? affected : 0};
}

static err_t *take_result(db_session_t *session, PGresult *result, db_rows_t *out)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
        if (out != NULL)
            fill_rows(session->pool, result, out);
        else
            PQclear(result);
        return NULL;
    }
    err_t *err = status == PGRES_FATAL_ERROR
                     ? pg_error_from_result(session->pool, result, session->who.is_anonymous)
                     : err_bug(session->pool, "COPY is not possible here");
    session->conn->is_broken = session->conn->is_broken || status != PGRES_FATAL_ERROR ||
                               PQstatus(session->conn->pg) == CONNECTION_BAD;
    PQclear(result);
    return err;
}

static pg_stale_t stale_plan(const PGresult *result)
{
    pg_fields_t fields = pg_fields_of_result(result);
    return pg_error_stale_plan(&fields);
}

static PGresult *run(db_session_t *session, str_t sql, const char *const *values, int count)
{
    stmt_entry_t *entry;
    PGresult *result = prepare(session, sql, count, &entry);
    if (entry == NULL)
        return result;
    result = session_conn_result(
        session->conn, PQsendQueryPrepared(session->conn->pg, entry->name, count, values, NULL, NULL, 0));
    pg_stale_t stale = stale_plan(result);
    if (stale == PG_STALE_FORGOTTEN)
        stmt_cache_clear(session->conn->stmts, false); /* it has forgotten all of them */
    else if (stale == PG_STALE_CHANGED)
        stmt_cache_drop(session->conn->stmts, entry, true);
    return result;
}

/* Only when nothing else has run in the transaction: otherwise its earlier work would be lost silently. */
static err_t *begin_again(db_session_t *session)
{
    end_transaction(session->conn);
    if (session->conn->is_broken)
        return pg_error_lost_connection(session->pool, STR_NULL);
    close_evicted(session->conn);
    return begin(session->conn, session->pool, &session->who);
}

err_t *db_session_query(db_session_t *session, str_t sql, const str_t *params, size_t param_count,
                        db_rows_t *out)
{
    if (session->conn == NULL)
        return err_bug(session->pool, "the session has ended");
    if (is_late(&session->who))
        return late(session->pool);
    const char **values = POOL_ARRAY(session->pool, const char *, param_count + 1);
    for (size_t i = 0; i < param_count; i++) {
        if (str_find_char(params[i], '\0', 0) != SIZE_MAX)
            return pg_error_from_fields(session->pool, STR("22021"),
                                        STR("invalid byte sequence for encoding \"UTF8\": 0x00"), STR_NULL,
                                        STR_NULL, false);
        values[i] = str_is_null(params[i]) ? NULL : pool_cstr(session->pool, params[i]);
    }
    PGresult *result = run(session, sql, values, (int)param_count);
    if (stale_plan(result) != PG_STALE_NOT && session->query_count == 0) {
        PQclear(result);
        err_t *err = begin_again(session);
        if (err != NULL)
            return err;
        result = run(session, sql, values, (int)param_count);
    }
    session->query_count++;
    err_t *err = take_result(session, result, out);
    return err != NULL && is_late(&session->who) ? late(session->pool) : err;
}

str_t db_value_named(const db_rows_t *rows, size_t row, const char *column)
{
    for (size_t c = 0; c < rows->column_count; c++)
        if (str_eq(rows->columns[c], str_from_c(column)))
            return row < rows->row_count ? db_value(rows, row, c) : STR_NULL;
    return STR_NULL;
}
