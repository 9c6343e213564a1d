#include "harness.h"

#include "base/clock.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *need_env(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL || *value == '\0') {
        fprintf(stderr, "SKIPPED: %s is not set; run through tests/integration/run-db\n", name);
        exit(77);
    }
    return value;
}

loop_t *test_loop(void)
{
    static loop_t *loop;
    if (loop == NULL)
        loop = loop_create();
    return loop;
}

str_t test_uri(const char *user)
{
    static char text[512];
    const char *uri = need_env("BASALT_TEST_DB_URI");
    const char *host = strstr(uri, "host=");
    snprintf(text, sizeof(text), "host=%.*s dbname=postgres user=%s", (int)strcspn(host + 5, "&"), host + 5,
             user);
    return str_from_c(text);
}

PGconn *test_admin(void)
{
    static PGconn *pg;
    if (pg != NULL && PQstatus(pg) == CONNECTION_OK)
        return pg;
    for (int i = 0; i < 50; i++) {
        PQfinish(pg);
        pg = PQconnectdb(need_env("BASALT_TEST_DB_URI"));
        if (PQstatus(pg) == CONNECTION_OK)
            return pg;
        usleep(100000);
    }
    fprintf(stderr, "%s", PQerrorMessage(pg));
    exit(1);
}

static void drop_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

const char *test_sql(const char *format, ...)
{
    static char value[1024];
    char sql[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    PQsetNoticeProcessor(test_admin(), drop_notice, NULL);
    PGresult *result = PQexec(test_admin(), sql);
    for (int i = 0; i < 5 && PQresultStatus(result) == PGRES_FATAL_ERROR &&
                    PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL;
         i++) { /* the server was restarted */
        usleep(100000);
        PQclear(result);
        result = PQexec(test_admin(), sql);
    }
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s\n%s", sql, PQerrorMessage(test_admin()));
        exit(1);
    }
    snprintf(value, sizeof(value), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return value;
}

void test_setup_schema(void)
{
    test_sql("drop schema if exists t cascade");
    test_sql(
        "do $$ declare r text; begin foreach r in array array['anon','authenticated','service'] loop "
        "if not exists (select from pg_roles where rolname = r) then execute 'create role ' || r || ' "
        "nologin'; "
        "end if; end loop; "
        "if not exists (select from pg_roles where rolname = 'authenticator') then "
        "create role authenticator login noinherit; grant anon, authenticated, service to authenticator; "
        "end if; end $$");
    test_sql("create schema t; grant usage on schema t to public");
    test_sql("create table t.item (id int primary key, owner text, name text);"
             "insert into t.item select i, case when i %% 2 = 0 then 'ann' else 'bob' end, 'item ' || i "
             "from generate_series(1, 100) i;"
             "alter table t.item enable row level security;"
             "create policy own on t.item for all to authenticated "
             "using (owner = (current_setting('request.jwt.claims', true)::json->>'sub'));"
             "create policy svc on t.item for all to service using (true);"
             "grant all on t.item to authenticated, service;"
             "create sequence t.seq; grant all on t.seq to public;"
             "create function t.pre() returns void language plpgsql as $$ begin "
             "if current_user = 'service' then raise sqlstate 'PT418' using message = 'teapot'; end if; "
             "perform set_config('app.pre', 'pre as ' || current_user, true); end $$;"
             "create function t.escape() returns void language plpgsql as $$ begin "
             "set transaction read write; insert into t.item values (998); end $$");
}

static void on_tick(void *arg)
{
    (void)arg;
    loop_stop(test_loop());
}

static bool run_until(const bool *flag, int ms)
{
    int64_t end = clock_mono_us() + ms * 1000LL;
    while (!*flag && clock_mono_us() < end) {
        loop_timer_t tick = {0};
        loop_timer_start(test_loop(), &tick, 1, on_tick, NULL);
        loop_run(test_loop());
        loop_timer_stop(&tick);
    }
    return *flag;
}

bool test_wait(const bool *flag)
{
    return run_until(flag, TEST_PATIENCE_MS);
}

bool test_comes(const char *sql, const char *wanted)
{
    int64_t end = clock_mono_us() + TEST_PATIENCE_MS * 1000LL;
    while (strcmp(test_sql("%s", sql), wanted) != 0) {
        if (clock_mono_us() > end)
            return false;
        test_run_for(20);
    }
    return true;
}

void test_run_for(int ms)
{
    bool never = false;
    run_until(&never, ms);
}

bool test_needs_libpq(void)
{
    return getenv("BASALT_TEST_DB_LIBPQ") != NULL;
}

db_pool_t *test_pool(size_t size, int acquire_timeout_ms)
{
    db_pool_options_t options = {
        .name = STR("test"),
        .conninfo = test_uri("authenticator"),
        .size_max = size,
        .acquire_timeout_ms = acquire_timeout_ms,
        .is_prepared = true,
        .needs_libpq = test_needs_libpq(),
    };
    return db_pool_create(test_loop(), &options);
}

void test_request(request_t *request, const char *role, const char *claims, const char *sql)
{
    memset(request, 0, sizeof(*request));
    request->settings[0] =
        (db_setting_t){STR("request.jwt.claims"), str_from_c(claims != NULL ? claims : "{}")};
    request->settings[1] = (db_setting_t){STR("search_path"), STR("\"t\", \"public\"")};
    request->stmts[0] = (db_stmt_t){.sql = str_from_c(sql)};
    request->spec = (db_tx_spec_t){
        .role = str_from_c(role),
        .settings = request->settings,
        .setting_count = 2,
        .stmts = request->stmts,
        .stmt_count = 1,
        .is_exclusive = true,
    };
}

static void on_columns(void *arg, size_t stmt, const db_column_t *columns, size_t count)
{
    (void)stmt;
    (void)columns;
    (void)count;
    ((outcome_t *)arg)->columns_calls++;
}

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    outcome_t *outcome = arg;
    outcome->rows++;
    for (size_t i = 0; i < count; i++)
        outcome->bytes += values[i].len;
    if (count > 0 && stmt < DB_TEST_STMTS)
        snprintf(outcome->last[stmt], sizeof(outcome->last[stmt]), "%.*s",
                 str_is_null(values[0]) ? 4 : (int)values[0].len,
                 str_is_null(values[0]) ? "NULL" : values[0].base);
    if (outcome->pause_at_row != 0 && outcome->rows % outcome->pause_at_row == 0) {
        outcome->is_paused = true;
        db_tx_pause(outcome->tx);
    }
}

static void on_stmt_done(void *arg, size_t stmt, int64_t affected)
{
    (void)stmt;
    ((outcome_t *)arg)->affected = affected;
}

static db_end_t on_decide(void *arg)
{
    outcome_t *outcome = arg;
    outcome->decided++;
    return outcome->decision;
}

static void on_retry(void *arg)
{
    outcome_t *outcome = arg;
    outcome->retries++;
    outcome->rows = 0;
}

static void copy_text(char *to, size_t size, str_t from)
{
    snprintf(to, size, "%.*s", STR_ARG(from));
}

static void on_done(void *arg, const err_t *error)
{
    outcome_t *outcome = arg;
    outcome->is_done = true;
    outcome->done_us = clock_mono_us();
    outcome->tx = NULL;
    if (error == NULL)
        return;
    outcome->status = error->status;
    copy_text(outcome->code, sizeof(outcome->code), error->code);
    copy_text(outcome->message, sizeof(outcome->message), error->message);
    copy_text(outcome->details, sizeof(outcome->details), error->details);
    copy_text(outcome->hint, sizeof(outcome->hint), error->hint);
    outcome->has_details = !str_is_null(error->details);
    outcome->has_hint = !str_is_null(error->hint);
}

void test_submit(db_pool_t *pool, const request_t *request, outcome_t *outcome)
{
    static const db_tx_handlers_t handlers = {
        .on_columns = on_columns,
        .on_row = on_row,
        .on_stmt_done = on_stmt_done,
        .on_decide = on_decide,
        .on_retry = on_retry,
        .on_done = on_done,
    };
    outcome->tx = db_tx_submit(pool, &request->spec, &handlers, outcome);
}

void test_run(db_pool_t *pool, const request_t *request, outcome_t *outcome)
{
    test_submit(pool, request, outcome);
    if (!test_wait(&outcome->is_done)) {
        fprintf(stderr, "no answer: %.*s\n", STR_ARG(request->stmts[0].sql));
        abort();
    }
}

outcome_t test_query(db_pool_t *pool, const char *role, const char *claims, const char *sql)
{
    request_t request;
    outcome_t outcome = {0};
    test_request(&request, role, claims, sql);
    test_run(pool, &request, &outcome);
    return outcome;
}

void test_kill_server(void)
{
    char path[512], line[64] = "";
    snprintf(path, sizeof(path), "%s/postmaster.pid", need_env("BASALT_TEST_PGDATA"));
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL)
        abort();
    fclose(file);
    pid_t postmaster = (pid_t)atoi(line);
    kill(postmaster, SIGKILL);
    /* Backends notice the death of the postmaster by themselves. */
    for (int i = 0; i < 100 && kill(postmaster, 0) == 0; i++)
        usleep(20000);
}

void test_start_server(void)
{
    const char *start = need_env("BASALT_TEST_PG_START");
    for (int i = 0; i < 50; i++) {
        if (system(start) == 0)
            return;
        usleep(100000);
    }
    abort();
}
