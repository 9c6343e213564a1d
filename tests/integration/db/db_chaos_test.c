/* Everything at once: many callers on few connections, functions that misbehave, backends that are killed,
 * clients that leave, DDL. Every row carries its owner, so a foreign one is seen. BASALT_CHAOS_SECONDS: 4. */
#include "harness.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CLIENTS = 48, USERS = 20 };

typedef struct {
    db_pool_t *pool;
    request_t request;
    char claims[96], user[16], param[8];
    db_tx_t *tx;
    int kind;
    bool is_write;
    size_t rows, foreign_rows;
    struct tally *tally;
} caller_t;

typedef struct tally {
    size_t done, failed, foreign, unexpected, cancelled, writes_acknowledged;
    bool is_over;
    uint32_t random;
} tally_t;

static uint32_t draw(tally_t *tally, uint32_t below)
{
    tally->random = tally->random * 1664525 + 1013904223;
    return (tally->random >> 8) % below;
}

static void next_request(caller_t *caller);

/* Rows: (user in claims, role, leaked setting, leaked advisory locks); all must be the caller's own. */
static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    caller_t *caller = arg;
    (void)stmt;
    caller->rows++;
    if (count < 3)
        return;
    bool is_own =
        str_eq(values[0], str_from_c(caller->user)) && str_eq(values[1], STR("authenticated")) &&
        (str_is_null(values[2]) || values[2].len == 0 || str_eq(values[2], str_from_c(caller->user)));
    caller->foreign_rows += !is_own;
}

static void on_retry(void *arg)
{
    ((caller_t *)arg)->rows = 0;
}

static void on_done(void *arg, const err_t *error)
{
    caller_t *caller = arg;
    tally_t *tally = caller->tally;
    caller->tx = NULL;
    tally->done++;
    tally->foreign += caller->foreign_rows;
    caller->foreign_rows = 0;
    if (error != NULL) {
        tally->failed++;
        bool is_lost = error->status == 503;
        bool is_wanted = caller->kind == 3 && str_eq(error->code, STR("22012"));
        if (!is_lost && !is_wanted && tally->unexpected++ < 5)
            fprintf(stderr, "kind %d: %.*s %.*s\n", caller->kind, STR_ARG(error->code),
                    STR_ARG(error->message));
    } else if (caller->is_write) {
        tally->writes_acknowledged++;
    }
    if (!tally->is_over)
        next_request(caller);
}

static const char *const statements[] = {
    /* 0, 1: quick reads; they share connections once known */
    "select owner, current_user, current_setting('app.secret', true) from t.own where id = $1::int",
    "select current_setting('request.jwt.claims')::json->>'sub', current_user, current_setting('app.secret', "
    "true), "
    "$1::int",
    /* 2: leaves everything behind that it can */
    "select t.misbehave(), current_user, ''",
    /* 3: fails in the middle */
    "select current_setting('request.jwt.claims')::json->>'sub', current_user, '', 1 / ($1::int - $1::int)",
    /* 4: write */
    "insert into t.written (owner) values (current_setting('request.jwt.claims')::json->>'sub') "
    "returning owner, current_user, ''",
    /* 5: slow */
    "select owner, current_user, '' from t.own, pg_sleep(0.02) where id = $1::int",
};

static void next_request(caller_t *caller)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_retry = on_retry, .on_done = on_done};
    static const int kinds[] = {0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 5};
    request_t *request = &caller->request;
    tally_t *tally = caller->tally;
    caller->kind = kinds[draw(tally, sizeof(kinds) / sizeof(kinds[0]))];
    caller->is_write = caller->kind == 4;
    uint32_t user = draw(tally, USERS);
    snprintf(caller->user, sizeof(caller->user), "user%u", user);
    snprintf(caller->claims, sizeof(caller->claims), "{\"sub\":\"%s\"}", caller->user);
    snprintf(caller->param, sizeof(caller->param), "%u", user);
    test_request(request, "authenticated", caller->claims, statements[caller->kind]);
    request->params[0] = str_from_c(caller->param);
    request->stmts[0].params = request->params;
    request->stmts[0].param_count = strstr(statements[caller->kind], "$1") != NULL ? 1 : 0;
    request->spec.is_read_only = caller->kind != 4 && caller->kind != 2;
    request->spec.is_exclusive = caller->kind == 4 || caller->kind == 2;
    request->spec.is_explicit = caller->kind == 4 && user % 2 == 0;
    request->spec.timeout_ms = 5000;
    caller->rows = 0;
    caller->tx = db_tx_submit(caller->pool, &request->spec, &handlers, caller);
}

static void do_harm(tally_t *tally, caller_t *callers, db_pool_t *pool, int turn)
{
    if (turn % 40 == 20)
        test_sql("select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity "
                 "where usename = 'authenticator' order by random() limit 1) x");
    if (turn % 100 == 50)
        test_sql("alter table t.own alter id type %s", turn % 200 == 50 ? "bigint" : "int");
    if (turn % 300 == 250)
        db_pool_flush_statements(pool);
    caller_t *caller = &callers[draw(tally, CLIENTS)];
    if (turn % 3 == 0 && caller->tx != NULL && !caller->is_write) {
        db_tx_cancel(caller->tx);
        tally->cancelled++;
        next_request(caller);
    }
}

static void nobody_sees_another_and_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    db_pool_options_t options = {.name = STR("test"),
                                 .needs_libpq = test_needs_libpq(),
                                 .conninfo = test_uri("authenticator"),
                                 .size_max = 8,
                                 .acquire_timeout_ms = 20000,
                                 .is_prepared = true,
                                 .share_limit_us = 3000};
    db_pool_t *pool = db_pool_create(test_loop(), &options);
    static caller_t callers[CLIENTS];
    tally_t tally = {.random = (uint32_t)clock_unix_ms()};
    const char *seconds = getenv("BASALT_CHAOS_SECONDS");
    int64_t end = clock_mono_us() + (seconds != NULL ? atoi(seconds) : 4) * 1000000LL;
    printf("seed %u\n", tally.random);
    for (int i = 0; i < CLIENTS; i++) {
        callers[i].pool = pool;
        callers[i].tally = &tally;
        next_request(&callers[i]);
    }
    for (int turn = 0; clock_mono_us() < end; turn++) {
        test_run_for(2);
        do_harm(&tally, callers, pool, turn);
    }
    tally.is_over = true;
    for (int i = 0; i < 1000; i++) {
        bool is_busy = false;
        for (int j = 0; j < CLIENTS; j++)
            is_busy = is_busy || callers[j].tx != NULL;
        if (!is_busy)
            break;
        test_run_for(10);
    }
    buf_t text;
    buf_init(&text, NULL, 0);
    db_pool_inspect(pool, &text);
    printf("%zu done, %zu failed, %zu left, %zu writes; %.*s\n", tally.done, tally.failed, tally.cancelled,
           tally.writes_acknowledged, (int)text.len, text.base);
    buf_dispose(&text);
    assert_int_equal(tally.foreign, 0);
    assert_int_equal(tally.unexpected, 0);
    assert_true(tally.done > 500);
    for (int j = 0; j < CLIENTS; j++)
        assert_null(callers[j].tx);
    /* an unacknowledged write may be there, an acknowledged one must be */
    assert_true((size_t)atoi(test_sql("select count(*) from t.written")) >= tally.writes_acknowledged);
    db_pool_destroy(pool);
}

/* --- restarts under writes --- */

enum { WRITERS = 32, WRITES_MAX = 20000 };

typedef struct {
    db_pool_t *pool;
    request_t request;
    char id[16];
    bool is_busy;
    struct writes *writes;
} writer_t;

typedef struct writes {
    uint32_t next;
    bool is_over;
    size_t acknowledged, refused;
    bool is_acknowledged[WRITES_MAX];
} writes_t;

static void next_write(writer_t *writer);

static void on_written(void *arg, const err_t *error)
{
    writer_t *writer = arg;
    writes_t *writes = writer->writes;
    writer->is_busy = false;
    if (error == NULL) {
        writes->acknowledged++;
        writes->is_acknowledged[atoi(writer->id)] = true;
    } else {
        writes->refused++;
    }
    if (!writes->is_over)
        next_write(writer);
}

static void next_write(writer_t *writer)
{
    static const db_tx_handlers_t handlers = {.on_done = on_written};
    if (writer->writes->next >= WRITES_MAX)
        return;
    uint32_t id = writer->writes->next++;
    snprintf(writer->id, sizeof(writer->id), "%u", id);
    test_request(&writer->request, "service", NULL, "insert into t.ack values ($1::int)");
    writer->request.params[0] = str_from_c(writer->id);
    writer->request.stmts[0].params = writer->request.params;
    writer->request.stmts[0].param_count = 1;
    writer->request.spec.is_explicit = id % 3 == 0;
    writer->is_busy = true;
    db_tx_submit(writer->pool, &writer->request.spec, &handlers, writer);
}

/* A writer that is refused at once tries again at once: the pace comes from here. */
static bool run_writers(writer_t *writers, int ms)
{
    bool is_any_busy = false;
    for (int waited = 0; waited < ms; waited += 10) {
        test_run_for(10);
        is_any_busy = false;
        for (int i = 0; i < WRITERS; i++)
            is_any_busy = is_any_busy || writers[i].is_busy;
        if (writers[0].writes->is_over && !is_any_busy)
            break;
    }
    return is_any_busy;
}

static void killing_the_database_loses_and_doubles_no_write(void **state)
{
    (void)state;
    db_pool_t *pool = test_pool(6, 10000);
    static writer_t writers[WRITERS];
    static writes_t writes;
    for (int i = 0; i < WRITERS; i++) {
        writers[i].pool = pool;
        writers[i].writes = &writes;
        next_write(&writers[i]);
    }
    for (int round = 0; round < 3; round++) {
        run_writers(writers, 300);
        test_kill_server();
        run_writers(writers, 100);
        test_start_server();
        size_t before = writes.acknowledged;
        int64_t end = clock_mono_us() + TEST_PATIENCE_MS * 1000LL;
        while (writes.acknowledged < before + 50 && clock_mono_us() < end)
            run_writers(writers, 10);
        assert_true(writes.acknowledged >= before + 50);
    }
    writes.is_over = true;
    assert_false(run_writers(writers, TEST_PATIENCE_MS));
    printf("%u written, %zu acknowledged, %zu refused\n", writes.next, writes.acknowledged, writes.refused);
    assert_true(writes.acknowledged >= 150);
    assert_string_equal(
        test_sql("select count(*) from (select id from t.ack group by id having count(*) > 1) x"), "0");
    test_sql("create temp table seen as select id from t.ack");
    for (int i = 0; i < WRITES_MAX; i += 500) { /* those acknowledged among 500, all there? */
        char list[6000] = "-1";
        size_t len = 2, wanted = 0;
        for (int j = i; j < i + 500; j++)
            if (writes.is_acknowledged[j]) {
                len += (size_t)snprintf(list + len, sizeof(list) - len, ",%d", j);
                wanted++;
            }
        assert_int_equal((size_t)atoi(test_sql("select count(*) from seen where id in (%s)", list)), wanted);
    }
    db_pool_destroy(pool);
}

int main(void)
{
    test_setup_schema();
    test_sql("create table t.own as select i as id, 'user' || i as owner from generate_series(0, 19) i;"
             "alter table t.own enable row level security;"
             "create policy own on t.own for select to authenticated "
             "using (owner = (current_setting('request.jwt.claims', true)::json->>'sub'));"
             "grant select on t.own to authenticated, service;"
             "create table t.ack (id int); grant insert on t.ack to service;"
             "create table t.written (owner text); grant insert, select on t.written to authenticated;"
             "create function t.misbehave() returns text language plpgsql as $$ declare me text := "
             "current_setting('request.jwt.claims')::json->>'sub'; begin "
             "perform set_config('app.secret', me, false); perform set_config('request.jwt.claims', "
             "'{\"sub\":\"leak\"}', false); perform set_config('role', 'service', false); "
             "perform pg_advisory_lock(hashtext(me)); "
             "create temp table if not exists own as select 1 as id, 'leak'::text as owner; "
             "perform set_config('role', 'authenticated', true); return me; end $$");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killing_the_database_loses_and_doubles_no_write),
        cmocka_unit_test(nobody_sees_another_and_nothing_acknowledged_is_lost),
    };
    return cmocka_run_group_tests_name("db_chaos", tests, NULL, NULL);
}
