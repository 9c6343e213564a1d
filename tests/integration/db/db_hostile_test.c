/* A server that lets everybody in and then does not keep to the protocol: the pool breaks the connection with
 * a reason, answers the transaction, and goes on with the next connection. */
#include "harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define LOGIN                                                                                                \
    "R\0\0\0\x8\0\0\0\0S\0\0\0\x1aserver_version\0"                                                          \
    "15.0.0\0K\0\0\0\xc\0\0\0\1\0\0\0\2Z\0\0\0\5I"
#define CFG                                                                                                  \
    "1\0\0\0\4"                                                                                              \
    "2\0\0\0\4C\0\0\0\xdSELECT 1\0"
#define MAIN                                                                                                 \
    "1\0\0\0\4"                                                                                              \
    "2\0\0\0\4"
#define COLUMNS "T\0\0\0\x1a\0\1a\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"
#define VALUE "D\0\0\0\xb\0\1\0\0\0\1x"
#define DONE "C\0\0\0\xdSELECT 1\0"
#define READY "Z\0\0\0\5I"

typedef struct {
    const char *bytes;
    size_t len;
} text_t;
#define TEXT(literal)                                                                                        \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }

static struct {
    char dir[64];
    int listener;
    pthread_t thread;
    _Atomic int conversation; /* its socket; 0: none */
    text_t answer;            /* to whatever the next connection asks */
} server;

static void converse(int fd)
{
    char buffer[8192];
    atomic_store(&server.conversation, fd);
    if (read(fd, buffer, sizeof(buffer)) > 0 && write(fd, LOGIN, sizeof(LOGIN) - 1) > 0 &&
        read(fd, buffer, sizeof(buffer)) > 0 && write(fd, server.answer.bytes, server.answer.len) > 0)
        while (read(fd, buffer, sizeof(buffer)) > 0) {
        }
    atomic_store(&server.conversation, 0);
    close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(server.listener, NULL, NULL)) >= 0;)
        converse(fd);
    return NULL;
}

static int start(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(server.dir, sizeof(server.dir), "/tmp/basalt-hostile-XXXXXX");
    if (mkdtemp(server.dir) == NULL)
        return 1;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", server.dir);
    server.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    return bind(server.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
           listen(server.listener, 8) != 0 || pthread_create(&server.thread, NULL, serve, NULL) != 0;
}

static int stop(void **state)
{
    (void)state;
    char path[128];
    shutdown(server.listener, SHUT_RDWR);
    int conversation = atomic_load(&server.conversation); /* a failed test leaves one */
    if (conversation != 0)
        shutdown(conversation, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.listener);
    snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", server.dir);
    unlink(path);
    rmdir(server.dir);
    return 0;
}

static db_pool_t *hostile_pool(void)
{
    char conninfo[160];
    snprintf(conninfo, sizeof(conninfo), "host=%s port=5432 user=u dbname=d sslmode=disable", server.dir);
    db_pool_options_t options = {.name = STR("test"),
                                 .conninfo = str_from_c(conninfo),
                                 .size_max = 1,
                                 .acquire_timeout_ms = 5000,
                                 .is_prepared = true};
    return db_pool_create(test_loop(), &options);
}

static void each_breach_breaks_one_connection(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        text_t answer;
        const char *reason;
    } rows[] = {
        {"an impossible length", TEXT("D\x7f\xff\xff\xff"), "impossible length"},
        {"an unknown message", TEXT("?\0\0\0\4"), "malformed"},
        {"a row that lies about its size", TEXT(CFG MAIN COLUMNS "D\0\0\0\xb\0\1\0\0\0\2x"), "malformed"},
        {"a row of two values in one column", TEXT(CFG MAIN COLUMNS "D\0\0\0\xe\0\2\0\0\0\0\0\0\0\0"),
         "protocol"},
        {"a row without columns", TEXT(CFG MAIN VALUE), "protocol"},
        {"columns of a Parse", TEXT(COLUMNS), "protocol"},
        {"other columns between the rows", TEXT(CFG MAIN COLUMNS VALUE COLUMNS), "protocol"},
        {"a statement that was not asked for", TEXT(CFG MAIN COLUMNS VALUE DONE DONE), "protocol"},
        {"an end before the statements", TEXT(CFG READY), "protocol"},
        {"a COPY", TEXT(CFG MAIN "H\0\0\0\7\0\0\0"), "COPY"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        server.answer = rows[i].answer;
        db_pool_t *pool = hostile_pool();
        outcome_t outcome = test_query(pool, "anon", NULL, "select 1");
        if (outcome.status != 503 || strcmp(outcome.code, "PGRST001") != 0 ||
            strstr(outcome.details, rows[i].reason) == NULL)
            fail_msg("%s: %d %s %s %s", rows[i].what, outcome.status, outcome.code, outcome.message,
                     outcome.details);
        server.answer = (text_t)TEXT(CFG MAIN COLUMNS VALUE DONE READY);
        outcome = test_query(pool, "anon", NULL, "select 1");
        assert_int_equal(outcome.status, 0);
        assert_string_equal(outcome.last[0], "x");
        db_pool_destroy(pool);
    }
}

static void a_farewell_is_the_reason(void **state)
{
    (void)state;
    server.answer =
        (text_t)TEXT(CFG MAIN COLUMNS VALUE DONE READY "E\0\0\0\x1fVFATAL\0C57P01\0Mtime to go\0\0");
    db_pool_t *pool = hostile_pool();
    outcome_t outcome = test_query(pool, "anon", NULL, "select 1");
    assert_int_equal(outcome.status, 0);
    server.answer = (text_t)TEXT(CFG MAIN COLUMNS VALUE DONE READY);
    outcome = test_query(pool, "anon", NULL, "select 1"); /* on a new connection */
    assert_int_equal(outcome.status, 0);
    db_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_breach_breaks_one_connection),
        cmocka_unit_test(a_farewell_is_the_reason),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
