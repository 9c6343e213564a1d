#include "db/session_flight.h"

#include "base/buf.h"
#include "base/clock.h"
#include "db/connect.h"
#include "db/ident.h"
#include "db/pg_error.h"

#include <stdio.h>

enum { STATEMENT_TIMEOUT_MS = 30000, ANSWER_GRACE_MS = 5000, DEADLINE_GRACE_MS = 1000 };

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

/* Wash, BEGIN and settings, without a Sync behind them. */
static bool send_opening(session_conn_t *conn, pool_t *pool, const db_session_who_t *who, size_t *commands,
                         size_t *syncs)
{
    bool must_wash = db_wash_before(&conn->wash, who->role, who->claims_json, !str_is_null(who->role));
    bool ok = true;
    for (size_t i = 0; must_wash && ok && i < DB_WASH_COUNT; i++)
        ok = send_plain(conn->pg, DB_WASH[i]);
    *commands += must_wash ? DB_WASH_COUNT : 0;
    if (must_wash) {
        ok = ok && PQpipelineSync(conn->pg);
        (*syncs)++;
    }
    *commands += 2;
    return ok && send_plain(conn->pg, "BEGIN") && send_cfg(conn->pg, pool, who);
}

/* Reads up to the last of `syncs`. The result of the command at `wanted` (counted from zero) goes to *out,
 * whatever it is; of the others the first error counts, the rest of its segment comes back as aborted. */
static err_t *read_results(session_conn_t *conn, pool_t *pool, const session_flight_t *flight, size_t wanted,
                           size_t syncs, PGresult **out)
{
    err_t *err = NULL;
    size_t null_count = 0, at = 0;
    while (syncs > 0 && session_conn_await(conn)) {
        PGresult *result = PQgetResult(conn->pg);
        ExecStatusType status = PQresultStatus(result);
        if (result == NULL) {
            if (PQstatus(conn->pg) == CONNECTION_BAD || ++null_count > 64)
                break;
            continue;
        }
        size_t index = at;
        if (status == PGRES_PIPELINE_SYNC)
            syncs--;
        else
            at++;
        if (index == wanted && flight->name != NULL && status != PGRES_PIPELINE_SYNC) {
            *out = result;
            continue;
        }
        if (status == PGRES_FATAL_ERROR && err == NULL)
            err = pg_error_from_result(pool, result, flight->is_anonymous);
        conn->has_begun = conn->has_begun || (index + 2 == wanted && status == PGRES_COMMAND_OK);
        PQclear(result);
    }
    conn->is_broken = conn->is_broken || syncs > 0;
    return err;
}

err_t *session_flight(session_conn_t *conn, pool_t *pool, const session_flight_t *flight, PGresult **out)
{
    size_t commands = 0, syncs = 1;
    PGconn *pg = conn->pg;
    *out = NULL;
    conn->has_begun = flight->who == NULL;
    if (flight->who != NULL) {
        conn->limit_ms = timeout_of(flight->who) + ANSWER_GRACE_MS;
        conn->deadline_us =
            flight->who->deadline_us != 0 ? flight->who->deadline_us + DEADLINE_GRACE_MS * 1000 : 0;
    }
    bool ok = PQenterPipelineMode(pg) &&
              (flight->who == NULL || send_opening(conn, pool, flight->who, &commands, &syncs));
    if (flight->name != NULL)
        ok = ok && PQsendQueryPrepared(pg, flight->name, flight->count, flight->values, NULL, NULL, 0);
    if (flight->ending != NULL)
        ok = ok && send_plain(pg, flight->ending);
    ok = ok && PQpipelineSync(pg);
    conn->is_broken = conn->is_broken || !ok;
    err_t *err = ok ? read_results(conn, pool, flight, commands, syncs, out) : NULL;
    if (conn->is_broken || PQstatus(pg) == CONNECTION_BAD || !PQexitPipelineMode(pg)) {
        conn->is_broken = true;
        if (err == NULL)
            err = pg_error_lost_connection(pool, str_from_c(PQerrorMessage(pg)));
    }
    if (err != NULL) {
        PQclear(*out);
        *out = NULL;
    }
    return err;
}
