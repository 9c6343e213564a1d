/* Sequential transactions on a worker's connection: plain blocking libpq, but for what goes in one flight
 * (db/session_flight.h). */
#include "db/session_flight.h"

#include "base/buf.h"
#include "base/clock.h"
#include "db/connect.h"
#include "db/pg_error.h"

#include <stdlib.h>

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

/* --- beginning --- */

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

/* A statement that goes along with the beginning, when the connection knows it. */
typedef struct {
    str_t sql;
    const char *const *values;
    int count;
    const char *ending; /* as in session_flight_t */
    bool was_sent;
    PGresult *result; /* NULL: it is still to be run */
} first_t;

static stmt_entry_t *known_stmt(const session_conn_t *conn, const db_session_who_t *who, str_t sql)
{
    stmt_key_t key = stmt_cache_key(str_hash(sql), sql, who->role, STR_NULL);
    stmt_entry_t *entry = stmt_cache_find(conn->stmts, &key);
    return entry != NULL && entry->state == STMT_STATE_READY ? entry : NULL;
}

static err_t *begin(session_conn_t *conn, pool_t *pool, const db_session_who_t *who, first_t *first)
{
    PGresult *result;
    session_flight_t flight = {.who = who, .is_anonymous = who->is_anonymous};
    const stmt_entry_t *entry = first != NULL ? known_stmt(conn, who, first->sql) : NULL;
    if (entry != NULL) {
        flight.name = entry->name;
        flight.values = first->values;
        flight.count = first->count;
        flight.ending = first->ending;
    }
    err_t *err = session_flight(conn, pool, &flight, &result);
    if (first != NULL) {
        first->was_sent = entry != NULL;
        first->result = result;
    }
    return err;
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

/* Whether what was sent may be sent once more on another connection: when it cannot have counted, or when the
 * server took its leave before it began. */
static bool may_repeat(const session_conn_t *conn, const first_t *first, const err_t *err)
{
    bool may_have_counted = first != NULL && first->was_sent && strcmp(first->ending, "COMMIT") == 0;
    bool was_told = !conn->has_begun && str_starts_with(err->code, STR("57P"));
    return conn->is_broken && !conn->is_fresh && (!may_have_counted || was_told);
}

static err_t *open_session(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who, first_t *first,
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
        if (first != NULL && !session_conn_is_alive(conn)) {
            session_set_give(sessions, conn);
            continue;
        }
        err = begin(conn, pool, &own, first);
        if (err == NULL) {
            db_session_t *session = POOL_NEW(pool, db_session_t);
            *session = (db_session_t){.set = sessions, .conn = conn, .pool = pool, .who = own};
            pool_on_dispose(pool, on_pool_gone, session);
            *out = session;
            return NULL;
        }
        bool is_again = may_repeat(conn, first, err);
        end_transaction(conn);
        session_set_give(sessions, conn);
        if (!is_again)
            return is_late(&own) ? late(pool) : err;
    }
    return err != NULL ? err : pg_error_lost_connection(pool, STR_NULL);
}

err_t *db_session_begin(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who,
                        db_session_t **out)
{
    return open_session(sessions, pool, who, NULL, out);
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

/* True when the statement has to be prepared anew, and is forgotten. */
static bool forget_stale(db_session_t *session, stmt_entry_t *entry, const PGresult *result)
{
    pg_stale_t stale = stale_plan(result);
    if (stale == PG_STALE_FORGOTTEN)
        stmt_cache_clear(session->conn->stmts, false); /* it has forgotten all of them */
    else if (stale == PG_STALE_CHANGED)
        stmt_cache_drop(session->conn->stmts, entry, true);
    return stale != PG_STALE_NOT;
}

static PGresult *run(db_session_t *session, str_t sql, const char *const *values, int count)
{
    stmt_entry_t *entry;
    PGresult *result = prepare(session, sql, count, &entry);
    if (entry == NULL)
        return result;
    result = session_conn_result(
        session->conn, PQsendQueryPrepared(session->conn->pg, entry->name, count, values, NULL, NULL, 0));
    forget_stale(session, entry, result);
    return result;
}

static err_t *bind_values(pool_t *pool, const str_t *params, size_t count, const char *const **out)
{
    const char **values = POOL_ARRAY(pool, const char *, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (str_find_char(params[i], '\0', 0) != SIZE_MAX)
            return pg_error_from_fields(pool, STR("22021"),
                                        STR("invalid byte sequence for encoding \"UTF8\": 0x00"), STR_NULL,
                                        STR_NULL, false);
        values[i] = str_is_null(params[i]) ? NULL : pool_cstr(pool, params[i]);
    }
    *out = values;
    return NULL;
}

/* Only when nothing else has run in the transaction: otherwise its earlier work would be lost silently. */
static err_t *begin_again(db_session_t *session)
{
    end_transaction(session->conn);
    if (session->conn->is_broken)
        return pg_error_lost_connection(session->pool, STR_NULL);
    close_evicted(session->conn);
    return begin(session->conn, session->pool, &session->who, NULL);
}

err_t *db_session_query(db_session_t *session, str_t sql, const str_t *params, size_t param_count,
                        db_rows_t *out)
{
    if (session->conn == NULL)
        return err_bug(session->pool, "the session has ended");
    if (is_late(&session->who))
        return late(session->pool);
    const char *const *values;
    err_t *err = bind_values(session->pool, params, param_count, &values);
    if (err != NULL)
        return err;
    PGresult *result = run(session, sql, values, (int)param_count);
    if (stale_plan(result) != PG_STALE_NOT && session->query_count == 0) {
        PQclear(result);
        err = begin_again(session);
        if (err != NULL)
            return err;
        result = run(session, sql, values, (int)param_count);
    }
    session->query_count++;
    err = take_result(session, result, out);
    return err != NULL && is_late(&session->who) ? late(session->pool) : err;
}

/* --- in one flight --- */

/* What is left of a session whose first statement went along, or did not. */
static err_t *finish_once(db_session_t *session, const first_t *first, const str_t *params,
                          size_t param_count, db_rows_t *out)
{
    err_t *err = NULL;
    bool is_stale =
        first->result != NULL &&
        forget_stale(session, known_stmt(session->conn, &session->who, first->sql), first->result);
    if (first->result != NULL && !is_stale) {
        err = take_result(session, first->result, out);
        return err != NULL && is_late(&session->who) ? late(session->pool) : err;
    }
    PQclear(first->result);
    if (is_stale)
        err = begin_again(session);
    if (err == NULL)
        err = db_session_query(session, first->sql, params, param_count, out);
    if (err == NULL && strcmp(first->ending, "COMMIT") == 0)
        return db_session_commit(session);
    return err;
}

static err_t *once(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who, first_t *first,
                   const str_t *params, size_t param_count, db_rows_t *out)
{
    db_session_t *session = NULL;
    err_t *err = bind_values(pool, params, param_count, &first->values);
    first->count = (int)param_count;
    if (err == NULL)
        err = open_session(sessions, pool, who, first, &session);
    if (err == NULL)
        err = finish_once(session, first, params, param_count, out);
    db_session_rollback(session);
    return err;
}

err_t *db_session_read(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who, str_t sql,
                       const str_t *params, size_t param_count, db_rows_t *out)
{
    return once(sessions, pool, who, &(first_t){.sql = sql, .ending = "ROLLBACK"}, params, param_count, out);
}

err_t *db_session_write(db_sessions_t *sessions, pool_t *pool, const db_session_who_t *who, str_t sql,
                        const str_t *params, size_t param_count, db_rows_t *out)
{
    return once(sessions, pool, who, &(first_t){.sql = sql, .ending = "COMMIT"}, params, param_count, out);
}

/* The statement and COMMIT together; the session must still be good. */
static err_t *fly_home(db_session_t *session, stmt_entry_t *entry, const char *const *values, int count,
                       db_rows_t *out)
{
    PGresult *result = NULL;
    session_flight_t flight = {.name = entry->name,
                               .values = values,
                               .count = count,
                               .ending = "COMMIT",
                               .is_anonymous = session->who.is_anonymous};
    err_t *err = session_flight(session->conn, session->pool, &flight, &result);
    if (err != NULL)
        return err;
    forget_stale(session, entry, result);
    return take_result(session, result, out);
}

err_t *db_session_query_commit(db_session_t *session, str_t sql, const str_t *params, size_t param_count,
                               db_rows_t *out)
{
    if (session->conn == NULL)
        return err_bug(session->pool, "the session has ended");
    const char *const *values;
    stmt_entry_t *entry = known_stmt(session->conn, &session->who, sql);
    err_t *err = is_late(&session->who) ? late(session->pool)
                                        : bind_values(session->pool, params, param_count, &values);
    if (err == NULL && entry != NULL)
        err = fly_home(session, entry, values, (int)param_count, out);
    else if (err == NULL)
        err = db_session_query(session, sql, params, param_count, out);
    if (err == NULL && entry == NULL)
        return db_session_commit(session);
    db_session_rollback(session);
    return err != NULL && is_late(&session->who) ? late(session->pool) : err;
}

str_t db_value_named(const db_rows_t *rows, size_t row, const char *column)
{
    for (size_t c = 0; c < rows->column_count; c++)
        if (str_eq(rows->columns[c], str_from_c(column)))
            return row < rows->row_count ? db_value(rows, row, c) : STR_NULL;
    return STR_NULL;
}
