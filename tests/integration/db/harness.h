/* What the database tests share: a loop that runs until something has happened, and transactions with a
 * record of what their handlers saw. Needs BASALT_TEST_DB_URI (tests/integration/run-db sets it). */
#ifndef TEST_DB_HARNESS_H
#define TEST_DB_HARNESS_H

#include "base/pool.h"
#include "db/pool.h"
#include "db/tx.h"
#include "loop/loop.h"

#include <libpq-fe.h>

enum { DB_TEST_STMTS = 2 };

/* What came of one transaction. */
typedef struct {
    bool is_done;
    uint16_t status; /* 0: success */
    char code[16], message[256], details[512], hint[256];
    bool has_details, has_hint;
    size_t rows, bytes, columns_calls, retries;
    int64_t affected;
    char last[DB_TEST_STMTS][256]; /* first column of the last row, per statement; "NULL" */
    db_end_t decision;             /* what on_decide answers */
    size_t decided;
    size_t pause_at_row; /* pauses when that many rows have come; 0: never */
    bool is_paused;
    int64_t done_us;
    db_tx_t *tx;
} outcome_t;

loop_t *test_loop(void);
str_t test_uri(const char *user); /* of the test database for that login */
PGconn *test_admin(void);         /* a superuser's connection, for all tests */
/* Runs as superuser; failure ends the test. Returns the first value of the first row ("" when none). */
const char *test_sql(const char *format, ...) __attribute__((format(printf, 1, 2)));
void test_setup_schema(void);

/* Run the loop until `*flag` is set, or the query (as superuser) gives `wanted`; false when patience is over,
 * which is long: it costs nothing when things come fast. */
enum { TEST_PATIENCE_MS = 60000 };
bool test_wait(const bool *flag);
bool test_comes(const char *sql, const char *wanted);
void test_run_for(int ms);

/* BASALT_TEST_DB_LIBPQ: the same tests of the same pools, with libpq behind them. */
bool test_needs_libpq(void);

/* A pool of the authenticator login. */
db_pool_t *test_pool(size_t size, int acquire_timeout_ms);

/* A specification: role, claims, one statement. Everything borrowed; literals only. */
typedef struct {
    db_tx_spec_t spec;
    db_setting_t settings[4];
    db_stmt_t stmts[2];
    str_t params[4];
} request_t;
void test_request(request_t *request, const char *role, const char *claims, const char *sql);

void test_submit(db_pool_t *pool, const request_t *request, outcome_t *outcome);
/* Submits and waits for the end. */
void test_run(db_pool_t *pool, const request_t *request, outcome_t *outcome);
/* The short form: one statement of that role, its outcome. */
outcome_t test_query(db_pool_t *pool, const char *role, const char *claims, const char *sql);

/* Ends the postmaster and all backends as a power cut would, and starts it again. */
void test_kill_server(void);
void test_start_server(void);

#endif
