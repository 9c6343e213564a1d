/* Point reads through db_tx: throughput and CPU per request of this process and of the server's backends.
 *   tests/integration/run-db --exec build/bin/db_point [clients] [connections] [seconds] [users] [exclusive]
 * Every request sets the settings that the REST surface sets. `users`: how many different claims take turns.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "db/pool.h"
#include "db/tx.h"

#include <dirent.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROWS = 10000, CLIENTS_MAX = 1024, USERS_MAX = 1000 };

typedef struct {
    db_setting_t settings[8];
    db_stmt_t stmts[2];
    str_t params[1];
    char id[8];
    db_tx_spec_t spec;
    int64_t began_us;
} client_t;

typedef struct {
    loop_t *loop;
    db_pool_t *pool;
    client_t clients[CLIENTS_MAX];
    char claims[USERS_MAX][160];
    size_t users, row_count, errors, running;
    uint32_t random;
    int64_t done, latency_sum_us, end_us;
} bench_t;

static bench_t bench;

static void submit(client_t *client);

static void on_row(void *arg, size_t stmt, const str_t *values, size_t count)
{
    (void)arg;
    (void)values;
    (void)count;
    if (stmt == 0)
        bench.row_count++;
}

static void on_done(void *arg, const err_t *error)
{
    client_t *client = arg;
    int64_t now = clock_mono_us();
    if (error != NULL && bench.errors++ == 0)
        fprintf(stderr, "%.*s %.*s\n", STR_ARG(error->code), STR_ARG(error->message));
    bench.done++;
    bench.latency_sum_us += now - client->began_us;
    if (now < bench.end_us)
        submit(client);
    else if (--bench.running == 0)
        loop_stop(bench.loop);
}

static void submit(client_t *client)
{
    static const db_tx_handlers_t handlers = {.on_row = on_row, .on_done = on_done};
    bench.random = bench.random * 1664525 + 1013904223;
    snprintf(client->id, sizeof(client->id), "%u", bench.random / 7 % ROWS + 1);
    client->params[0] = str_from_c(client->id);
    client->settings[1].value = str_from_c(bench.claims[bench.random / 3 % bench.users]);
    client->began_us = clock_mono_us();
    db_tx_submit(bench.pool, &client->spec, &handlers, client);
}

static void init_client(client_t *client)
{
    static const uint32_t type_int4 = 23;
    const db_setting_t settings[] = {
        {STR("search_path"), STR("\"bench\", \"public\"")},
        {STR("request.jwt.claims"), STR_NULL},
        {STR("request.method"), STR("GET")},
        {STR("request.path"), STR("/server")},
        {STR("request.headers"), STR("{\"accept\":\"*/*\",\"host\":\"localhost\",\"user-agent\":\"bench\"}")},
        {STR("request.cookies"), STR("{}")},
    };
    memcpy(client->settings, settings, sizeof(settings));
    client->stmts[0] = (db_stmt_t){.sql = STR("select * from bench.server where id = $1"),
                                   .params = client->params,
                                   .types = &type_int4,
                                   .param_count = 1};
    client->stmts[1] = (db_stmt_t){.sql = STR("select current_setting('response.headers', true), "
                                              "current_setting('response.status', true)")};
    client->spec = (db_tx_spec_t){.role = STR("bench_user"),
                                  .settings = client->settings,
                                  .setting_count = sizeof(settings) / sizeof(settings[0]),
                                  .is_read_only = true,
                                  .stmts = client->stmts,
                                  .stmt_count = 2};
}

static void setup(const char *uri)
{
    static const char sql[] =
        "drop schema if exists bench cascade; create schema bench; grant usage on schema bench to public;"
        "do $$ begin if not exists (select from pg_roles where rolname = 'bench_user') then create role "
        "bench_user; "
        "create role bench_login login noinherit; grant bench_user to bench_login; end if; end $$;"
        "create table bench.role_of (sub text primary key, role text);"
        "insert into bench.role_of select 'user' || i, 'viewer' from generate_series(0, 999) i;"
        "create function bench.sub() returns text language sql stable as "
        "$$ select nullif(current_setting('request.jwt.claims', true), '')::json->>'sub' $$;"
        "create function bench.has_role(s text, r text) returns bool language sql stable security definer "
        "set search_path = '' as "
        "$$ select exists (select from bench.role_of x where x.sub = s and x.role = r) $$;"
        "create table bench.server as select i as id, 'host-' || i as name, md5(i::text) as tag, now() as "
        "created_at, "
        "i % 7 as rack, i * 1.5 as power, i % 2 = 0 as is_on, gen_random_uuid() as uuid, md5('a' || i) as a, "
        "md5('b' || i) as b, md5('c' || i) as c, md5('d' || i) as d, jsonb_build_object('k', i) as meta "
        "from generate_series(1, 10000) i; alter table bench.server add primary key (id);"
        "alter table bench.server enable row level security; grant select on bench.server to bench_user;"
        "create policy p on bench.server for select to bench_user "
        "using ((select bench.has_role(bench.sub(), 'viewer')));"
        "analyze bench.server; analyze bench.role_of";
    PGconn *pg = PQconnectdb(uri);
    PQclear(PQexec(pg, "set client_min_messages = error"));
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        fprintf(stderr, "%s", PQerrorMessage(pg));
        exit(1);
    }
    PQclear(result);
    PQclear(PQexec(pg, "checkpoint"));
    PQfinish(pg);
}

/* User and system time of every child of the postmaster, in microseconds. */
static int64_t server_cpu_us(void)
{
    char path[512], line[1024];
    int postmaster = 0;
    snprintf(path, sizeof(path), "%s/postmaster.pid", getenv("BASALT_TEST_PGDATA"));
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%d", &postmaster) != 1)
        abort();
    fclose(file);
    int64_t ticks = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        int parent;
        unsigned long user, system;
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || (file = fopen(path, "r")) == NULL)
            continue;
        if (fgets(line, sizeof(line), file) != NULL && strrchr(line, ')') != NULL &&
            sscanf(strrchr(line, ')') + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &parent,
                   &user, &system) == 3 &&
            parent == postmaster)
            ticks += (int64_t)(user + system);
        fclose(file);
    }
    closedir(proc);
    return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

static int64_t own_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static void run_round(double seconds, size_t clients, bool is_reported)
{
    int64_t own = own_cpu_us(), server = server_cpu_us(), began = clock_mono_us();
    bench.done = bench.latency_sum_us = 0;
    bench.row_count = 0;
    bench.running = clients;
    bench.end_us = began + (int64_t)(seconds * 1e6);
    for (size_t i = 0; i < clients; i++)
        submit(&bench.clients[i]);
    loop_run(bench.loop);
    double took = (double)(clock_mono_us() - began), done = (double)bench.done;
    if (is_reported)
        printf(
            "%.0f req/s  mean %.0f us  cpu/req %.1f us (gateway %.1f + server %.1f)  rows %zu  errors %zu\n",
            done / took * 1e6, (double)bench.latency_sum_us / done,
            (double)(own_cpu_us() - own + server_cpu_us() - server) / done,
            (double)(own_cpu_us() - own) / done, (double)(server_cpu_us() - server) / done, bench.row_count,
            bench.errors);
}

int main(int argc, char **argv)
{
    size_t clients = argc > 1 ? (size_t)atoi(argv[1]) : 64,
           connections = argc > 2 ? (size_t)atoi(argv[2]) : 10;
    double seconds = argc > 3 ? atof(argv[3]) : 3;
    bench.users = argc > 4 ? (size_t)atoi(argv[4]) : 1;
    const char *uri = getenv("BASALT_TEST_DB_URI");
    if (uri == NULL || clients == 0 || clients > CLIENTS_MAX || bench.users == 0 || bench.users > USERS_MAX)
        return fprintf(stderr, "usage: run-db db_point [clients] [connections] [seconds] [users]\n"), 2;
    setup(uri);
    char conninfo[512];
    const char *host = strstr(uri, "host=") + 5;
    snprintf(conninfo, sizeof(conninfo), "host=%.*s dbname=postgres user=bench_login",
             (int)strcspn(host, "&"), host);
    for (size_t i = 0; i < bench.users; i++)
        snprintf(bench.claims[i], sizeof(bench.claims[i]),
                 "{\"sub\":\"user%zu\",\"role\":\"bench_user\",\"aud\":\"authenticated\",\"iss\":\"bench\"}",
                 i);
    bench.loop = loop_create();
    bench.pool = db_pool_create(bench.loop, &(db_pool_options_t){.name = STR("bench"),
                                                                 .conninfo = str_from_c(conninfo),
                                                                 .size_max = connections,
                                                                 .queue_max = 2048,
                                                                 .is_prepared = true});
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        init_client(&bench.clients[i]);
    for (size_t i = 0; argc > 5 && atoi(argv[5]) != 0 && i < CLIENTS_MAX; i++)
        bench.clients[i].spec.is_exclusive = true;
    run_round(0.5, clients, false);
    run_round(seconds, clients, true);
    buf_t text;
    buf_init(&text, NULL, 0);
    db_pool_inspect(bench.pool, &text);
    printf("%.*s\n", (int)text.len, text.base);
    buf_dispose(&text);
    db_pool_destroy(bench.pool);
    loop_destroy(bench.loop);
    return bench.errors == 0 ? 0 : 1;
}
